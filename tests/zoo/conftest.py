"""Each network of the zoo, built, traced and gated once for all tests of it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ellzero as l0
import networks
from ellzero.graph import Layout, forward, settle, tensors_in
from networks.architectures import ARCHITECTURES


@dataclass
class Case:
    """A network of the zoo, what was found in it, and what was cut out of it."""

    name: str
    model: nn.Module
    example: Any
    channels: l0.Channels
    _pruned: dict[int, tuple[l0.Gated, nn.Module]] = field(default_factory=dict)

    def pruned(self, seed: int) -> tuple[l0.Gated, nn.Module]:
        """A gated copy in evaluation mode and what is left of it; about half of its gates are shut, in unequal shares.

        Odd seeds also empty groups that may go entirely. Both networks are shared by all tests: change a copy.
        """
        if not self.channels.gated:
            pytest.skip("nothing can be gated")
        if seed not in self._pruned:
            gated = self._gated(seed)
            self._pruned[seed] = gated, l0.prune(gated, plan=gated.plan())
        return self._pruned[seed]

    def _gated(self, seed: int) -> l0.Gated:
        gated = l0.Gated(networks.build(self.name)[0], self.example, channels=self.channels).eval()
        generator = torch.Generator().manual_seed(seed)
        is_open = _random_gates(gated.layout, generator, empty=bool(seed % 2))
        with torch.no_grad():
            gated.log_odds.copy_(torch.where(is_open, 1 + 3 * torch.rand(len(is_open), generator=generator), -5.0))
        return gated


def _random_gates(layout: Layout, generator: torch.Generator, *, empty: bool) -> Tensor:
    scores = torch.rand(layout.num_gates, generator=generator)
    is_open = torch.zeros(layout.num_gates, dtype=torch.bool)
    for number, (group, place) in enumerate(layout.slices()):
        share = 0.3 + 0.4 * float(torch.rand(1, generator=generator))
        is_emptied = empty and group.removable and number % 2
        is_open[place] = scores[place] < (0.0 if is_emptied else share)
    return settle(layout, scores, is_open)


@pytest.fixture(scope="module", params=list(networks.NETWORKS))
def case(request) -> Case:
    if request.param in ARCHITECTURES:
        pytest.importorskip("transformers", reason="the architectures of the zoo need ellzero[zoo]")
    model, example = networks.build(request.param)
    return Case(request.param, model, example, l0.trace(model, example))


def outputs(model: nn.Module, example: Any) -> list[Tensor]:
    """All tensors that a network returns."""
    with torch.no_grad():
        return [tensor.detach().clone() for tensor in tensors_in(forward(model, example))]


@pytest.fixture
def run():
    return outputs
