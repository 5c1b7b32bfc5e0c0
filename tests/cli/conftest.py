"""What the tests of the command line share: short trainings, and a module of a user's own."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ellzero.cli import main

MINE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def build():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

def loaders():
    inputs = torch.randn(64, 6)
    data = TensorDataset(inputs, inputs[:, :3].argmax(1))
    return DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=32)

def poisoned():
    inputs = torch.randn(4, 8, 6)
    inputs[2, 0, 0] = float("nan")
    return [(part, torch.zeros(8, dtype=torch.int64)) for part in inputs], None

def regression():
    return [(torch.randn(8, 6), torch.randn(8, 3))] * 8, [(torch.randn(8, 6), torch.randn(8, 3))]

def poisoned_test():
    train, test = loaders()
    spoiled = [(inputs.clone(), targets) for inputs, targets in test]
    spoiled[1][0][0, 0] = float("nan")
    return train, spoiled

def poisoned_targets():
    train, test = regression()
    return train, [(inputs, targets * float("inf")) for inputs, targets in test]

def empty_test():
    return loaders()[0], [(torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))] * 2

class Drying:
    # Its third pass gives nothing, or raises.
    def __init__(self, what):
        self.what, self.num = what, 0

    def __len__(self):
        return 1

    def __iter__(self):
        self.num += 1
        if self.num == 3 and self.what == "raises":
            raise OSError("the disk is gone")
        yield from loaders()[1] if self.num < 3 or self.what == "raises" else []

def drying():
    return loaders()[0], Drying("dries up")

def raising():
    return loaders()[0], Drying("raises")

def squared(outputs, targets):
    return (outputs - targets).square().mean()

def once():
    return iter([(torch.zeros(8, 6), torch.zeros(8))]), None

def broken():
    raise KeyError("no such thing")
"""

SHORT = ["train", "digits", "--epochs", "2", "--budget", "params=0.5"]


@pytest.fixture
def mine(tmp_path, monkeypatch) -> str:
    """The name of a fresh module in the current folder."""
    name = "mine_" + "".join(filter(str.isalnum, tmp_path.name))
    (tmp_path / f"{name}.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


@pytest.fixture(scope="session")
def short(tmp_path_factory) -> Path:
    """The folder of one short training of the digits."""
    folder = tmp_path_factory.mktemp("short") / "digits"
    assert main([*SHORT, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def facts() -> Callable[[Path], dict]:
    """Reads a report, without its times."""

    def read(folder: Path) -> dict:
        content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        del content["timing"]
        return content

    return read


@pytest.fixture(scope="session")
def files() -> Callable[[Path], dict[str, bytes]]:
    """Reads every file below a folder."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
