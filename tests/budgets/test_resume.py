"""Checkpoints carry multipliers and the ramp: a training that was stopped goes on bit for bit."""

import copy

import pytest
import torch
from torch.nn import functional as F

from ellzero.budgets import Budget
from ellzero.gates import Gated


def start(seed=0, share=0.3):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    gated = Gated(model, torch.zeros(1, 6), inputs=True, seed=seed)
    budget = Budget(gated, params=share, units=0.6, steps=60)
    return gated, budget, torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=2e-2))


def descend(gated, budget, optimizer, steps):
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(32, 6, generator=generator), torch.randint(3, (32,), generator=generator)
    for _ in range(steps):
        optimizer.zero_grad()
        (F.cross_entropy(gated(inputs), labels) + budget.penalty()).backward()
        optimizer.step()
        budget.step()


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("at", [1, 10, 40])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(at):
    whole, budget, optimizer = start()
    descend(whole, budget, optimizer, at)
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict()))
    descend(whole, budget, optimizer, 20)
    resumed, second, other = start(seed=9)  # other weights, other noise, another start of the ramp
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    descend(resumed, second, other, 20)
    assert same(whole.state_dict(), resumed.state_dict())
    assert budget.multipliers == second.multipliers
    assert budget.current_targets() == second.current_targets()


def test_multipliers_and_ramp_are_in_the_checkpoint():
    gated, budget, optimizer = start()
    descend(gated, budget, optimizer, 10)
    found = {name for name in gated.state_dict() if name.startswith("gates.budget.")}
    assert found == {"gates.budget.memory"}
    assert min(budget.multipliers.values()) > 0


def test_the_goal_is_what_the_code_says_not_what_the_checkpoint_said():
    gated, budget, optimizer = start(share=0.3)
    descend(gated, budget, optimizer, 30)
    resumed, second, other = start(share=0.8)
    resumed.load_state_dict(gated.state_dict())
    descend(resumed, second, other, 1)
    assert second.current_targets()["params"] == pytest.approx(0.8)


def test_a_checkpoint_of_a_budget_is_refused_by_a_network_without_one_and_accepted_once_it_has_one():
    gated, budget, optimizer = start()
    descend(gated, budget, optimizer, 10)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    fresh = Gated(model, torch.zeros(1, 6), inputs=True)
    with pytest.raises(RuntimeError, match=r"gates.budget.memory"):
        fresh.load_state_dict(gated.state_dict())
    late = Budget(fresh, params=0.3, units=0.6, steps=60)
    fresh.load_state_dict(gated.state_dict())
    assert late.multipliers == budget.multipliers


def test_a_checkpoint_with_another_number_of_targets_is_refused():
    gated, _, _ = start()
    state = gated.state_dict()
    Budget(gated, params=0.3)
    with pytest.raises(RuntimeError, match=r"size mismatch for budget.memory|size mismatch for gates.budget"):
        gated.load_state_dict(state)


def test_multipliers_stay_in_single_precision_when_the_network_does_not():
    gated, budget, _ = start()
    gated.to(torch.bfloat16)
    assert {value.dtype for value in budget.state.state_dict().values()} == {torch.float32}
    assert gated.log_odds.dtype == torch.float32
