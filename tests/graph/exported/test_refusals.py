"""What cannot be exported is refused, and what no size in a graph can express is kept, with the reason."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.graph import Plan, trace
from networks.fixed_sizes import Hourglass, Shuffled


def test_control_flow_that_depends_on_the_data_is_refused():
    class Branch(Shuffled):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else super().forward(-x)

    with pytest.raises(TraceError, match=r"cannot be exported.*trace without exported=True"):
        trace(Branch(), torch.randn(3, 10), exported=True)


def test_a_branch_within_the_graph_is_refused():
    class Cond(Shuffled):
        def forward(self, x):
            return torch.cond(x.sum() > 0, self.fc1, lambda y: self.fc1(-y), (x,))

    with pytest.raises(TraceError, match="runs only for some data"):
        trace(Cond(), torch.randn(3, 10), exported=True)


def test_rules_of_the_user_are_refused_together_with_it():
    with pytest.raises(ValueError, match="leave out either rules or exported=True"):
        trace(Shuffled(), torch.randn(3, 10), exported=True, rules={"aten.relu": lambda labels, call: None})


REFUSED = {
    "every other channel after the first": lambda h: F.pad(h[:, 2::2], (1, 0)),
    "a running sum": lambda h: h.cumsum(1)[:, :64],
    "a list of places": lambda h: h[:, list(range(63, -1, -1))],
    "a strided view": lambda h: h.as_strided((h.shape[0], 64), (128, 2)),
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_no_corrected_size_can_express_is_kept_with_the_reason(word):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(10, 128), nn.Linear(64, 3)

        def forward(self, x):
            return self.last(REFUSED[word](self.first(x)))

    channels = trace(Odd(), torch.randn(3, 10), exported=True)
    assert channels.num_gates == 0
    assert len(channels.group("first").reason) > 10


def test_a_convolution_keeps_a_channel_because_no_graph_can_hold_one_without(gated):
    network, _ = gated("an hourglass")
    assert not network.channels.group("down").removable
    assert trace(Hourglass(), torch.randn(2, 1, 8, 8)).group("down").removable


def test_what_a_normalised_weight_writes_is_gated_and_what_it_reads_is_kept_with_the_reason():
    torch.manual_seed(0)
    example = torch.randn(3, 10, dtype=torch.float64)
    network = Shuffled().double()
    parametrizations.weight_norm(network.fc1)
    gated = l0.Gated(network, example, exported=True).eval()
    (group,) = gated.channels.gated
    small = l0.prune(gated, plan=Plan({group.name: (1, 4)}))
    assert sorted(tuple(one.shape) for one in small.parameters()) == [(3,), (3, 96), (96,), (96, 1), (96, 10)]
    reader = Shuffled().double()
    parametrizations.weight_norm(reader.fc2)
    channels = trace(reader, example, exported=True)
    assert not channels.gated
    assert channels.group("fc1").reason == "is read by a computed weight"
