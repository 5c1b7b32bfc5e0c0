"""Networks whose forward pass writes sizes out, so that only as exported graphs they can be cut."""

__all__ = ["FIXED_SIZES", "Case", "Hourglass", "Shuffled", "case"]

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Shuffled(nn.Module):
    """A width of 128 that is written as 8 x 16, and as 128."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, 128), nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(x)).view(-1, 8, 16).transpose(1, 2).reshape(-1, 128))


class Flattened(nn.Module):
    """LeNet as it stands in many tutorials."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 50, 3)
        self.norm = nn.BatchNorm2d(50)
        self.hidden, self.last = nn.Linear(800, 6), nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.two(self.one(images).relu())).relu()
        return self.last(self.hidden(maps.view(-1, 50 * 4 * 4)).relu())


class Attention(nn.Module):
    """Heads by hand: four of width six, from one projection."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv, self.out, self.head = (
            nn.Linear(5, 24),
            nn.Linear(24, 72),
            nn.Linear(24, 24),
            nn.Linear(24, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        stream = self.embed(x)
        q, k, v = self.qkv(stream).view(batch, tokens, 3, 4, 6).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.mT / 6**0.5).softmax(-1) @ v
        return self.head(stream + self.out(mixed.transpose(1, 2).reshape(batch, tokens, 24)))


class Fused(nn.Module):
    """Four heads of queries that share two of keys, from one projection, as in Phi-3; nothing is left unturned."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(5, 48), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        fused = self.qkv(x)
        parts = fused[..., :24], fused[..., 24 : 24 + 2 * 6], fused[..., 24 + 2 * 6 :]
        q, k, v = (part.view(*x.shape[:-1], -1, 6).transpose(1, 2) for part in parts)
        q, k = (torch.cat([part[..., :6].flip(-1) * 0.5, part[..., 6:]], -1) for part in (q, k))
        mixed = (q @ k.repeat_interleave(2, 1).mT).softmax(-1) @ v.repeat_interleave(2, 1)
        return self.out(mixed.transpose(1, 2).reshape(*x.shape[:-1], -1))


class Parted(nn.Module):
    """Slices, and a split into unequal parts, at fixed places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.low, self.high = nn.Linear(5, 24), nn.Linear(16, 7), nn.Linear(8, 7)
        self.one, self.two = nn.Linear(4, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.first(x).relu()
        both = (self.low(wide[:, :16]) + self.high(wide[:, 16:])).relu()
        one, two = both.split([4, 3], 1)
        return self.one(one) + self.two(two.narrow(1, 0, 3))


class Recurrent(nn.Module):
    """A state of zeros whose width is written out, made without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.keep, self.last = nn.Linear(4, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            state = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for step in range(3):
            state = torch.tanh(self.read(x[:, step]) + self.keep(state))
        return self.last(state)


class Grouped(nn.Module):
    """Functional convolutions with their numbers of groups written out, a group norm, and an unflattened width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv1d(3, 12, 1), nn.Linear(24, 2)
        self.depth = nn.Parameter(torch.randn(12, 1, 3) * 0.3)
        self.scale, self.shift = nn.Parameter(torch.rand(12)), nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> Tensor:
        maps = F.conv1d(self.stem(x), self.depth, padding=1, groups=12)
        maps = F.group_norm(maps, 4, self.scale, self.shift).unflatten(1, (4, 3)).relu()
        return self.last(maps.reshape(-1, 12, x.shape[2])[:, :, :2].reshape(-1, 24))


class Widened(nn.Module):
    """A layer norm of a width that is written out, over a stream that is expanded to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 12), nn.LayerNorm(12), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x)[:, None].expand(-1, 3, 12)).reshape(-1, 12)).view(-1, 3, 2)


class Tied(nn.Module):
    """One weight under two names, and a width that is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.inner, self.outer = nn.Linear(8, 6), nn.Linear(6, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.embed(tokens)
        hidden = self.inner(stream).relu().view(-1, 2, 3).reshape(tokens.shape[0], -1, 6)
        return self.head(stream + self.outer(hidden))


def encoder() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.TransformerEncoderLayer(8, 4, 12, batch_first=True, dropout=0.1), nn.Linear(8, 2)
    )


class Attending(nn.Module):
    """PyTorch's own attention, which computes the width of a head from that of the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.embed(x)
        return self.head(stream + self.attention(stream, stream, stream)[0])


class Hourglass(nn.Module):
    """A branch that could go, were there convolutions without channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 10, 3, stride=2, padding=1)
        self.up, self.last = nn.ConvTranspose2d(10, 8, 2, stride=2), nn.Conv2d(16, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        wide = self.stem(images).relu()
        return self.last(torch.cat([wide, self.up(self.down(wide).relu())], 1)[:, :16])


class Pairs(nn.Module):
    """Neighbours that belong together, taken by slices and by a view, with all sizes written out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 12), nn.Linear(6, 8), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.first(x)
        pairs = self.second(wide[:, 0:12:2] * wide[:, 1:12:2].sigmoid()).view(-1, 4, 2)
        return self.last(pairs[..., 0] * pairs[..., 1].tanh())


class Case(NamedTuple):
    """How to build a network and an example for it, how it is traced, and the sizes of the groups that are gated."""

    build: Callable[[], nn.Module]
    example: Callable[[], Tensor]
    options: dict[str, bool]
    sizes: dict[str, int]


def case(build: Callable[[], nn.Module], shape: tuple[int, ...], sizes: dict[str, int], **options: bool) -> Case:
    """One whose example is random numbers of a shape."""
    return Case(build, lambda: torch.randn(shape), options, sizes)


FIXED_SIZES = MappingProxyType({
    "a shuffled width": case(Shuffled, (3, 10), {"fc1": 8}),
    "a flattened convolution": case(Flattened, (1, 1, 8, 8), {"one": 6, "two": 50, "hidden": 6}),
    "flattened positions": case(
        Flattened, (2, 1, 8, 8), {"one": 6, "two": 50, "hidden": 6, "hidden inputs": 800}, positions=True
    ),
    "attention by hand": case(Attention, (2, 7, 5), {"embed": 24, "qkv": 4}),
    "fused grouped queries": case(Fused, (2, 7, 5), {"qkv": 2}),
    "fixed places": case(Parted, (3, 5), {"first": 16, "first#2": 8, "low": 4, "low#2": 3}),
    "fixed places after inputs": case(
        Parted, (3, 5), {"input": 5, "first": 16, "first#2": 8, "low": 4, "low#2": 3}, inputs=True
    ),
    "pairs": case(Pairs, (3, 5), {"first": 6, "second": 4}),
    "a state of zeros": case(Recurrent, (2, 3, 4), {"read": 6}),
    "groups": case(Grouped, (2, 3, 5), {"stem": 4}),
    "an expanded norm": case(Widened, (2, 5), {"first": 12}, width=True),
    "an hourglass": case(Hourglass, (2, 1, 8, 8), {"stem": 8, "down": 10, "up": 8}),
    "a tied weight": Case(Tied, lambda: torch.arange(10).view(2, 5), {}, {"outer": 8, "inner": 2}),
    "PyTorch's encoder layer": case(encoder, (2, 5, 4), {"1.self_attn": 4, "1.linear1": 12}),
    "PyTorch's encoder layer and its width": case(
        encoder, (2, 5, 4), {"0": 8, "1.self_attn": 4, "1.linear1": 12}, width=True
    ),
    "PyTorch's attention": case(Attending, (2, 5, 4), {"embed": 8, "attention": 4}),
})  # fmt: skip
