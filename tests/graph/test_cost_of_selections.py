"""What is selected right before its reader is whole everywhere else, and so costs what it did there."""

import torch
from torch import nn

import ellzero as l0
from ellzero.graph import Costs, Target


def announced_and_counted(model, example, **options):
    """Multiply-adds of the network without every other channel of its first group."""
    gated = l0.Gated(model, example, **options).eval()
    group = gated.channels.gated[0]
    plan = l0.Plan({group.name: tuple(range(0, group.size, 2))})
    (announced,) = Costs(gated.layout, [Target("macs")]).exact(plan.open_gates(gated.layout))
    return group, announced, l0.count(l0.prune(gated, plan=plan), example).macs


class AlongOther(nn.Module):
    """A linear layer reads one dimension of the input while the other, that of channels, goes through."""

    def __init__(self):
        super().__init__()
        self.one, self.mix, self.two = nn.Conv1d(5, 3, 1), nn.Linear(4, 2), nn.Conv1d(5, 3, 1)

    def forward(self, x):
        return self.one(x).mean(2), self.two(self.mix(x))


def test_a_layer_that_input_channels_only_pass_costs_the_same_whatever_is_selected_later():
    group, announced, counted = announced_and_counted(AlongOther().eval(), torch.randn(2, 5, 4), inputs=True)
    assert (group.kind, group.readers) == ("input", ["one.weight", "two.weight"])
    assert announced == counted == 2 * 4 * 2 * 3 + 2 * 5 * 4 * 2 + 2 * 2 * 2 * 3


class Similarities(nn.Module):
    """Parts of tokens are compared with each other, and a linear layer reads the comparisons."""

    def __init__(self):
        super().__init__()
        self.embed, self.last = nn.Embedding(7, 4), nn.Linear(6, 2)

    def forward(self, tokens):
        parts = self.embed(tokens).view(len(tokens), -1, 2)
        return self.last(parts @ parts.mT)


def test_positions_do_not_shorten_the_products_before_their_reader():
    group, announced, counted = announced_and_counted(Similarities().eval(), torch.tensor([[1, 2, 0]]), positions=True)
    assert (group.kind, group.size) == ("positions", 6)
    assert announced == counted == 6 * 6 * 2 + 6 * 3 * 2


class Parted(nn.Module):
    """Some channels are mixed along the other dimension, and also flattened; linear layers read them."""

    def __init__(self):
        super().__init__()
        self.one, self.mix = nn.Conv1d(2, 8, 1), nn.Linear(3, 5)
        self.two, self.last, self.rest = nn.Linear(20, 2), nn.Linear(12, 2), nn.Conv1d(4, 2, 1)

    def forward(self, x):
        wide = self.one(x).relu()
        return self.last(wide[:, :4].flatten(1)), self.two(self.mix(wide[:, :4]).flatten(1)), self.rest(wide[:, 4:])


def test_positions_are_not_gated_where_their_number_measures_other_work():
    options = {"positions": True, "exported": True}
    group, announced, counted = announced_and_counted(Parted().eval(), torch.randn(6, 2, 3), **options)
    assert (group.kind, group.size) == ("channels", 4)
    assert announced == counted
