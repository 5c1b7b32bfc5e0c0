"""Networks over sequences without a model library: recurrent layers, attention in its variants, mixtures of experts."""

__all__ = ["SEQUENTIAL"]

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Recurrent(nn.Module):
    """Tokens, a recurrent layer, and a head on its last state."""

    def __init__(self, layer: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.embedding = nn.Embedding(23, layer.input_size)
        self.layer = layer
        self.head = nn.Linear((layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1), 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(tokens))[0][:, -1])


class Encoder(nn.Module):
    """PyTorch's own Transformer encoder, whose projections of query, key and value are one tensor."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(24, 4, 37, batch_first=True)
        self.read = nn.Linear(5, 24)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.read(x)).mean(1))


class RawParameters(nn.Module):
    """No layers: parameters and einsum, with heads as a dimension of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(12, 3, 6))
        self.key = nn.Parameter(torch.randn(12, 3, 6))
        self.value = nn.Parameter(torch.randn(12, 3, 8))
        self.out = nn.Parameter(torch.randn(3, 8, 12))
        self.up = nn.Parameter(torch.randn(12, 29))
        self.down = nn.Parameter(torch.randn(29, 4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (torch.einsum("bsd,dhe->bhse", x, w) for w in (self.query, self.key, self.value))
        weights = torch.softmax(torch.einsum("bhse,bhte->bhst", query, key) / 6**0.5, -1)
        mixed = torch.einsum("bhst,bhte->bhse", weights, value)
        y = x + torch.einsum("bhse,hed->bsd", mixed, self.out)
        return F.gelu(y @ self.up) @ self.down


class Experts(nn.Module):
    """Each token goes to the two experts that the router prefers; experts that nobody wants are not called."""

    def __init__(self, width: int = 12, num: int = 4, hidden: int = 18) -> None:
        super().__init__()
        self.router = nn.Linear(width, num, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)) for _ in range(num)
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        weights, chosen = torch.softmax(self.router(tokens), -1).topk(2, -1)
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            row, place = (chosen == number).nonzero(as_tuple=True)
            out = out.index_add(0, row, expert(tokens[row]) * weights[row, place, None])
        return x + out.view_as(x)


class MultiQueryAttention(nn.Module):
    """Several heads of queries, one of keys and values, and a fused projection of all three."""

    def __init__(self, width: int = 16, heads: int = 4, size: int = 5) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(width, heads * size + 2 * size)
        self.out = nn.Linear(heads * size, width)
        self.mlp = nn.Sequential(nn.Linear(width, 27), nn.GELU(), nn.Linear(27, 4))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = self.qkv(x).split([self.heads * self.size, self.size, self.size], -1)
        query = query.view(batch, length, self.heads, self.size).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key[:, None], value[:, None])
        return self.mlp(x + self.out(mixed.transpose(1, 2).reshape(batch, length, -1)))


class ComplexRotary(nn.Module):
    """Positions turn neighbouring numbers as complex ones, as in Meta's code for Llama; keys serve several queries."""

    def __init__(self, width: int = 16, heads: int = 4, key_heads: int = 2, size: int = 6) -> None:
        super().__init__()
        self.heads, self.key_heads, self.size = heads, key_heads, size
        self.query, self.out = nn.Linear(width, heads * size), nn.Linear(heads * size, width)
        self.key, self.value = (nn.Linear(width, key_heads * size) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(width, 27), nn.SiLU(), nn.Linear(27, 4))
        angles = torch.outer(torch.arange(32.0), 1e4 ** -torch.linspace(0, 1, size // 2))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query = self._turn(self.query(x).view(batch, length, self.heads, self.size))
        key = self._turn(self.key(x).view(batch, length, self.key_heads, self.size))
        value = self.value(x).view(batch, length, self.key_heads, self.size)
        key, value = (one.repeat_interleave(self.heads // self.key_heads, 2) for one in (key, value))
        query, key, value = (one.transpose(1, 2) for one in (query, key, value))
        mixed = torch.softmax(query @ key.transpose(2, 3) / self.size**0.5, -1) @ value
        return self.mlp(x + self.out(mixed.transpose(1, 2).flatten(2)))

    def _turn(self, x: Tensor) -> Tensor:
        numbers = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(numbers * self.turns[: x.shape[1], None]).flatten(3).type_as(x)


class CrossAttention(nn.Module):
    """Queries of one width attend to keys and values made from another, with heads of a third and a fourth."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(14, 3 * 6), nn.Linear(11, 3 * 6), nn.Linear(11, 3 * 8)
        self.out = nn.Linear(3 * 8, 14)
        self.mlp = nn.Sequential(nn.Linear(14, 25), nn.ReLU(), nn.Linear(25, 4))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        query = self.query(x).unflatten(-1, (3, 6)).transpose(1, 2)
        key = self.key(context).unflatten(-1, (3, 6)).transpose(1, 2)
        value = self.value(context).unflatten(-1, (3, 8)).transpose(1, 2)
        weights = torch.softmax(query @ key.transpose(-1, -2) / 6**0.5, -1)
        return self.mlp(x + self.out((weights @ value).transpose(1, 2).flatten(2)))


class Modulated(nn.Module):
    """A block of a diffusion Transformer: the condition gives six vectors that shift, scale and gate."""

    def __init__(self, width: int = 18) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(7, 15), nn.SiLU(), nn.Linear(15, 6 * width))
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = nn.MultiheadAttention(width, 3, batch_first=True)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(width, 31), nn.GELU(), nn.Linear(31, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.condition(condition)[:, None].chunk(6, -1)
        y = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.attention(y, y, y, need_weights=False)[0]
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)


def _tokens() -> Tensor:
    return torch.randint(0, 23, (2, 6))


SEQUENTIAL: Mapping[str, Callable[[], tuple[nn.Module, Any]]] = MappingProxyType({
    "LSTM": lambda: (Recurrent(nn.LSTM(9, 16, batch_first=True)), _tokens()),
    "LSTM, two layers, both directions": lambda: (
        Recurrent(nn.LSTM(9, 14, 2, batch_first=True, bidirectional=True)), _tokens()
    ),
    "LSTM whose state is projected": lambda: (
        Recurrent(nn.LSTM(9, 16, 2, batch_first=True, proj_size=11)), _tokens()
    ),
    "GRU": lambda: (Recurrent(nn.GRU(9, 16, batch_first=True)), _tokens()),
    "nn.TransformerEncoder": lambda: (Encoder(), torch.randn(2, 7, 5)),
    "raw parameters with einsum": lambda: (RawParameters(), torch.randn(2, 7, 12)),
    "top-k mixture of experts": lambda: (
        nn.Sequential(nn.Linear(5, 12), Experts(), nn.Linear(12, 3)), torch.randn(2, 9, 5)
    ),
    "multi-query attention": lambda: (MultiQueryAttention(), torch.randn(2, 7, 16)),
    "rotary positions as complex numbers": lambda: (ComplexRotary(), torch.randn(2, 7, 16)),
    "cross-attention of other widths": lambda: (CrossAttention(), (torch.randn(2, 5, 14), torch.randn(2, 7, 11))),
    "adaptive layer norm": lambda: (Modulated(), (torch.randn(2, 5, 18), torch.randn(2, 7))),
})  # fmt: skip
"""Name and builder of each network, with its example."""
