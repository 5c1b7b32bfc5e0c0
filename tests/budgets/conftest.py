"""Small networks that every test of budgets runs over."""

import pytest
import torch
from torch import nn

from ellzero.gates import Gated


class Residual(nn.Module):
    """A stem, a branch that may go entirely, and a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner = nn.Linear(6, 8), nn.Linear(8, 5)
        self.outer, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.outer(self.inner(x).relu()))


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 7), nn.ReLU(),
                         nn.Linear(7, 2))  # fmt: skip


FLAT, IMAGE = torch.zeros(1, 6), torch.zeros(1, 1, 6, 6)
NETWORKS = {
    "mlp": lambda: Gated(mlp(), FLAT),
    "mlp-inputs": lambda: Gated(mlp(), FLAT, inputs=True),
    "residual": lambda: Gated(Residual(), FLAT, inputs=True),
    "cnn": lambda: Gated(cnn(), IMAGE),
    "cnn-positions": lambda: Gated(cnn(), IMAGE, positions=True),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def gated(request):
    """Every small network with its gates."""
    torch.manual_seed(0)
    return request.param()


@pytest.fixture
def small():
    """The plain one, with gated inputs."""
    torch.manual_seed(0)
    return NETWORKS["mlp-inputs"]()
