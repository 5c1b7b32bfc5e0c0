"""Gates that are not numbers are never taken for shut ones."""

import math

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget
from ellzero.errors import NonFiniteError, SurgeryError
from ellzero.gates import Gated
from ellzero.surgery import prune


@pytest.fixture
def gated():
    torch.manual_seed(0)
    return Gated(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(2, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_plan_of_gates_that_are_not_finite_is_refused(gated, bad):
    budget = Budget(gated, params=0.9)
    gated.log_odds.data[0] = bad
    for act in (gated.plan, budget.fit, lambda: prune(gated), lambda: prune(gated, budget)):
        with pytest.raises(NonFiniteError, match="load a sound checkpoint"):
            act()


def test_a_layer_without_shape_yet_is_refused():
    with pytest.raises(ValueError, match="has no shape yet"):
        Gated(nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(2, 4))


def test_what_is_made_in_inference_mode_is_refused():
    def build():
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))

    with torch.inference_mode():
        model = build()
    with pytest.raises(ValueError, match=r"weight '0\.weight' was made in torch\.inference_mode\(\)"):
        Gated(model, torch.randn(2, 4))
    model = build()
    with torch.inference_mode(), pytest.raises(ValueError, match=r"asked for in torch\.inference_mode\(\)"):
        Gated(model, torch.randn(2, 4))


def test_something_that_is_no_network_is_refused():
    with pytest.raises(TypeError, match=r"an nn\.Module, got str"):
        Gated("resnet50", torch.randn(2, 4))


def test_an_average_of_a_gated_network_is_named_by_what_it_wraps(gated):
    average = torch.optim.swa_utils.AveragedModel(gated)
    with pytest.raises(SurgeryError, match=r"\.module"):
        prune(average)
    assert isinstance(prune(average.module), nn.Sequential)
