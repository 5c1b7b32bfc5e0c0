"""A finished training in one file, so that looking at the plan and cutting can be two steps."""

__all__ = ["FILE", "SavedTraining", "load_training", "save_training"]

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ellzero.errors import DataError
from ellzero.recipes.classify import Trained
from ellzero.recipes.settings import Settings
from ellzero.recipes.table import Recipe, find_recipe
from ellzero.recipes.typed import settings_from, settings_to_dict
from ellzero.report.whole import write_whole
from ellzero.training import Epoch, History

FILE = "training.safetensors"
_KEY, _DIGEST = "ellzero", "sha256"


@dataclass(frozen=True)
class SavedTraining:
    """A training that ended: which recipe, with which settings, and what came out."""

    recipe: Recipe
    settings: Settings
    trained: Trained


def save_training(saved: SavedTraining, folder: Path) -> None:
    """Write the gated network with its settings and its history, and a checksum of it all; no pickle.

    Args:
        saved: what to write.
        folder: where to.
    """
    state: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in saved.trained.gated.state_dict().items()
    }
    facts = {
        "recipe": saved.recipe.name,
        "settings": settings_to_dict(saved.settings),
        "history": saved.trained.history.to_dict(),
    }
    text = json.dumps(facts)
    write_whole(folder / FILE, save(state, metadata={_KEY: text, _DIGEST: _digest(text, state)}))


def load_training(folder: Path) -> SavedTraining:
    """Read what `save_training` wrote; the data are read again and the network is built and gated again.

    Raises:
        DataError: if the file is missing or damaged, or the network has changed since.
    """
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no {FILE}; give the --out folder of an earlier ellzero train or ellzero prune")
    facts, state = _read(path)
    recipe = find_recipe(facts["recipe"])
    settings = settings_from(recipe.settings, facts["settings"])
    task = recipe.prepare(settings)
    try:
        task.gated.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{path} does not fit the network, which has changed since: {error}; train again") from error
    epochs = [Epoch(**epoch) for epoch in facts["history"]["epochs"]]
    history = replace(History(**facts["history"]), epochs=epochs)
    return SavedTraining(recipe, settings, Trained(task.gated, task.sizer, history, task.evaluate, task.measure))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            text, digest = metadata[_KEY], metadata[_DIGEST]
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(text, state) != digest:
            raise ValueError("the content does not have the SHA-256 that was written with it")
        return json.loads(text), state
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged or was not written by ellzero ({error}); train again") from error


def _digest(text: str, state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the facts, and of names, dtypes, shapes and bytes of the tensors in the order of their names."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(state.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
