"""A fixed price: lambda times the expected cost of the network that is delivered."""

import itertools
import math

import pytest
import torch
from torch import nn

from ellzero.budgets import Penalty
from ellzero.gates import Gated


@pytest.mark.parametrize("kind", ["params", "macs", "units"])
@pytest.mark.parametrize("positions", [False, True])
def test_the_penalty_is_the_price_times_the_expected_cost_over_all_subsets_of_gates(kind, positions):
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 1))
    gated = Gated(model, torch.zeros(1, 1, 3, 3), positions=positions)
    with torch.no_grad():
        gated.log_odds.copy_(torch.randn(len(gated.log_odds), generator=torch.Generator().manual_seed(0)))
    price = 0.1 / 60_000
    penalty = Penalty(gated, **{kind: price})
    prob = gated.prob_open().detach().double()
    expected = 0.0
    for bits in itertools.product((False, True), repeat=len(prob)):
        is_open = torch.tensor(bits)
        weight = torch.where(is_open, prob, 1 - prob).prod().item()
        expected += weight * penalty.costs.exact(is_open)[0]
    assert penalty.penalty().item() == pytest.approx(price * expected, rel=1e-5)


def test_the_price_of_a_whole_network_is_the_price_times_its_parameters(gated):
    with torch.no_grad():
        gated.log_odds.fill_(40.0)
    stored = sum(parameter.numel() for parameter in gated.bare().parameters())
    assert Penalty(gated, params=1e-3).penalty().item() == pytest.approx(1e-3 * stored, rel=1e-6)


def test_prices_of_several_kinds_and_patterns_add_up(small):
    together = Penalty(small, params={"0": 0.1, "2": 0.2}, macs=0.3, units=0.4).penalty()
    apart = [Penalty(small, params={"0": 0.1}), Penalty(small, params={"2": 0.2}), Penalty(small, macs=0.3),
             Penalty(small, units=0.4)]  # fmt: skip
    assert together.item() == pytest.approx(sum(one.penalty().item() for one in apart), rel=1e-6)


def test_a_penalty_has_no_limit_so_the_plan_is_the_medians(small):
    with torch.no_grad():
        small.log_odds[::2] = -4.0
    fit = Penalty(small, params=1e-3).fit()
    assert fit.plan == small.plan()
    assert fit.num_shut == 0


def test_a_price_of_nothing_costs_nothing(small):
    assert Penalty(small, params=0.0).penalty().item() == 0


@pytest.mark.parametrize("price", [-1e-3, math.nan, math.inf])
def test_a_price_that_is_negative_or_not_finite_is_refused(price, small):
    with pytest.raises(ValueError, match="must be finite and not negative"):
        Penalty(small, params=price)


@pytest.mark.parametrize("price", [True, "1e-3", None])
def test_a_price_that_is_no_number_is_refused(price, small):
    with pytest.raises((TypeError, ValueError), match=r"must be a number|no target was given"):
        Penalty(small, params=price)
