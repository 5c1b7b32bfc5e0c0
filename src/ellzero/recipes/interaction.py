"""Random interaction with Gymnasium's pendulum: transitions and rewards, kept in a checked file."""

__all__ = ["INPUTS", "LIMIT", "NEXT", "Interaction", "Split", "load_pendulum"]

import hashlib
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ellzero.errors import DataError, MissingExtraError
from ellzero.report.whole import write_whole

INPUTS = ("c", "s", "w", "u")
"""Cosine and sine of the angle (zero is upright), angular velocity in rad/s, and torque in N m."""

NEXT = ("c'", "s'", "w'")
"""The observation one step of 0.05 s later."""

LIMIT = 8.0
"""Angular velocities are clipped to this size; it is the bound of the observation space."""

GRAVITY, STEPS = 9.81, 200
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Interaction:
    """Transitions of some episodes, float64.

    Attributes:
        inputs: observation and torque, shape `(samples, 4)`.
        next: the following observation, shape `(samples, 3)`.
        reward: of the step, shape `(samples, 1)`.
    """

    inputs: Tensor
    next: Tensor
    reward: Tensor


@dataclass(frozen=True)
class Split:
    """Episodes to fit on, episodes that decide what is fitted, and episodes that are looked at once."""

    train: Interaction
    validation: Interaction
    test: Interaction


def load_pendulum(
    seed: int = 0, *, episodes: tuple[int, int, int] = (1000, 100, 100), folder: Path | str | None = None
) -> Split:
    r"""Drive Pendulum-v1 with torques drawn uniformly, or read what was driven before.

    .. math:: \dot\theta' = \operatorname{clip}(\dot\theta + \Delta t (\tfrac{3 g}{2 l} \sin\theta + \tfrac{3}{m l^2}
              u), \pm 8), \quad \theta' = \theta + \Delta t \, \dot\theta', \quad
              r = -(\theta^2 + 0.1 \dot\theta^2 + 0.001 u^2)

    with g = 9.81, m = l = 1, a step of 0.05 s, episodes of 200 steps, and every episode from a start of its own. The
    reward is that of the state before the step, with the angle between -pi and pi.

    Args:
        seed: of starts and torques; the three parts have streams of their own.
        episodes: how many for training, validation and test.
        folder: where the data are kept, or have been kept. Without it, the folder that the environment variable
            `ELLZERO_DATA` names; without that, they are made anew, which takes some 15 seconds.

    Returns:
        The three parts.

    Raises:
        DataError: if the folder does not exist, or a kept file is damaged or of other settings.
        MissingExtraError: if the data have to be made and gymnasium is not installed.
        ValueError: if there is a part without episodes.

    Source:
        Botteghi & Fasel (2024), https://arxiv.org/abs/2409.03489, section 5.
    """
    if min(episodes) < 1:
        raise ValueError(f"training, validation and test need one episode each at least, got {episodes}")
    name = f"pendulum-g{GRAVITY}-{'-'.join(map(str, episodes))}-seed{seed}.safetensors"
    path = _place(folder)
    if path is not None and (path / name).exists():
        return _read(path / name)
    split = _drive(seed, episodes)
    if path is not None:
        write_whole(path / name, _packed(split))
    return split


def _place(folder: Path | str | None) -> Path | None:
    given = folder or os.environ.get("ELLZERO_DATA")
    if given is None:
        return None
    path = Path(given)
    if not path.is_dir():
        origin = "the data folder" if folder else "the ELLZERO_DATA folder"
        raise DataError(f"{origin} {path} does not exist; make it first, or leave it out to make the data anew")
    return path


def _drive(seed: int, episodes: tuple[int, int, int]) -> Split:
    environment = _environment()
    streams = np.random.SeedSequence(seed).spawn(len(_PARTS))
    parts = [
        _episodes(environment, num, np.random.default_rng(stream))
        for num, stream in zip(episodes, streams, strict=True)
    ]
    environment.close()
    return Split(*parts)


def _environment() -> Any:
    try:
        gymnasium = importlib.import_module("gymnasium")
    except ImportError as error:
        raise MissingExtraError(
            'driving the pendulum needs gymnasium, which is not installed; run: pip install "ellzero[control]"'
        ) from error
    return gymnasium.make("Pendulum-v1", g=GRAVITY, max_episode_steps=STEPS)


def _episodes(environment: Any, num: int, random: np.random.Generator) -> Interaction:
    inputs, following, rewards = [], [], []
    for _ in range(num):
        seen, _ = environment.reset(seed=int(random.integers(2**31)))
        torques = random.uniform(-2.0, 2.0, (STEPS, 1)).astype(np.float32)
        for torque in torques:
            inputs.append([*seen, *torque])
            seen, reward, *_ = environment.step(torque)
            following.append(seen)
            rewards.append([reward])
    return Interaction(*(torch.from_numpy(np.asarray(one, np.float64)) for one in (inputs, following, rewards)))


def _tensors(split: Split) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": getattr(getattr(split, part), name)
        for part in _PARTS
        for name in ("inputs", "next", "reward")
    }


def _sum(tensors: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].numpy().tobytes())
    return found.hexdigest()


def _packed(split: Split) -> bytes:
    tensors = _tensors(split)
    return to_bytes(tensors, metadata={"sha256": _sum(tensors)})


def _read(path: Path) -> Split:
    again = "delete it, and it is made anew"
    try:
        with safe_open(path, "pt") as file:
            metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); {again}") from error
    if metadata.get("sha256") != _sum(tensors):
        raise DataError(f"the content of {path} does not have the SHA-256 that it was written with; {again}")
    parts = [Interaction(*(tensors[f"{part}.{name}"] for name in ("inputs", "next", "reward"))) for part in _PARTS]
    return Split(*parts)
