"""Recurrent layers in all their forms: projected states, learned first states, packed sequences, cells in a loop."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import ellzero as l0
from ellzero.graph import Plan

VALUES = torch.randn(3, 5, 4).double()


class Layer(nn.Module):
    """Values, a recurrent layer, and a head on what it returns."""

    def __init__(self, cells, width=8):
        super().__init__()
        self.embed, self.cells, self.head = nn.Linear(4, 6), cells, nn.Linear(width, 3)

    def forward(self, values: Tensor) -> Tensor:
        return self.head(self.run(self.embed(values).relu()))

    def run(self, values: Tensor) -> Tensor:
        return self.cells(values)[0]


def projected(**options):
    width = 10 if options.get("bidirectional") else 5
    return Layer(nn.LSTM(6, 8, batch_first=True, proj_size=5, **options), width)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True}])
def test_projections_of_a_state_go_and_the_state_stays_wider(options, hold_against_mask):
    channels = hold_against_mask(projected(**options), VALUES)
    assert [(group.name, group.size) for group in channels.gated] == [("embed", 6), ("cells#2", 5)]
    assert channels.group("cells").reason.startswith("is the state that 'cells' projects, which has to stay wider")


@pytest.mark.parametrize("exported", [False, True])
def test_a_layer_knows_how_many_projections_are_left(exported):
    gated = l0.Gated(projected().double(), VALUES, exported=exported).eval()
    (name,) = (group.name for group in gated.channels.gated if group.size == 5)
    plan = Plan({name: (0, 3)})
    small = l0.prune(gated, plan=plan)
    if not exported:
        assert (small.cells.hidden_size, small.cells.proj_size) == (8, 3)
    with gated.planned(plan), torch.no_grad():
        torch.testing.assert_close(small(VALUES), gated(VALUES), rtol=0, atol=1e-12)


class Started(Layer):
    """The first state is learned, one for all sequences."""

    def __init__(self, kind):
        super().__init__(kind(6, 8, batch_first=True))
        self.hidden, self.memory = (nn.Parameter(torch.randn(1, 1, 8)) for _ in range(2))

    def run(self, values):
        hidden, memory = (one.expand(-1, len(values), -1).contiguous() for one in (self.hidden, self.memory))
        return self.cells(values, (hidden, memory) if isinstance(self.cells, nn.LSTM) else hidden)[0]


class Packed(Layer):
    """Sequences of different lengths."""

    def run(self, values):
        packed = pack_padded_sequence(values, [5, 2, 3][: len(values)], batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.cells(packed)[0], batch_first=True)[0]


class PackedLast(Packed):
    """Only the last states count."""

    def run(self, values):
        packed = pack_padded_sequence(values.transpose(0, 1), [5, 3, 2], enforce_sorted=True)
        state = self.cells(packed)[1]
        return (state[0] if isinstance(state, tuple) else state)[-1]


class Stepped(Layer):
    """A cell in a loop, from zeros or from a state that is learned."""

    def __init__(self, cell, *, is_learned=False):
        super().__init__(cell)
        self.hidden, self.memory = (nn.Parameter(torch.randn(8)) if is_learned else None for _ in range(2))

    def run(self, values):
        state, steps, is_pair = None, [], isinstance(self.cells, nn.LSTMCell)
        if self.hidden is not None:
            hidden, memory = (one.expand(len(values), -1) for one in (self.hidden, self.memory))
            state = (hidden, memory) if is_pair else hidden
        for place in range(values.shape[1]):
            state = self.cells(values[:, place], state)
            steps.append(state[0] if is_pair else state)
        return torch.stack(steps, 1)


FORMS = {
    "a learned state, LSTM": lambda: Started(nn.LSTM),
    "a learned state, GRU": lambda: Started(nn.GRU),
    "packed, LSTM": lambda: Packed(nn.LSTM(6, 8, batch_first=True)),
    "packed, GRU in both directions": lambda: Packed(nn.GRU(6, 8, 2, batch_first=True, bidirectional=True), 16),
    "the last of packed ones, LSTM": lambda: PackedLast(nn.LSTM(6, 8)),
    "the last of packed ones, GRU": lambda: PackedLast(nn.GRU(6, 8)),
    "a cell, LSTM": lambda: Stepped(nn.LSTMCell(6, 8)),
    "a cell, GRU": lambda: Stepped(nn.GRUCell(6, 8)),
    "a cell, RNN": lambda: Stepped(nn.RNNCell(6, 8)),
    "a cell from a learned state, LSTM": lambda: Stepped(nn.LSTMCell(6, 8), is_learned=True),
    "a cell from a learned state, GRU": lambda: Stepped(nn.GRUCell(6, 8), is_learned=True),
}


@pytest.mark.parametrize("word", FORMS)
def test_units_are_found_and_cut_exactly_in_every_form(word, hold_against_mask):
    channels = hold_against_mask(FORMS[word](), VALUES)
    assert sorted((group.name, group.size) for group in channels.gated) == [("cells", 8), ("embed", 6)]
    assert "head.weight" in channels.group("cells").readers
    if "learned" in word:
        assert "hidden" in {member.tensor for member in channels.group("cells").members}


def test_what_two_matrices_sum_over_goes_as_one(hold_against_mask):
    class Merged(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(6, 5))
            self.last = nn.Linear(6, 3)

        def forward(self, values):
            return self.last(F.linear(values, self.up @ self.down).relu())

    channels = hold_against_mask(Merged(), VALUES)
    assert [(group.size, group.readers) for group in channels.gated if group.size == 5] == [(5, ["down"])]
