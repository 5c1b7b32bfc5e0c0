"""The delivered network is within every limit, and no gate is shut without need."""

import copy
import itertools

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget, Penalty
from ellzero.budgets.feasibility import check_reachable
from ellzero.budgets.projection import project
from ellzero.distributions import median
from ellzero.errors import BudgetError
from ellzero.gates import Gated
from ellzero.graph import KINDS, Costs, Plan, Target, settle
from ellzero.surgery import prune


def set_gates(gated, values):
    with torch.no_grad():
        gated.log_odds.copy_(values)


def random_targets(costs_of, generator, gated):
    """Two or three targets of random kinds on random patterns, with limits from just reachable to everything."""
    names = ["*", *sorted({name.partition(".")[0] for name in gated.layout.channels.shapes})]
    targets = []
    for _ in range(3):
        kind = KINDS[int(torch.randint(3, (), generator=generator))]
        pattern = names[int(torch.randint(len(names), (), generator=generator))] if kind != "units" else "*"
        targets.append(Target(kind, pattern))
    costs = costs_of(dict.fromkeys(targets))
    nothing = torch.zeros(gated.layout.num_gates, dtype=torch.bool)
    smallest = costs.exact(settle(gated.layout, nothing.float(), nothing))
    shares = torch.rand(len(smallest), generator=generator).tolist()
    limits = [
        least + int(share * (full - least)) for least, full, share in zip(smallest, costs.full, shares, strict=True)
    ]
    return costs, limits


def test_a_fit_is_never_over_any_limit_and_can_be_delivered(gated):
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        costs, limits = random_targets(lambda found: Costs(gated.layout, list(found)), generator, gated)
        log_odds = 4 * torch.randn(gated.layout.num_gates, generator=generator)
        check_reachable(costs, limits)
        fit = project(costs, log_odds, limits)
        is_open = fit.plan.open_gates(gated.layout)
        assert all(cost <= limit for cost, limit in zip(costs.exact(is_open), limits, strict=True))
        assert torch.equal(settle(gated.layout, log_odds, is_open), is_open)


def test_ties_and_extreme_log_odds_are_within_the_limits_too(gated):
    budget = Budget(gated, params=0.5, macs=0.6)
    for fill in (5.0, 0.0, -5.0, 3e38, -3e38):
        set_gates(gated, torch.full_like(gated.log_odds, fill))
        shares = budget.real(budget.fit().plan)
        assert shares["params"] <= 0.5
        assert shares["macs"] <= 0.6


def test_a_plan_within_the_budget_is_the_plan_of_the_medians(gated):
    set_gates(gated, torch.where(torch.arange(len(gated.log_odds)) % 3 == 0, -4.0, 4.0))
    fit = Budget(gated, params=1.0).fit()
    assert fit.plan == gated.plan()
    assert fit.num_shut == 0


def in_order(budget, log_odds):
    """Brute force: shut open gates one by one, the least open first, and stop as soon as everything is within."""
    layout, costs = budget.costs.layout, budget.costs
    first = settle(layout, log_odds, median(log_odds) > 0)
    order = [gate for gate in log_odds.argsort(stable=True).tolist() if first[gate]]
    for num in range(len(order) + 1):
        is_open = first.clone()
        is_open[order[:num]] = False
        is_open = settle(layout, log_odds, is_open)
        if all(cost <= limit for cost, limit in zip(costs.exact(is_open), budget.limits, strict=True)):
            return Plan.of(layout, is_open), int((first & ~is_open).sum())
    raise AssertionError("out of reach")


@pytest.mark.parametrize("seed", range(8))
def test_the_least_open_gates_are_shut_and_no_smaller_number_would_do(seed, gated):
    set_gates(gated, 2 + torch.randn(len(gated.log_odds), generator=torch.Generator().manual_seed(seed)))
    budget = Budget(gated, params=0.4)  # every gate of these networks touches the parameters
    fit = budget.fit()
    plan, num_shut = in_order(budget, gated.log_odds.detach())
    assert fit.plan == plan
    assert fit.num_shut == num_shut > 0


def test_a_group_whose_limit_is_kept_is_left_alone_while_another_is_shut():
    gated = Gated(nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(),
                                nn.Linear(8, 2)), torch.zeros(1, 9))  # fmt: skip
    first, second, third = (place for _, place in gated.layout.slices())
    values = torch.empty(24)
    values[first], values[second], values[third] = (torch.linspace(low, low + 0.7, 8) for low in (1.0, 4.0, 2.0))
    set_gates(gated, values)
    budget = Budget(gated, params={"0": 0.75, "6": 0.25})  # the first layer needs 2 shut, the last one 7
    fit = budget.fit()
    assert [stay for _, stay in fit.plan.widths(gated.channels).values()] == [6, 8, 1]
    assert fit.num_shut == 9
    assert fit.plan.shut[gated.channels.gated[0].name] == (0, 1)


def test_shutting_one_gate_less_in_any_group_breaks_a_limit(small):
    set_gates(small, 2 + torch.randn(len(small.log_odds), generator=torch.Generator().manual_seed(3)))
    budget = Budget(small, params=0.5, macs={"0": 0.3})
    fit = budget.fit()
    is_open = fit.plan.open_gates(small.layout)
    shut = (~is_open).nonzero().squeeze(1)
    best = shut[small.log_odds[shut].argmax()]  # the last one that was shut
    is_open[best] = True
    exact = budget.costs.exact(settle(small.layout, small.log_odds.detach(), is_open))
    assert any(cost > limit for cost, limit in zip(exact, budget.limits, strict=True))


def test_every_subset_of_a_tiny_network_projects_to_within_the_budget():
    gated = Gated(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)),
                  torch.zeros(1, 2), inputs=True)  # fmt: skip
    budget = Budget(gated, params=0.6)
    for signs in itertools.product((-3.0, 2.0, 3.0), repeat=gated.layout.num_gates):
        fit = project(budget.costs, torch.tensor(signs), budget.limits)
        assert budget.real(fit.plan)["params"] <= 0.6


def test_a_pruned_average_of_the_weights_is_within_the_budget(small):
    budget = Budget(small, params=0.3)
    averaged = torch.optim.swa_utils.AveragedModel(small, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    set_gates(small, small.log_odds.detach() + 1)
    averaged.update_parameters(small)
    cut = prune(averaged.module, budget)
    assert sum(parameter.numel() for parameter in cut.parameters()) <= budget.limits[0]
    with pytest.raises(TypeError, match=r"AveragedModel.*ema.module"):
        budget.fit(averaged)


@pytest.mark.parametrize("sizer", [Budget, Penalty])
def test_a_network_that_is_gated_in_another_way_is_refused(sizer, small):
    other = Gated(copy.deepcopy(small.bare()), torch.zeros(1, 6))
    with pytest.raises(BudgetError, match="another way"):
        sizer(small, params=0.5).fit(other)
