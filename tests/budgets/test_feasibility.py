"""What is refused before training: optimizers under which the gates cannot close in time."""

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget
from ellzero.errors import BudgetError
from ellzero.gates import Gated

SETTINGS = {
    "adam": (torch.optim.Adam, {}),
    "adam-amsgrad": (torch.optim.Adam, {"amsgrad": True, "betas": (0.8, 0.99)}),
    "adamw": (torch.optim.AdamW, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "rmsprop-momentum": (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
    "sgd": (torch.optim.SGD, {}),
    "sgd-nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}


def network(log_odds=0.0):
    torch.manual_seed(0)
    return Gated(nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2)), torch.zeros(1, 10), inputs=True,
                 log_odds=log_odds)  # fmt: skip


@pytest.mark.parametrize(("kind", "settings"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_learning_rate_that_cannot_close_a_gate_is_refused_with_the_numbers(kind, settings):
    gated = network()
    budget = Budget(gated, params=0.05, steps=300)
    rate = 1e-9 if kind is torch.optim.SGD else 1e-5  # under SGD a multiplier that grows makes up for much
    optimizer = kind(gated.parameter_groups(lr=1e-3, gate_lr=rate), **settings)
    with pytest.raises(
        BudgetError, match=rf"rate of {rate:g} for the gates, 300 steps bring params to [\d.]+% at best.*5.00%"
    ):
        budget.check(optimizer)


@pytest.mark.parametrize(("kind", "settings"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_learning_rate_that_can_is_accepted_and_nothing_is_changed(kind, settings):
    gated = network()
    budget = Budget(gated, params=0.05, steps=300)
    optimizer = kind(gated.parameter_groups(lr=1e-3, gate_lr=1.0 if kind is torch.optim.SGD else 5e-2), **settings)
    state, generator = {name: value.clone() for name, value in gated.state_dict().items()}, torch.get_rng_state()
    budget.check(optimizer)
    assert all(torch.equal(value, state[name]) for name, value in gated.state_dict().items())
    assert not optimizer.state
    assert torch.equal(generator, torch.get_rng_state())


def reaches(rate, steps):
    """Drive the gates without any loss, step by step."""
    gated = network()
    budget = Budget(gated, params=0.05, steps=steps)
    optimizer = torch.optim.Adam([gated.log_odds], lr=rate)
    best = 1.0
    for _ in range(steps):
        optimizer.zero_grad()
        budget.penalty().backward()
        optimizer.step()
        budget.step()
        best = min(best, budget.expected()["params"])
    return best <= 0.05 * 1.01


@pytest.mark.parametrize("rate", [1e-3, 2e-3, 4e-3, 8e-3])
def test_the_verdict_on_a_long_training_is_that_of_the_training_itself(rate):
    gated, steps = network(), 1500  # simulated by half as many steps, twice as large
    budget = Budget(gated, params=0.05, steps=steps)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=rate))
    if reaches(rate, steps):
        budget.check(optimizer)
    else:
        with pytest.raises(BudgetError, match="at best"):
            budget.check(optimizer)


def test_gates_that_start_open_need_longer_or_faster_learning():
    steps, rate = 300, 2e-2
    for log_odds, fine in ((0.0, True), (20.0, False)):
        gated = network(log_odds)
        budget = Budget(gated, params=0.05, steps=steps)
        optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=rate))
        if fine:
            budget.check(optimizer)
        else:
            with pytest.raises(BudgetError, match="raise the gates' learning rate"):
                budget.check(optimizer)


def test_a_warm_up_is_judged_by_the_rate_that_it_leads_to():
    gated = network()
    budget = Budget(gated, params=0.05, steps=300)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=5e-2))
    torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-6, total_iters=10)
    budget.check(optimizer)


def test_a_learning_rate_may_be_a_tensor():
    gated = network()
    groups = gated.parameter_groups(lr=1e-3)
    groups[1]["lr"] = torch.tensor(5e-2)
    Budget(gated, params=0.05, steps=300).check(torch.optim.Adam(groups))


def test_weight_decay_that_reopens_gates_is_found_out():
    gated = network()
    budget = Budget(gated, params=0.05, steps=300)
    optimizer = torch.optim.AdamW([gated.log_odds], lr=5e-2, weight_decay=20.0)
    with pytest.raises(BudgetError, match="at best"):
        budget.check(optimizer)


def test_an_optimizer_without_the_gates_is_refused():
    gated = network()
    budget = Budget(gated, params=0.05, steps=300)
    with pytest.raises(ValueError, match=r"does not hold the gates.*parameter_groups"):
        budget.check(torch.optim.Adam(gated.model.parameters()))


def test_a_training_of_unknown_length_is_refused():
    gated = network()
    with pytest.raises(ValueError, match=r"announce the length.*steps="):
        Budget(gated, params=0.05).check(torch.optim.Adam(gated.parameter_groups(lr=1e-3)))


def test_an_optimizer_that_needs_a_closure_is_refused_by_name():
    gated = network()
    with pytest.raises(ValueError, match=r"LBFGS cannot be simulated"):
        Budget(gated, params=0.05, steps=30).check(torch.optim.LBFGS([gated.log_odds]))
