"""Networks that round to single precision and amplify it are compared in double precision."""

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.graph import trace


class SinglePrecision(nn.Module):
    """A root-mean-square norm as in Llama, which computes in float32 whatever it is given."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        wide = x.to(torch.float32)
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


class Amplified(nn.Module):
    """What the norm rounds is a thousand times as large in the end."""

    def __init__(self, scale=lambda x: x):
        super().__init__()
        self.embed, self.norm, self.head = nn.Linear(5, 12), SinglePrecision(12), nn.Linear(12, 3)
        self.scale = scale

    def forward(self, x):
        return torch.sin(1000 * self.head(self.norm(self.scale(self.embed(x)))))


def test_a_norm_whose_rounding_is_amplified_can_be_gated():
    torch.manual_seed(0)
    model, example = Amplified(), torch.randn(20, 5)
    channels = trace(model, example, width=True)
    assert [(group.name, group.size) for group in channels.gated] == [("embed", 12)]
    assert l0.Gated(model, example, channels=channels).channels == channels


@pytest.mark.parametrize("scale", [lambda x: x.cos() * (1 + 1e-6 * x.shape[1]), lambda x: x + 1e-7 * x.shape[1]])
def test_a_small_difference_that_is_none_of_rounding_is_found_all_the_same(scale):
    torch.manual_seed(0)
    channels = trace(Amplified(lambda x: x), torch.randn(20, 5), width=True)
    model = Amplified(lambda x: scale(x) if x.shape[1] < 12 else x)
    with pytest.raises(TraceError, match="the outputs differ"):
        l0.Gated(model, torch.randn(20, 5), channels=channels)
