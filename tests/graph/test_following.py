"""Stored indices write and place channels, and modules keep the books of what is cut."""

import torch
from torch import nn

import ellzero as l0
from ellzero.graph import FollowsCut


class Picked(FollowsCut):
    """Some powers of the input, by a stored index, with their names."""

    def __init__(self):
        super().__init__()
        self.names = ("one", "x", "x^2", "x^3")
        self.register_buffer("index", torch.tensor([3, 1, 0, 2]), persistent=False)

    def forward(self, x):
        powers = torch.stack([torch.ones_like(x[..., 0]), x[..., 0], x[..., 0] ** 2, x[..., 0] ** 3])
        return powers.index_select(0, self.index).movedim(0, -1)

    def follow_cut(self, kept):
        if ("index", 0) in kept:
            self.names = tuple(self.names[self.order()[number]] for number in kept["index", 0].tolist())

    def order(self):
        return [3, 1, 0, 2]


class Placed(nn.Module):
    """A matrix whose entries stand in places of a stored index."""

    def __init__(self, places, *, parts=5):
        super().__init__()
        self.entries = nn.Parameter(torch.randn(len(places)))
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.parts = parts

    def forward(self, x):
        empty = torch.zeros(2 * self.parts, dtype=self.entries.dtype, device=self.entries.device)
        return x @ empty.index_add(0, self.places, self.entries).view(2, self.parts).T


def test_a_stored_index_writes_channels_and_names_follow_the_cut():
    net = nn.Sequential(Picked(), nn.Linear(4, 2)).double()
    gated = l0.Gated(net, torch.randn(5, 1).double())
    assert [(g.name, g.size, g.writers) for g in gated.channels.gated] == [("0", 4, ["0.index"])]
    small = l0.prune(gated, plan=l0.Plan({"0": (1, 3)}))
    assert small[0].names == ("x^3", "one")
    assert small[0].index.tolist() == [3, 0]
    assert net[0].names == ("one", "x", "x^2", "x^3")


def test_entries_in_stored_places_are_channels_even_where_two_share_a_place():
    net = Placed([0, 3, 3, 7, 9]).double()
    gated = l0.Gated(net, torch.randn(4, 5).double())
    assert [(g.size, g.readers) for g in gated.channels.gated] == [(5, ["entries"])]
    small = l0.prune(gated, plan=l0.Plan({gated.channels.gated[0].name: (0, 2)}))
    assert small.places.tolist() == [3, 7, 9]


def test_an_index_that_selects_from_channels_is_still_kept():
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 2)
            self.register_buffer("index", torch.tensor([5, 4, 3, 2, 1, 0]))

        def forward(self, x):
            return self.second(self.first(x).index_select(-1, self.index))

    assert not l0.trace(Shuffled(), torch.zeros(1, 3)).gated
