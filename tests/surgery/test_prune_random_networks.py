"""Random networks: whatever is built, pruning computes the same in float64 and costs what the polynomials say."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.graph import Costs, Target

NUM_NETWORKS = 48
PIXELS = 4


class Step(nn.Module):
    """One operation on earlier values, all of shape (batch, width, 4, 4)."""

    def __init__(self, call, sources, **layers):
        super().__init__()
        self.call, self.sources = call, sources
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, values: list[Tensor]) -> Tensor:
        return self.call(self, *(values[source] for source in self.sources))


class RandomNetwork(nn.Module):
    """A graph of steps; the last value is flattened or pooled and read by a linear layer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.dice = random.Random(seed)
        self.widths = [3]
        self.steps = nn.ModuleList()
        self.grow(self.convolution)
        for _ in range(self.dice.randint(3, 7)):
            self.grow(self.dice.choice([self.convolution, self.pointwise, self.join, self.spatial, self.odd]))
        self.flat = self.dice.random() < 0.5
        self.head = nn.Linear(self.widths[-1] * (PIXELS**2 if self.flat else 1), 2)
        del self.dice  # a module may be copied only without generators in use

    def grow(self, kind) -> None:
        width, step = kind(len(self.widths) - 1)
        self.widths.append(width)
        self.steps.append(step)

    def convolution(self, last: int):
        width = self.widths[last]
        divisors = [number for number in range(1, width + 1) if width % number == 0]
        groups = self.dice.choice(divisors)
        out = groups * self.dice.randint(1, max(1, 8 // groups))
        known = [step.layer for step in self.steps if getattr(step, "reusable", None) == width]
        if known and self.dice.random() < 0.5:
            return width, self.reusable(Step(lambda m, x: m.layer(x), [last], layer=self.dice.choice(known)), width)
        if self.dice.random() < 0.2:
            layer = nn.ConvTranspose2d(width, out, 3, padding=1, groups=groups)
        else:
            layer = nn.Conv2d(width, out, 3, padding=1, groups=groups, bias=self.dice.random() < 0.7)
        step = Step(lambda m, x: m.layer(x), [last], layer=layer)
        return out, self.reusable(step, width) if out == width else step

    @staticmethod
    def reusable(step: Step, width: int) -> Step:
        step.reusable = width
        return step

    def pointwise(self, last: int):
        width = self.widths[last]
        layer = self.dice.choice([
            nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.Hardswish(), nn.PReLU(width), nn.BatchNorm2d(width),
            nn.BatchNorm2d(width, affine=False), nn.Dropout2d(), nn.Sequential(nn.BatchNorm2d(width), nn.Sigmoid()),
        ])  # fmt: skip
        before = (lambda m, x: m.layer(x.clone())) if "inplace" in str(layer) else (lambda m, x: m.layer(x))
        return width, Step(before, [last], layer=layer)

    def join(self, last: int):
        alike = [index for index, width in enumerate(self.widths) if index and width == self.widths[last]]
        other = self.dice.choice(alike)
        kind = self.dice.choice(["add", "multiply", "concatenate", "excite", "project"])
        if kind == "add":
            return self.widths[last], Step(lambda m, x, y: x + y, [last, other])
        if kind == "multiply":
            return self.widths[last], Step(lambda m, x, y: x * y.sigmoid(), [last, other])
        if kind == "concatenate":
            other = self.dice.randint(0, last)
            return self.widths[last] + self.widths[other], Step(lambda m, x, y: torch.cat([x, y], 1), [last, other])
        if kind == "excite":
            layer = nn.Sequential(nn.Conv2d(self.widths[other], 3, 1), nn.ReLU(), nn.Conv2d(3, self.widths[last], 1))
            pooled = lambda m, x, y: x * m.layer(y.mean((2, 3), keepdim=True)).sigmoid()  # noqa: E731
            return self.widths[last], Step(pooled, [last, other], layer=layer)
        other = self.dice.randint(0, last)
        layer = nn.Conv2d(self.widths[other], self.widths[last], 1)
        return self.widths[last], Step(lambda m, x, y: x + m.layer(y), [last, other], layer=layer)

    def spatial(self, last: int):
        call = self.dice.choice([
            lambda m, x: F.max_pool2d(x, 3, stride=1, padding=1),
            lambda m, x: F.avg_pool2d(x, 3, stride=1, padding=1),
            lambda m, x: F.interpolate(F.adaptive_avg_pool2d(x, 2), scale_factor=2),
            lambda m, x: F.interpolate(F.adaptive_max_pool2d(x, 3), size=(4, 4), mode="bilinear"),
            lambda m, x: F.pad(x, (1, 0, 0, 1), mode="reflect")[:, :, 1:, :-1],
            lambda m, x: x.flip(2).transpose(2, 3),
            lambda m, x: x - x.mean((2, 3), keepdim=True),
            lambda m, x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        ])  # fmt: skip
        return self.widths[last], Step(call, [last])

    def odd(self, last: int):
        """What must be kept, or what looks like it."""
        width = self.widths[last]
        calls = [
            (width, lambda m, x: x.softmax(1)),
            (width, lambda m, x: x / (1 + x.abs().mean(1, keepdim=True))),
            (width, lambda m, x: torch.linspace(-1, 1, x.shape[1]).to(x).view(-1, 1, 1) * x),
            (width, lambda m, x: x / x.shape[1]),
            (width, lambda m, x: x.flip(1)),
            (width, lambda m, x: x.roll(1, 1)),
            (width, lambda m, x: F.layer_norm(x, x.shape[1:])),
            (width, lambda m, x: torch.einsum("nchw,ncuv->nchw", x, x)),
            (width, lambda m, x: ((f := x.flatten(2)) @ f.transpose(1, 2) / 9).softmax(2).matmul(f).view(x.shape)),
            (width, lambda m, x: x * m.scale.view(-1, 1, 1).add_(0.0) + m.layer(x)),
            (width, lambda m, x: F.conv2d(x, m.layer.weight * 2)),
            (width, lambda m, x: F.conv2d(F.conv2d(x, m.layer.weight), m.layer.weight.transpose(0, 1))),
            (width + 2, lambda m, x: F.pad(x, (0, 0, 0, 0, 1, 1))),
            (width + 2, lambda m, x: torch.cat([x, x.new_ones(len(x), 2, 4, 4)], 1)),
            (2 * width, lambda m, x: x.repeat(1, 2, 1, 1)),
            (max(1, width // 2), lambda m, x: x[:, : max(1, x.shape[1] // 2)]),
        ]
        if width % 2 == 0:
            calls += [
                (width // 2, lambda m, x: F.glu(x, 1)),
                (width // 2, lambda m, x: torch.stack(x.chunk(2, 1)).amax(0)),
                (width, lambda m, x: F.channel_shuffle(x, 2)),
                (width, lambda m, x: x.view(len(x), 2, -1, 4, 4).transpose(1, 2).reshape(x.shape)),
                (width, lambda m, x: F.group_norm(x, 2)),
            ]
        index = self.dice.randrange(len(calls))
        out, call = calls[index]
        if index in (9, 10, 11):
            step = Step(call, [last], layer=nn.Conv2d(width, width, 1, bias=False))
            step.register_buffer("scale", torch.rand(width))
            return out, step
        return out, Step(call, [last])

    def forward(self, images: Tensor) -> Tensor:
        values = [images]
        for step in self.steps:
            values.append(step(values))
        return self.head(values[-1].flatten(1) if self.flat else values[-1].mean((2, 3)))


@pytest.mark.parametrize("seed", range(NUM_NETWORKS))
def test_a_random_network_is_pruned_exactly_or_refused_at_once(seed, gate):
    """Tolerance 1e-12 relative to the largest output; the costs are integers."""
    example = torch.randn(2, 3, PIXELS, PIXELS, dtype=torch.float64)
    options = {"inputs": seed % 3 == 1, "positions": seed % 2 == 1}
    try:
        gated = gate(RandomNetwork(seed), example, seed=seed, share=[0.2, 0.5, 0.8][seed % 3], **options)
    except TraceError as error:
        assert "nothing to gate" in str(error)  # noqa: PT017
        return
    other = torch.randn(3, 3, PIXELS, PIXELS, dtype=torch.float64)
    small = l0.prune(gated)
    with torch.no_grad():
        expected, found = gated(other), small.eval()(other)
    assert (expected - found).abs().max() <= 1e-12 * expected.abs().max().clamp_min(1.0)
    costs = Costs(gated.layout, [Target("params"), Target("macs")])
    counted = l0.count(small, example)
    assert [counted.params, counted.macs] == costs.exact(gated.plan().open_gates(gated.layout))


def test_most_random_networks_have_something_to_gate():
    """Otherwise the property above would say little."""
    num_gates = []
    for seed in range(0, NUM_NETWORKS, 4):
        num_gates.append(l0.trace(RandomNetwork(seed), torch.zeros(2, 3, PIXELS, PIXELS)).num_gates)
    assert sum(num > 0 for num in num_gates) >= 0.6 * len(num_gates)
