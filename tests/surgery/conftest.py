"""Gated networks whose gates are set at random, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ellzero import Gated


@pytest.fixture
def gate() -> Callable[..., Gated]:
    """Gate a network in float64 with random statistics and random log-odds around the threshold."""

    def gate(model: nn.Module, example: Tensor, *, seed: int = 0, share: float = 0.5, **options) -> Gated:
        generator = torch.Generator().manual_seed(seed)
        model = model.double().eval()
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.2)
        gated = Gated(model, example, **options).eval()
        with torch.no_grad():
            gated.log_odds.copy_(3 * torch.randn(gated.log_odds.shape, generator=generator) - 1.6 + 6 * (share - 0.5))
        return gated

    return gate
