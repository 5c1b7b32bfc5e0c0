"""Weights that are multiplied by a number before they are used read what they read without it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ellzero as l0


class Scaled(nn.Module):
    """A layer whose weight is used after `change`, between two others."""

    def __init__(self, change):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(5, 2)
        self.weight = nn.Parameter(torch.rand(5, 6) + 1)
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.change = change

    def forward(self, x):
        return self.last(F.linear(self.first(x).relu(), self.change(self.weight, self.scale)).relu())


def gated(change):
    return l0.Gated(Scaled(change).double(), torch.randn(2, 4, dtype=torch.float64)).eval()


@pytest.mark.parametrize(
    "change",
    [
        lambda weight, scale: weight * 0.3,
        lambda weight, scale: scale * weight,
        lambda weight, scale: weight / scale,
        lambda weight, scale: -(weight / 4),
        lambda weight, scale: (2 * weight.t()).t(),
    ],
)
def test_a_weight_that_is_scaled_reads_channels(change):
    network = gated(change)
    assert {group.name for group in network.channels.gated} == {"first", "weight"}
    plan = l0.Plan({"first": (0, 2, 3), "weight": (1,)})
    small = l0.prune(network, plan=plan)
    assert small.weight.shape == (4, 3)
    x = torch.randn(5, 4, dtype=torch.float64)
    with network.planned(plan), torch.no_grad():
        assert torch.allclose(network(x), small(x), atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight, scale: scale / weight,
        lambda weight, scale: weight + scale,
        lambda weight, scale: F.softplus(weight),
    ],
)
def test_a_weight_that_is_not_zero_where_what_it_is_made_of_is_reads_no_channels(change):
    assert "first" in [group.name for group in gated(change).channels.kept]


def test_a_scale_that_follows_the_width_is_found_out():
    kept = gated(lambda weight, scale: weight / weight.shape[1]).channels.group("first")
    assert "uses its width as a number" in kept.reason
