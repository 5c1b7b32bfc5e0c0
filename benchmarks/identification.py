"""Shared by the benchmarks of dynamics: ellzero and pysindy on the same data, judged by the same rules."""

__all__ = ["ellzero_finds", "matrix", "peers_find", "polynomial_names"]

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ellzero import dictionary
from peer import python_of_peer


def polynomial_names(states: int, degree: int) -> tuple[str, ...]:
    """The terms in the order in which coefficients are compared, as pysindy writes them too."""
    return dictionary.polynomial([f"x{index}" for index in range(states)], degree).names


def ellzero_finds(
    runs: Sequence[np.ndarray], stamps: np.ndarray, degree: int, *, refine: bool = True
) -> dict[str, Any]:
    """Coefficients and time of a fit that is told nothing but the dictionary."""
    torch.set_num_threads(1)
    names = [f"x{index}" for index in range(runs[0].shape[1])]
    begin = time.perf_counter()
    model = dictionary.Dynamics(dictionary=dictionary.polynomial(names, degree), refine=refine)
    model.fit(list(runs), t=stamps)
    return {"coefficients": model.coefficients(), "seconds": time.perf_counter() - begin}


def peers_find(folder: Path, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """What pysindy finds in every data file of a folder, by name of the file."""
    command = [python_of_peer(cache, "pysindy"), Path(__file__).with_name("peer_pysindy.py"), folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row["found"] for row in rows}


def matrix(found: dict[str, Any], names: Sequence[str]) -> np.ndarray:
    """Coefficients of a peer in the order of the names; zeros where it failed."""
    place = {name: index for index, name in enumerate(found.get("names", []))}
    rows = np.array(found["coefficients"]) if "coefficients" in found else np.zeros((1, 0))
    return np.stack([rows[:, place[name]] if name in place else np.zeros(len(rows)) for name in names], 1)
