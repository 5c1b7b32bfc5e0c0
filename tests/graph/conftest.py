"""A table of small networks that the graph must understand, and the two ways to remove channels from one."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ellzero.graph import Channels, Layout, cut, kept_indices, settle, trace


class Residual(nn.Module):
    """Two blocks over one stream: the channels of the stream stand on both dimensions of no, one and two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(4)
        self.outer = nn.Conv2d(4, 6, 3, padding=1)
        self.straight = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.outer(self.inner_norm(self.inner(stream)).relu())
        stream = stream + self.straight(stream.relu())
        return self.head(stream.mean((2, 3)))


class Mobile(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excite and hardswish, with a residual addition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.expand = nn.Conv2d(4, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Conv2d(8, 3, 1)
        self.excite = nn.Conv2d(3, 8, 1)
        self.project = nn.Conv2d(8, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        stream = F.hardswish(self.stem(images))
        wide = F.hardswish(self.norm(self.depthwise(self.expand(stream))))
        wide = wide * F.hardsigmoid(self.excite(self.squeeze(F.adaptive_avg_pool2d(wide, 1)).relu()))
        return self.head((stream + self.project(wide)).mean((2, 3)))


class Dense(nn.Module):
    """Concatenation of everything before, and a skip over a pooled part."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 3, 3, padding=1)
        self.three = nn.Conv2d(7, 5, 1)
        self.norm = nn.BatchNorm2d(12)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        one = F.gelu(self.one(images))
        two = F.interpolate(self.two(F.max_pool2d(one, 2)).tanh(), scale_factor=2)
        both = torch.cat([one, two], 1)
        return self.head(self.norm(torch.cat([self.three(both).sigmoid(), both], 1)))


class Reused(nn.Module):
    """One layer three times, and two layers that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.again = nn.Linear(8, 8)
        self.one, self.other = nn.Linear(8, 7), nn.Linear(8, 7)
        self.other.weight = self.one.weight
        self.last = nn.Linear(7, 3)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(values).relu()
        for _ in range(3):
            hidden = self.again(hidden).relu()
        return self.last(self.one(hidden).relu() + self.other(hidden).sigmoid())


class Tokens(nn.Module):
    """Channels pass through a linear layer over the tokens, whose multiply-adds follow them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.tokens, self.back = nn.Linear(5, 7), nn.Linear(7, 5)
        self.head = nn.Linear(6, 3)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.embed(values)
        mixed = self.back(F.gelu(self.tokens(hidden.transpose(1, 2)))).transpose(1, 2)
        return self.head((hidden + mixed).mean(1))


class Slices(nn.Module):
    """Experts in one tensor: each is a slice of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.experts = nn.Parameter(torch.randn(3, 5, 6))
        self.last = nn.Linear(5, 2)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(values).relu()
        return self.last(sum(F.linear(hidden, self.experts[number]).relu() for number in range(3)))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.PReLU(6), nn.ConvTranspose2d(6, 8, 3, groups=2), nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 4, 3, stride=2), nn.Mish(), nn.Conv2d(4, 2, 3),
    )  # fmt: skip


def one_dimension() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.SiLU(), nn.AvgPool1d(2), nn.Conv1d(6, 6, 3, groups=3), nn.ELU(),
        nn.AdaptiveMaxPool1d(2), nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip


def three_dimensions() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.GELU(), nn.Conv3d(4, 8, 1, groups=4), nn.MaxPool3d(2), nn.Dropout3d(), nn.Hardswish(),
        nn.Conv3d(8, 3, 2),
    )  # fmt: skip


class Network(NamedTuple):
    """How to build it, the shape of its input, and the sizes of the groups that can be gated, in order."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    sizes: tuple[int, ...]


NETWORKS = {
    "mlp": Network(
        lambda: nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2)),
        (2, 5),
        (7, 6),
    ),
    "lenet": Network(lenet, (2, 1, 16, 16), (4, 6, 8)),
    "residual": Network(Residual, (2, 3, 6, 6), (6, 4)),
    "mobile": Network(Mobile, (2, 3, 8, 8), (4, 8, 3)),
    "dense": Network(Dense, (2, 3, 6, 6), (4, 3, 5)),
    "reused": Network(Reused, (2, 6), (8, 7)),
    "autoencoder": Network(autoencoder, (2, 3, 9, 9), (3, 4, 4)),
    "one dimension": Network(one_dimension, (2, 2, 14), (2, 2)),
    "three dimensions": Network(three_dimensions, (2, 1, 6, 6, 6), (4,)),
    "tokens": Network(Tokens, (2, 5, 4), (6, 7)),
    "slices": Network(Slices, (1, 4), (5, 6)),
    "half an MLP": Network(lambda: nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2, bias=False)), (3, 5), (7,)),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "network" in metafunc.fixturenames:
        metafunc.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())


def vary(model: nn.Module, seed: int = 0) -> nn.Module:
    """The network in float64 and evaluation mode, without zeros and ones that would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.1)
            tensor.data[torch.rand(tensor.shape, generator=generator) < 0.5] *= -1 if tensor.requires_grad else 1
    return model


def random_gates(channels: Channels, generator: torch.Generator) -> tuple[Layout, Tensor]:
    """A set of open gates that can be delivered; the share that is open is random too."""
    layout = Layout.of(channels)
    scores = torch.rand(layout.num_gates, generator=generator)
    return layout, settle(layout, scores, scores > torch.rand(1, generator=generator))


def masked(model: nn.Module, layout: Layout, is_open: Tensor) -> nn.Module:
    """The whole network with zeros in the weights where they read what is shut."""
    twin = copy.deepcopy(model)
    kept = kept_indices(layout, is_open)
    readers = {(m.tensor, m.dim) for group in layout.channels.gated for m in group.members if m.role == "reader"}
    for name, dim in readers:
        weight = twin.get_parameter(name)
        mask = torch.zeros(weight.shape[dim], dtype=weight.dtype)
        mask[kept[name, dim]] = 1
        weight.data.mul_(mask.view(-1, *[1] * (weight.dim() - dim - 1)))
    return twin


@pytest.fixture
def hold_against_mask() -> Callable[..., Channels]:
    """Cut a network to random plans and compare it with the masked one: 1e-12 in float64; returns its channels."""

    def hold(model: nn.Module, example: Tensor, *, plans: int = 3, **options: bool) -> Channels:
        model = vary(model)
        channels = trace(model, example, **options)
        generator = torch.Generator().manual_seed(1)
        for _ in range(plans if channels.gated else 0):
            layout, is_open = random_gates(channels, generator)
            with torch.no_grad():
                want = masked(model, layout, is_open)(example)
                have = cut(model, layout, is_open)(example)
            torch.testing.assert_close(have, want, rtol=1e-12, atol=1e-12 * max(1.0, float(want.abs().max())))
        return channels

    return hold


@pytest.fixture
def varied() -> Callable[..., nn.Module]:
    return vary


@pytest.fixture
def draw_gates() -> Callable[..., tuple[Layout, Tensor]]:
    return random_gates
