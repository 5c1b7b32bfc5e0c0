from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ellzero.artifacts import save
from ellzero.gates import Gated
from ellzero.graph import Plan
from ellzero.surgery import prune


def build_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.fixture
def build() -> Callable[[], nn.Module]:
    return build_mlp


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return prune(Gated(build_mlp(), torch.zeros(1, 4)), plan=Plan({"0": (1, 4)}))


@pytest.fixture
def folder(tmp_path: Path, small: nn.Module) -> Path:
    """An artifact."""
    save(small, tmp_path / "artifact")
    return tmp_path / "artifact"
