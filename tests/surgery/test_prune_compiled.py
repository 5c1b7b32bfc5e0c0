"""Networks that are compiled, in whole or in part, are traced and cut as what they are made from."""

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.graph import count


def never(graph, example):
    """A compiler that is not to be asked."""
    raise AssertionError("compiled")


def plain():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def whole():
    return torch.compile(plain(), backend=never)


def part():
    return nn.Sequential(torch.compile(nn.Linear(4, 8), backend=never), nn.ReLU(), nn.Linear(8, 2))


def in_place():
    network = plain()
    network.compile(backend=never)
    return network


@pytest.mark.parametrize("build", [whole, part, in_place])
def test_compiled_networks_are_traced_and_cut_without_their_compiler(build):
    gated = l0.Gated(build().double(), torch.randn(3, 4, dtype=torch.float64)).eval()
    (group,) = gated.channels.gated
    plan = l0.Plan({group.name: (0, 2, 3)})
    small = l0.prune(gated, plan=plan)
    assert [tuple(tensor.shape) for tensor in small.parameters()] == [(5, 4), (5,), (2, 5), (2,)]
    assert count(small, gated.example).params == 37
    x = torch.randn(7, 4, dtype=torch.float64)
    with gated.planned(plan), torch.no_grad(), torch.compiler.set_stance("force_eager"):
        assert torch.allclose(gated(x), small(x), atol=1e-12)


def test_tracing_in_inference_mode_finds_the_same():
    expected = l0.trace(plain(), torch.randn(3, 4))
    with torch.inference_mode():
        assert l0.trace(plain(), torch.randn(3, 4)) == expected
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
