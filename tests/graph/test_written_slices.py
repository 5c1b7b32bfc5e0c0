"""Values that are written into slices of a new tensor: which channels they keep, and whether anything gets through."""

import pytest
import torch
from torch import nn

import ellzero as l0


class Written(nn.Module):
    """What `write` makes of two hidden layers is read by the last."""

    def __init__(self, write, num=8):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(num, 3)
        self.write = write

    def forward(self, x):
        return self.last(self.write(self.one(x), self.two(x)))


def later(p, q):
    out = torch.zeros_like(p)
    out[:, 1:] = p[:, :-1]
    return out + q


def from_nothing(p, q):
    out = torch.empty(p.shape, dtype=p.dtype)
    out[:, :2], out[:, 2:] = p[:, :2], q[:, :-2]
    return out


def by_steps(p, q):
    out = p.new_zeros(p.shape[0], 2 * p.shape[1], p.shape[2])
    out[:, ::2], out[:, 1::2] = p, q
    return out


def one_by_one(p, q):
    out = torch.empty(p.shape, dtype=p.dtype)
    for time in range(p.shape[1]):
        out[:, time] = p[:, time] * q[:, -1]
    return out


def added(p, q):
    p[:, 1:] += q[:, :-1]
    p[:, :1].mul_(2.0)
    return p


def through_a_view(p, q):
    out = torch.zeros(p.shape, dtype=p.dtype)
    out.view(-1, p.shape[-1])[1::2] = (p * q).flatten(0, 1)[::2]
    return out


def held(gated, plan, *inputs):
    """The network, cut; on other inputs it returns what the gated one does."""
    small = l0.prune(gated, plan=plan).eval()
    with gated.eval().planned(plan), torch.no_grad():
        assert torch.allclose(gated(*inputs), small(*inputs), atol=1e-12)
    return small


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("write", [later, from_nothing, by_steps, one_by_one, added, through_a_view])
def test_what_is_written_at_positions_keeps_its_channels(write):
    gated = l0.Gated(Written(write).double(), double(2, 6, 5))
    assert [(group.name, group.size, group.removable) for group in gated.channels.gated] == [("one", 8, False)]
    assert held(gated, l0.Plan({"one": (0, 3)}), double(3, 6, 5)).last.in_features == 6


def every_other_channel(p, q):
    out = torch.zeros(*p.shape[:-1], 2 * p.shape[-1], dtype=p.dtype)
    out[..., ::2], out[..., 1::2] = p, q
    return out


def test_what_is_written_at_every_other_channel_is_cut_in_pairs():
    gated = l0.Gated(Written(every_other_channel, 16).double(), double(2, 5))
    assert held(gated, l0.Plan({"one": (0, 3)}), double(3, 5)).last.in_features == 12


def side_by_side(p, q):
    out = torch.empty(p.shape[0], 16, dtype=p.dtype)
    out[:, :8], out[:, 8:] = p, q
    return out


def test_places_of_channels_that_a_forward_pass_fixes_are_corrected_in_an_exported_graph():
    model = Written(side_by_side, 16).double()
    assert l0.trace(model, double(2, 5)).num_gates == 0
    gated = l0.Gated(model, double(2, 5), channels=l0.trace(model, double(2, 5), exported=True))
    assert {group.name: group.removable for group in gated.channels.gated} == {"one": True, "two": False}
    small = held(gated, l0.Plan({"one": (0, 3), "two": (1,)}), double(2, 5))
    assert small.get_parameter("last.weight").shape == (3, 13)
