"""Convolutional networks: every way in which channels are joined, grouped, moved, resized and normalised."""

__all__ = ["CONVOLUTIONAL"]

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions around a shortcut, which is a convolution where the width changes."""

    def __init__(self, wide: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(wide, out, 1, stride) if stride > 1 or wide != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Residual(nn.Module):
    """A small ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.blocks = nn.Sequential(Block(12, 12), Block(12, 20, 2), Block(20, 20))
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Dense(nn.Module):
    """Every layer reads the concatenation of all before it, twice nested."""

    def __init__(self, wide: int, growth: int, num: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(wide + i * growth), nn.ReLU(), nn.Conv2d(wide + i * growth, growth, 3, 1, 1))
            for i in range(num)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class NestedConcat(nn.Module):
    """Two dense blocks with a transition between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.one = Dense(8, 6, 3)
        self.transition = nn.Sequential(nn.BatchNorm2d(26), nn.ReLU(), nn.Conv2d(26, 10, 1), nn.AvgPool2d(2))
        self.two = Dense(10, 5, 2)
        self.norm = nn.BatchNorm2d(30)
        self.head = nn.Linear(30, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.transition(self.one(self.stem(x)))
        return self.head(F.relu(self.norm(torch.cat([self.two(y), y], 1))).mean((2, 3)))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection."""

    def __init__(self, wide: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(wide, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish())
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.squeeze = nn.Conv2d(hidden, 6, 1)
        self.excite = nn.Conv2d(6, hidden, 1)
        self.project = nn.Sequential(nn.Conv2d(hidden, wide, 1, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm(self.depthwise(self.expand(x))))
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return x + self.project(y * scale)


class UNet(nn.Module):
    """A skip past a bottleneck, a transposed convolution, group normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.GroupNorm(4, 12), nn.SiLU())
        self.bottom = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.GroupNorm(6, 24), nn.SiLU())
        self.up = nn.ConvTranspose2d(24, 16, 2, 2)
        self.merge = nn.Sequential(nn.Conv2d(28, 14, 3, padding=1), nn.ReLU(), nn.Conv2d(14, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        return self.merge(torch.cat([skip, F.silu(self.up(self.bottom(skip)))], 1))


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of the groups out in turn."""
    batch, channels, *sizes = x.shape
    return x.view(batch, groups, channels // groups, *sizes).transpose(1, 2).reshape(batch, channels, *sizes)


class ChannelShuffle(nn.Module):
    """Half of the channels pass, the other half is worked on, then both are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.BatchNorm2d(12), nn.Conv2d(12, 8, 1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.stem(x).chunk(2, 1)
        return self.head(shuffle(torch.cat([one, self.branch(two)], 1), 2)).mean((2, 3))


class Reused(nn.Module):
    """One convolution is called three times, with a norm of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 14, 3, padding=1)
        self.shared = nn.Conv2d(14, 14, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(14) for _ in range(3))
        self.head = nn.Linear(14, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm in self.norms:
            x = F.relu(norm(self.shared(x)))
        return self.head(x.mean((2, 3)))


class StandardisedConv(nn.Conv2d):
    """Each filter is centred and scaled before it is used."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class WeightStandardised(nn.Module):
    """Standardised convolutions, each followed by an ordinary one."""

    def __init__(self) -> None:
        super().__init__()
        self.one = StandardisedConv(3, 12, 3, padding=1)
        self.two = nn.Conv2d(12, 10, 3, padding=1)
        self.three = StandardisedConv(10, 14, 3, padding=1)
        self.head = nn.Conv2d(14, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.two(F.relu(self.one(x))))
        return self.head(F.relu(self.three(x))).mean((2, 3))


class FeaturePyramid(nn.Module):
    """Three levels; each is brought to one width, added to the coarser one, and smoothed."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 12, 16)
        pairs = zip((3, *widths), widths, strict=False)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, out, 3, 2, 1), nn.BatchNorm2d(out), nn.ReLU()) for wide, out in pairs
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, 10, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(10, 10, 3, padding=1) for _ in widths)
        self.head = nn.Conv2d(10, 3, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for level, lateral in zip(self.levels, self.laterals, strict=True):
            x = level(x)
            found.append(lateral(x))
        for fine in (1, 0):
            found[fine] = found[fine] + F.interpolate(found[fine + 1], scale_factor=2.0, mode="nearest")
        return [self.head(F.relu(smooth(level))) for smooth, level in zip(self.smooth, found, strict=True)]


def _images(size: int = 8) -> Tensor:
    return torch.randn(2, 3, size, size)


def _chain(*layers: nn.Module) -> tuple[nn.Module, Tensor]:
    return nn.Sequential(*layers), _images()


def _flat(*layers: nn.Module) -> tuple[nn.Module, Tensor]:
    return _chain(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


CONVOLUTIONAL: Mapping[str, Callable[[], tuple[nn.Module, Tensor]]] = MappingProxyType({
    "residual": lambda: (Residual(), _images()),
    "nested concat": lambda: (NestedConcat(), _images()),
    "depthwise, squeeze-excite": lambda: _flat(
        nn.Conv2d(3, 10, 3, padding=1), InvertedResidual(10, 24), InvertedResidual(10, 30), nn.Conv2d(10, 5, 1)
    ),
    "U-Net": lambda: (UNet(), _images()),
    "grouped convolution": lambda: _flat(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1, groups=4),
        nn.ReLU(), nn.Conv2d(24, 8, 1, groups=2), nn.ReLU(), nn.Conv2d(8, 5, 1),
    ),
    "convolution, flatten, linear": lambda: _chain(
        nn.Conv2d(3, 10, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(10, 14, 2), nn.BatchNorm2d(14), nn.ReLU(),
        nn.Flatten(), nn.Linear(56, 20), nn.ReLU(), nn.Linear(20, 5),
    ),
    "channel shuffle": lambda: (ChannelShuffle(), _images()),
    "pixel shuffle": lambda: _chain(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 32, 3, padding=1), nn.PixelShuffle(2), nn.ReLU(),
        nn.Conv2d(8, 3, 3, padding=1),
    ),
    "layer used three times": lambda: (Reused(), _images()),
    "weight standardisation": lambda: (WeightStandardised(), _images()),
    "feature pyramid": lambda: (FeaturePyramid(), _images(16)),
    "instance norm with statistics": lambda: _flat(
        nn.Conv2d(3, 12, 3, padding=1), nn.InstanceNorm2d(12, affine=True, track_running_stats=True), nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1), nn.InstanceNorm2d(10, affine=True), nn.ReLU(), nn.Conv2d(10, 5, 1),
    ),
    "layer norm over channels and pixels": lambda: _flat(
        nn.Conv2d(3, 10, 3, padding=1), nn.LayerNorm([10, 8, 8]), nn.ReLU(), nn.Conv2d(10, 14, 3, padding=1),
        nn.ReLU(), nn.Conv2d(14, 5, 1),
    ),
    "batch norm without affine": lambda: _flat(
        nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12, affine=False), nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1, bias=False), nn.BatchNorm2d(10, affine=False), nn.ReLU(), nn.Conv2d(10, 5, 1),
    ),
    "grouped transposed convolution": lambda: _chain(
        nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(12, 20, 4, 2, 1, groups=4), nn.BatchNorm2d(20),
        nn.ReLU(), nn.ConvTranspose2d(20, 10, 2, 2, groups=2), nn.ReLU(), nn.Conv2d(10, 3, 1),
    ),
})  # fmt: skip
"""Name and builder of each network, with its example."""
