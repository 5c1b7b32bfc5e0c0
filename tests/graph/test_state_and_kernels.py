"""Networks that keep state between calls, kernels that refuse what shapes allow, norms that turn their input."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ellzero as l0
from ellzero.errors import TraceError


class Remembering(nn.Module):
    """Adds what it computed last, which it keeps as a plain attribute and in a list."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)
        self.last = None
        self.seen = ()

    def forward(self, x):
        hidden = self.one(x).relu()
        if self.last is not None and self.last.shape == hidden.shape:
            hidden = hidden + 0 * self.last
        self.last, self.seen = hidden, (*self.seen, hidden)
        return self.two(hidden)


def test_state_of_one_run_does_not_reach_the_next():
    network = Remembering()
    gated = l0.Gated(network, torch.randn(3, 4))
    assert network.last is None
    assert network.seen == ()
    assert gated.channels.group("one").reason == ""
    assert gated.channels.num_gates == 8


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_a_branch_that_is_enlarged_keeps_a_channel(mode):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(16, 2, 1)

        def forward(self, x):
            large = F.interpolate(self.a(x), scale_factor=2, mode=mode)
            return self.out(torch.cat([large, F.interpolate(self.b(x), scale_factor=2)], 1))

    gated = l0.Gated(Branches().double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)).eval()
    assert not any(group.removable for group in gated.channels.gated)
    plan = l0.Plan({"a": tuple(range(7))})
    small = l0.prune(gated, plan=plan)
    x = torch.randn(3, 3, 6, 6, dtype=torch.float64)
    with gated.planned(plan), torch.no_grad():
        assert torch.allclose(gated(x), small(x), atol=1e-12)


class ChannelsFirst(nn.Module):
    """A layer norm of images, whose channels it brings to the end itself."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias)
        return last.permute(0, 3, 1, 2)


@pytest.mark.parametrize("side", [6, 8])  # as many pixels as channels would fit by accident
def test_the_width_under_a_norm_that_turns_its_input_is_kept(side):
    network = nn.Sequential(nn.Conv2d(3, 8, 1), ChannelsFirst(8), nn.Conv2d(8, 5, 1), nn.ReLU(), nn.Conv2d(5, 2, 1))
    channels = l0.trace(network, torch.randn(2, 3, side, side), width=True)
    assert "normalised together in '1'" in channels.group("0").reason
    assert channels.group("2").reason == ""


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Linear(4, 3), r"at aten\.\w+: it was given .*float32"),
        (nn.Conv1d(4, 3, 1), "Input type .* should be the same"),
    ],
)
def test_an_example_of_another_dtype_is_refused_with_the_module(layer, message, dtype):
    network = nn.Sequential(nn.Identity(), layer, nn.Flatten())
    example = torch.zeros(2, 4, 4).to(dtype)
    with pytest.raises(TraceError, match=rf"failed in '1' .*{message}"):
        l0.trace(network, example)


def test_an_example_of_another_dtype_is_fine_where_the_network_casts_it():
    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.two(self.one(x.float()).relu())

    assert l0.trace(Casting(), torch.zeros(2, 4, dtype=torch.int64)).num_gates == 3


class Timed(nn.Module):
    """Tells the profiler what it is doing."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        with torch.profiler.record_function("hidden"):
            hidden = self.one(x).relu()
        return self.two(hidden)


def test_parts_that_are_timed_are_pruned_like_others():
    gated = l0.Gated(Timed().double(), torch.randn(3, 4, dtype=torch.float64)).eval()
    assert [(group.name, group.size) for group in gated.channels.gated] == [("one", 8)]
    plan = l0.Plan({"one": (0, 2, 3)})
    x = torch.randn(5, 4, dtype=torch.float64)
    with gated.planned(plan), torch.no_grad():
        assert torch.allclose(gated(x), l0.prune(gated, plan=plan)(x), atol=1e-12)


class Ranging(nn.Module):
    """In training a branch keeps the range of its numbers, as quantisation does."""

    def __init__(self, largest):
        super().__init__()
        self.up, self.down, self.out = nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 2)
        self.register_buffer("top", torch.ones(()))
        self.largest = largest

    def forward(self, x):
        hidden = self.up(x).relu()
        if self.training:
            self.top.mul_(0.9).add_(0.1 * self.largest(hidden.detach()))
        return self.out(x + self.down(hidden / self.top))


@pytest.mark.parametrize(
    "largest", [lambda h: h.max(), lambda h: h.max(1)[0].mean(), lambda h: -(-h).min(), lambda h: h.median(1)[0].sum()]
)
def test_a_branch_whose_range_is_kept_in_training_keeps_a_channel(largest):
    gated = l0.Gated(Ranging(largest), torch.randn(3, 4))
    assert [(group.name, group.removable) for group in gated.channels.gated] == [("up", False)]
    small = l0.prune(gated, plan=l0.Plan({"up": tuple(range(7))})).train()
    assert small(torch.randn(5, 4)).isfinite().all()


def looking(hidden):
    """As I-BERT does, which can only be seen with numbers."""
    top = hidden.max()
    assert top.isnan().sum() == 0, "NaN"
    return top


@pytest.mark.parametrize("largest", [looking, lambda h: h.mean() if h.mean() > -1 else h.new_tensor(torch.nan)])
def test_a_branch_at_whose_numbers_training_looks_keeps_a_channel(largest):
    test_a_branch_whose_range_is_kept_in_training_keeps_a_channel(largest)


def test_training_that_fails_anyway_says_nothing_about_a_branch():
    def refuse(hidden):
        raise RuntimeError("no training here" if hidden.sum() < torch.inf else "")

    assert l0.trace(Ranging(refuse), torch.randn(3, 4)).group("up").removable


def test_a_branch_without_a_range_may_go():
    assert l0.trace(Ranging(torch.sum), torch.randn(3, 4)).group("up").removable
