"""`save`: a pruned network into a folder of plain numbers and plain text."""

__all__ = ["save"]

import shutil
from pathlib import Path

from torch import nn
from torch.fx import GraphModule

from ellzero.artifacts.description import Description
from ellzero.artifacts.errors import ArtifactUnsavedError
from ellzero.artifacts.manifest import FILES, STRUCTURE, WEIGHTS, write_manifest
from ellzero.artifacts.replace import written_whole
from ellzero.artifacts.weights import write_weights
from ellzero.errors import SurgeryError
from ellzero.graph.plans.structure import ATTRIBUTE, structure_of


def save(model: nn.Module, folder: Path | str, *, overwrite: bool = False) -> None:
    """Save a pruned network: its weights, how it was cut, and a checksum of each.

    The folder holds `weights.safetensors`, `structure.json` and `manifest.json`; none of them can execute anything. It
    is written next to its place and renamed: at every moment, also after a crash, `load` finds the complete old
    artifact or the complete new one. Tied weights are stored once. Buffers that are not persistent are not stored,
    `load` makes them anew; tensors are stored contiguous.

    Args:
        model: what `prune` returned, possibly trained further, moved or cast since; compiled is fine too.
        folder: where to; missing parents are made. It is the artifact's alone.
        overwrite: whether an artifact that is there already may be replaced. A folder that holds anything else is
            refused all the same.

    Raises:
        SurgeryError: if the network was not pruned.
        ArtifactExistsError: if there is something in the folder.
        ArtifactUnsavedError: if it is an exported graph, which an artifact does not hold; if the disk is full or not
            writable, or a tensor cannot be written as plain numbers; what was there before is untouched.

    Example:
        >>> import tempfile, torch
        >>> from ellzero.gates import Gated
        >>> from ellzero.graph import Plan
        >>> from ellzero.surgery import prune
        >>> gated = Gated(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(1, 4))
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     save(prune(gated, plan=Plan({"0": (1,)})), f"{parent}/small")
        ...     sorted(path.name for path in Path(f"{parent}/small").iterdir())
        ['manifest.json', 'structure.json', 'weights.safetensors']
    """
    model = getattr(model, "_orig_mod", model)
    # A wrapper that passes attributes through has a structure, but not the tensors that belong to it.
    if ATTRIBUTE not in getattr(model, "__dict__", {}):
        whole = (
            "model.equations().save('law.json')"
            if hasattr(model, "equations")
            else "save_model(model, path) of safetensors"
        )
        raise SurgeryError(
            f"this {type(model).__name__} was not pruned; pass what prune(...) returned, or keep it as it is: {whole}"
        )
    if isinstance(model, GraphModule) and structure_of(model).channels.exported:
        raise ArtifactUnsavedError(
            "this is an exported graph: what it computes stands in the graph, which an artifact does not hold, because "
            "it holds no code; save it with torch.export.save(torch.export.export(small, args), 'small.pt2')"
        )
    description = Description.of(model)
    with written_whole(Path(folder), FILES, overwrite=overwrite) as temporary:
        (temporary / STRUCTURE).write_bytes(description.to_json())
        write_weights(model, temporary / WEIGHTS)
        # safetensors leaves a file that only its owner may read.
        shutil.copymode(temporary / STRUCTURE, temporary / WEIGHTS)
        write_manifest(temporary)
