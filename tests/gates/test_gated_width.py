"""Width under normalisation: statistics over the open channels, and a cut network that computes the same."""

import pytest
import torch
from torch import Tensor, nn

import ellzero as l0
from ellzero.graph import Channels, Plan, trace

VOCABULARY, WIDTH = 11, 8


class RootMeanSquare(nn.Module):
    """Written out, as language models do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, values: Tensor) -> Tensor:
        return self.weight * (values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + 1e-6))


class Block(nn.Module):
    def __init__(self, norm) -> None:
        super().__init__()
        self.norm, self.up, self.down = norm(WIDTH), nn.Linear(WIDTH, 6), nn.Linear(6, WIDTH)

    def forward(self, stream: Tensor) -> Tensor:
        return stream + self.down(torch.tanh(self.up(self.norm(stream))))


class Language(nn.Module):
    """A residual stream from an embedding to a head that shares its weight, if `tied`."""

    def __init__(self, norm, *, tied: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.blocks = nn.ModuleList([Block(norm), Block(norm)])
        self.norm, self.head = norm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.embed(tokens) + self.place
        for block in self.blocks:
            stream = block(stream)
        return self.head(self.norm(stream))


NORMS = {"layer norm": nn.LayerNorm, "root mean square": nn.RMSNorm, "written out": RootMeanSquare}
EXAMPLE = torch.arange(10).view(2, 5) % VOCABULARY


@pytest.fixture(params=NORMS.values(), ids=NORMS.keys())
def norm(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def model(request, norm):
    torch.manual_seed(0)
    network = Language(norm, tied=request.param).double()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    return network


def stream_of(channels: Channels):
    return next(group for group in channels.groups if "blocks.0.down.weight" in group.writers)


def test_the_stream_is_kept_unless_asked_for(model):
    reason = stream_of(trace(model, EXAMPLE)).reason
    assert "normalised together" in reason or "reduced over channels by mean" in reason
    assert not stream_of(trace(model, EXAMPLE, width=True)).reason


def test_the_cut_network_equals_the_gated_one(model):
    gated = l0.Gated(model, EXAMPLE, width=True)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        with torch.no_grad():
            gated.log_odds.copy_(torch.randn(len(gated.log_odds), generator=generator) * 2 - 1.5)
        small = l0.prune(gated)
        gated.eval()
        with torch.no_grad():
            expected, found = gated(EXAMPLE), small.eval()(EXAMPLE)
        assert float((found - expected).abs().max()) <= 1e-10 * float(expected.abs().max())
    assert small.embed.weight.shape[1] == small.norm.weight.shape[0] == small.blocks[0].up.in_features < WIDTH


def test_shut_channels_change_nothing_whatever_they_hold(model):
    gated = l0.Gated(model, EXAMPLE, width=True).eval()
    plan = Plan({stream_of(gated.channels).name: (1, 4, 6)})
    with gated.planned(plan):
        before = gated(EXAMPLE)
        with torch.no_grad():
            model.place[:, :, [1, 4, 6]] += 100.0
        torch.testing.assert_close(gated(EXAMPLE), before, rtol=1e-12, atol=1e-12)


def test_a_tied_head_stays_tied(norm):
    model = Language(norm, tied=True)
    gated = l0.Gated(model, EXAMPLE, width=True)
    small = l0.prune(gated, plan=Plan({stream_of(gated.channels).name: (0, 3)}))
    assert small.head.weight is small.embed.weight
    assert small.head.weight.shape == (VOCABULARY, WIDTH - 2)


def test_pruning_takes_the_statistics_hooks_off(model):
    gated = l0.Gated(model, EXAMPLE, width=True)
    small = l0.prune(gated, plan=Plan({stream_of(gated.channels).name: (2,)}))
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in small.modules())
    assert any(module._forward_pre_hooks for module in model.modules())


def test_the_stream_learns_under_a_budget(model):
    gated = l0.Gated(model.float(), EXAMPLE, width=True)
    budget = l0.Budget(gated, params=0.5, steps=150)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=5e-2))
    for _ in range(150):
        loss = nn.functional.cross_entropy(gated(EXAMPLE).flatten(0, 1), EXAMPLE.flatten()) + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    small = l0.prune(gated, budget)
    assert l0.count(small, EXAMPLE).params <= budget.limits[0]
    assert torch.isfinite(small(EXAMPLE)).all()


def test_norms_are_plain_data(model):
    channels = trace(model, EXAMPLE, width=True)
    assert [norm.module for norm in channels.norms] == ["blocks.0.norm", "blocks.1.norm", "norm"]
    assert Channels.from_json(channels.to_json()) == channels


def test_a_norm_may_be_called_with_a_keyword():
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.norm, self.head = nn.Linear(4, WIDTH), RootMeanSquare(WIDTH), nn.Linear(WIDTH, 2)

        def forward(self, values: Tensor) -> Tensor:
            return self.head(self.norm(values=self.read(values)))

    values = torch.randn(3, 4).double()
    gated = l0.Gated(Named().double(), values, width=True)
    small = l0.prune(gated, plan=Plan({"read": (0, 5)}))
    assert small.read.out_features == WIDTH - 2


def test_half_precision_counts_wide_streams_rightly():
    model = nn.Sequential(nn.Linear(4, 1000), nn.LayerNorm(1000), nn.Linear(1000, 2)).bfloat16()
    values = torch.randn(3, 4).bfloat16()
    gated = l0.Gated(model, values, width=True).eval()
    small = l0.prune(gated, plan=Plan({"0": tuple(range(1, 1000, 2))}))
    assert small[1].normalized_shape == (500,)
