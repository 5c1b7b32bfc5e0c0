"""Patches of pixels laid out as channels, and back: `unfold` and `fold`, `pixel_shuffle` and its inverse."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ellzero as l0
from ellzero.graph import Plan, trace


class Patches(nn.Module):
    """Four maps, a function of them, and a layer on every place."""

    def __init__(self, function, reads):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(reads, 5)
        self.weight = nn.Parameter(torch.randn(6, 4, 2, 2))
        self.function = function

    def forward(self, images):
        return self.last(self.function(self, self.first(images).relu()).flatten(2).transpose(1, 2))


def by_hand(model, maps):
    """A convolution as it is taught."""
    return model.weight.flatten(1) @ F.unfold(maps, 2, padding=1, stride=2)


PATCHES = {
    "unfolded": (lambda m, h: F.unfold(h, 3), 36, [4]),
    "unfolded, with holes": (lambda m, h: F.unfold(h, (3, 2), dilation=2, padding=(1, 0), stride=(2, 1)), 24, [4]),
    "unfolded, without a batch": (lambda m, h: torch.stack([F.unfold(one, 2) for one in h]), 16, [4]),
    "a convolution by hand": (by_hand, 6, [6, 4]),
    "unfolded and folded": (lambda m, h: F.fold(F.unfold(h, 3, padding=1), h.shape[2:], 3, padding=1), 4, [4]),
    "folded": (lambda m, h: F.fold(torch.cat([h, h], 1).flatten(2), (12, 12), 2, stride=2), 2, [1]),
    "shuffled": (lambda m, h: F.pixel_shuffle(torch.cat([h, h], 1), 2), 2, [1]),
    "unshuffled": (lambda m, h: F.pixel_unshuffle(h, 2), 16, [4]),
}


@pytest.mark.parametrize("word", PATCHES)
def test_a_channel_goes_with_all_pixels_of_its_patches(word, hold_against_mask):
    function, reads, sizes = PATCHES[word]
    channels = hold_against_mask(Patches(function, reads), torch.randn(2, 3, 6, 6).double())
    assert [group.size for group in channels.gated] == sizes


def test_channels_that_fold_to_one_are_one(hold_against_mask):
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Unflatten(1, (-1, 1)), nn.Fold((2, 2), 2), nn.Conv2d(3, 2, 2))
    (group,) = hold_against_mask(model, torch.randn(2, 5).double()).gated
    assert (group.size, len(group.members[0].index)) == (3, 12)
    assert group.members[0].index[:4] == range(4)


@pytest.mark.parametrize(
    "function", [lambda h: F.unfold(h[:, None], (2, 1)), lambda h: F.pixel_unshuffle(h[:, None], 2)]
)
def test_pixels_that_are_channels_are_kept(function):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.LazyLinear(3)

        def forward(self, values):
            return self.last(function(self.first(values)).flatten(1))

    model, example = Rows(), torch.randn(2, 4, 5)
    model(example)
    assert "is rearranged by" in trace(model, example).group("first").reason


def test_unfolded_maps_of_an_exported_graph_are_cut():
    torch.manual_seed(0)
    example = torch.randn(2, 3, 6, 6).double()
    model = Patches(lambda m, h: F.fold(F.unfold(h, 3), (6, 6), 3).view(-1, 4, 36), 4).double()
    network = l0.Gated(model, example, exported=True).eval()
    plan = Plan({"first": (1, 2)})
    small = l0.prune(network, plan=plan)
    with network.planned(plan), torch.no_grad():
        torch.testing.assert_close(small(example), network(example), rtol=0, atol=1e-12)
