"""Whatever a network returns its tensors in, they are found, pinned and compared."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import nn

from ellzero.errors import TraceError
from ellzero.gates import Gated
from ellzero.graph import Plan, tensors_in
from ellzero.surgery import prune


@dataclass
class Extras:
    hidden: torch.Tensor
    name: str = "extras"


class Slotted:
    __slots__ = ("hidden",)

    def __init__(self, hidden):
        self.hidden = hidden


class Listed(list):
    pass


class Pair(NamedTuple):
    logits: torch.Tensor
    hidden: torch.Tensor


HOLDERS = {
    "dataclass in a tuple": lambda y, h: (y, Extras(h)),
    "dataclass in a mapping": lambda y, h: {"y": y, "extras": Extras(h)},
    "object in a list": lambda y, h: [y, SimpleNamespace(inner=SimpleNamespace(h=h))],
    "slots": lambda y, h: (y, Slotted(h)),
    "named tuple": Pair,
    "subclass of list": lambda y, h: Listed([y, h]),
}


class Net(nn.Module):
    def __init__(self, hold):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)
        self.hold = hold

    def forward(self, x):
        hidden = torch.relu(self.a(x))
        return self.hold(self.c(torch.relu(self.b(hidden))), hidden)


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS.keys())
def test_a_tensor_that_is_returned_anywhere_is_an_output(hold):
    gated = Gated(Net(hold), torch.randn(3, 4))
    kept = {group.name: group.reason for group in gated.channels.kept}
    assert kept["a"] == "is an output of the network"
    small = prune(gated, plan=Plan({"b": (0, 2)}))
    outputs = tensors_in(small(torch.randn(3, 4)))
    assert [tuple(output.shape) for output in outputs] == [(3, 2), (3, 6)]


def test_an_object_that_cannot_be_looked_into_is_refused():
    with pytest.raises(TraceError, match="cannot be looked into"):
        tensors_in([iter(())])


def test_an_object_that_holds_itself_ends():
    loop = SimpleNamespace(value=torch.ones(1))
    loop.me = loop
    assert len(tensors_in(loop)) == 1


def test_an_example_without_data_is_refused():
    with pytest.raises(TraceError, match="holds no data"):
        Gated(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(0, 4))
