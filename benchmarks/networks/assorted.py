"""Networks that fit nowhere else: graphs, policies, adapters, reparametrized weights, physics, control flow."""

__all__ = ["ASSORTED"]

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class MessagePassing(nn.Module):
    """Messages along the edges are added up at their target node."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(5, 16)
        self.message = nn.Sequential(nn.Linear(32, 22), nn.ReLU(), nn.Linear(22, 12))
        self.update = nn.Linear(28, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        x = torch.relu(self.read(nodes))
        source, target = edges
        messages = self.message(torch.cat([x[source], x[target]], -1))
        gathered = x.new_zeros(len(x), messages.shape[-1]).index_add(0, target, messages)
        return self.head(torch.relu(self.update(torch.cat([x, gathered], -1))))


class ActorCritic(nn.Module):
    """One trunk, a policy with a free standard deviation, and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(11, 24), nn.Tanh(), nn.Linear(24, 20), nn.Tanh())
        self.actor = nn.Sequential(nn.Linear(20, 14), nn.Tanh(), nn.Linear(14, 3))
        self.critic = nn.Sequential(nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 1))
        self.log_std = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x)
        mean = self.actor(features)
        return {"mean": mean, "std": self.log_std.exp().expand_as(mean), "value": self.critic(features).squeeze(-1)}


class FrozenBackbone(nn.Module):
    """A backbone that is not trained, in float64 like the rest, and a head that is."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=1), nn.ReLU()
        )
        self.backbone.requires_grad_(False)
        self.head = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x).mean((2, 3)))


class LowRank(nn.Module):
    """A frozen linear layer and a trained update of low rank beside it."""

    def __init__(self, wide: int, out: int, rank: int) -> None:
        super().__init__()
        self.base = nn.Linear(wide, out).requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, wide))
        self.b = nn.Parameter(torch.zeros(out, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 0.5 * (x @ self.a.T) @ self.b.T


class Bilinear(nn.Module):
    """Two hidden vectors meet in a bilinear form."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 12), nn.Linear(5, 10)
        self.form = nn.Bilinear(12, 10, 14)
        self.head = nn.Linear(14, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(torch.relu(self.form(torch.relu(self.one(x)), torch.tanh(self.two(y)))))


class Physics(nn.Module):
    """A field over space and time: fixed Fourier features, then a perceptron of smooth functions."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, 9))
        self.layers = nn.Sequential(
            nn.Linear(18, 20), nn.Tanh(), nn.Linear(20, 24), nn.SiLU(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 1)
        )

    def forward(self, points: Tensor) -> Tensor:
        phases = points @ self.frequencies
        return self.layers(torch.cat([phases.sin(), phases.cos()], -1))


class DataDependent(nn.Module):
    """The sign of a mean decides which branch is taken, and a norm how often a layer is repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(6, 16)
        self.often = nn.Linear(16, 16)
        self.one, self.two = nn.Linear(16, 12), nn.Linear(16, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.read(x))
        for _ in range(1 + int(x.norm() > 1.0)):
            y = torch.tanh(self.often(y))
        return self.head(torch.relu(self.one(y) if x.mean() > 0 else self.two(y)))


def _edges() -> Tensor:
    return torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]])


def _weight_norm() -> nn.Module:
    layers = [nn.Linear(8, 20), nn.Linear(20, 16), nn.Linear(16, 4)]
    one, two, three = (parametrizations.weight_norm(layer) for layer in layers)
    return nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 16), three)


def _spectral_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(8, 20)), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(),
        nn.Linear(16, 12), nn.ReLU(), parametrizations.spectral_norm(nn.Linear(12, 4)),
    )  # fmt: skip


ASSORTED: Mapping[str, Callable[[], tuple[nn.Module, Any]]] = MappingProxyType({
    "messages on a graph": lambda: (MessagePassing(), (torch.randn(6, 5), _edges())),
    "actor and critic": lambda: (ActorCritic(), torch.randn(4, 11)),
    "frozen backbone": lambda: (FrozenBackbone(), torch.randn(2, 3, 8, 8)),
    "low-rank adapter": lambda: (
        nn.Sequential(LowRank(7, 18, 4), nn.ReLU(), LowRank(18, 16, 4), nn.ReLU(), nn.Linear(16, 3)), torch.randn(4, 7)
    ),
    "weight norm": lambda: (_weight_norm(), torch.randn(4, 8)),
    "spectral norm": lambda: (_spectral_norm(), torch.randn(4, 8)),
    "bilinear": lambda: (Bilinear(), (torch.randn(4, 6), torch.randn(4, 5))),
    "physics with Fourier features": lambda: (Physics(), torch.rand(6, 2)),
    "control flow on data": lambda: (DataDependent(), torch.randn(4, 6)),
})  # fmt: skip
"""Name and builder of each network, with its example."""
