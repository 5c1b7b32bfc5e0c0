"""Networks with fixed sizes, gated to be delivered as exported graphs, and plans for them."""

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ellzero import Gated
from ellzero.graph import Plan, settle
from networks.fixed_sizes import FIXED_SIZES


@functools.cache
def traced(word: str) -> tuple[Gated, Tensor]:
    """In float64, with log-odds that leave medians below one, so that there is something to fold."""
    case = FIXED_SIZES[word]
    torch.manual_seed(0)
    example = case.example()
    example = example.double() if example.is_floating_point() else example
    gated = Gated(case.build().double(), example, exported=True, **case.options).eval()
    with torch.no_grad():
        gated.log_odds.copy_(torch.rand(len(gated.log_odds)) * 4 - 1)
    return gated, example


@pytest.fixture
def gated() -> Callable[[str], tuple[Gated, Tensor]]:
    """A network by its name, and an example; a copy of its own for every test."""

    def gated(word: str) -> tuple[Gated, Tensor]:
        network, example = traced(word)
        return copy.deepcopy(network), example

    return gated


@pytest.fixture
def random_plan() -> Callable[..., Plan]:
    """A plan that shuts a share of all gates."""

    def random_plan(gated: Gated, seed: int = 0, share: float = 0.5) -> Plan:
        scores = torch.rand(gated.layout.num_gates, generator=torch.Generator().manual_seed(seed))
        return Plan.of(gated.layout, settle(gated.layout, scores, scores > share))

    return random_plan
