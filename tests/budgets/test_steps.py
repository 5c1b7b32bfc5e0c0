"""Every optimizer, accumulation, clipping, averaging and mixed precision; and what happens when step() is forgotten."""

import copy
import math
import warnings

import pytest
import torch
from torch.nn import functional as F

from ellzero.budgets import Budget, Penalty
from ellzero.errors import NonFiniteError

FORGOTTEN = r"step\(\) was not called"
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "nadam": torch.optim.NAdam,
}
SIZERS = {"budget": lambda gated: Budget(gated, params=0.5), "penalty": lambda gated: Penalty(gated, params=1e-3)}


@pytest.fixture(params=SIZERS.values(), ids=SIZERS.keys())
def make(request):
    """A budget or a penalty."""
    return request.param


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def descend(gated, sizer, optimizer, *, announce=True):
    inputs, labels = batch()
    optimizer.zero_grad()
    (F.cross_entropy(gated(inputs), labels) + sizer.penalty()).backward()
    optimizer.step()
    if announce:
        sizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize("foreach", [False, True])
def test_a_forgotten_step_is_noticed_once_under_every_optimizer(kind, foreach, make, small):
    sizer = make(small)
    optimizer = kind(small.parameter_groups(lr=1e-3), foreach=foreach)
    descend(small, sizer, optimizer, announce=False)
    descend(small, sizer, optimizer, announce=False)
    with pytest.warns(UserWarning, match=FORGOTTEN):
        descend(small, sizer, optimizer, announce=False)
    for _ in range(3):
        descend(small, sizer, optimizer, announce=False)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_fused_optimizers_work_too_although_they_do_not_mark_what_they_change(kind, small):
    sizer = Budget(small, params=0.5)
    optimizer = kind(small.parameter_groups(lr=1e-3), fused=True)
    before = small.log_odds.detach().clone()
    for _ in range(4):
        descend(small, sizer, optimizer)
    assert not torch.equal(before, small.log_odds)
    with torch.no_grad():
        small.log_odds[0] = math.nan
    with pytest.raises(NonFiniteError):
        sizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_nothing_is_warned_about_when_every_step_is_announced(kind, make, small):
    sizer = make(small)
    optimizer = kind(small.parameter_groups(lr=1e-3))
    for _ in range(4):
        descend(small, sizer, optimizer)


def test_asking_for_the_penalty_twice_or_after_the_optimizer_is_no_forgotten_step(make, small):
    sizer = make(small)
    optimizer = torch.optim.Adam(small.parameter_groups(lr=1e-3))
    for _ in range(4):
        sizer.penalty()
        descend(small, sizer, optimizer, announce=False)
        sizer.penalty()
        sizer.step()
        sizer.penalty()


def test_loading_or_setting_gates_between_steps_is_no_forgotten_step(make, small):
    sizer = make(small)
    state = copy.deepcopy(small.state_dict())
    for _ in range(4):
        sizer.penalty()
        small.load_state_dict(state)


def test_an_optimizer_step_that_is_skipped_by_a_gradient_scaler_is_no_forgotten_step(make, small):
    sizer = make(small)
    optimizer = torch.optim.Adam(small.parameter_groups(lr=1e-3))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    inputs, labels = batch()
    before = small.log_odds.detach().clone()
    for number in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(small(inputs), labels) * (math.inf if number < 3 else 1)
        scaler.scale(loss + sizer.penalty()).backward()
        scaler.step(optimizer)
        scaler.update()
        if number % 2:
            sizer.step()
        assert torch.equal(before, small.log_odds) is (number < 3)
        if number == 3:
            break
    assert small.log_odds.isfinite().all()


def test_accumulated_micro_batches_are_one_step_with_the_gradient_of_the_whole(make, small):
    sizer = make(small)
    if isinstance(sizer, Budget):
        sizer.state.multiplier.fill_(0.5)
    small.eval()  # no noise: the parts must add up to the whole
    inputs, labels = batch()
    (F.cross_entropy(small(inputs), labels) + sizer.penalty()).backward()
    whole = small.log_odds.grad.clone()
    small.zero_grad()
    for part in range(4):
        chosen = slice(2 * part, 2 * part + 2)
        ((F.cross_entropy(small(inputs[chosen]), labels[chosen]) + sizer.penalty()) / 4).backward()
    torch.testing.assert_close(small.log_odds.grad, whole, rtol=1e-4, atol=1e-7)
    small.train()
    optimizer = torch.optim.SGD(small.parameter_groups(lr=1e-3))
    for _ in range(3):
        for _ in range(4):
            ((F.cross_entropy(small(inputs), labels) + sizer.penalty()) / 4).backward()
        optimizer.step()
        optimizer.zero_grad()
        sizer.step()
    assert small.gates.counters.tolist()[1:] == [3, 0]


def test_clipped_gradients_and_averaged_weights_still_meet_the_target(small):
    budget = Budget(small, params=0.4, steps=300)
    optimizer = torch.optim.Adam(small.parameter_groups(lr=1e-3, gate_lr=3e-2))
    averaged = torch.optim.swa_utils.AveragedModel(small, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    inputs, labels = batch()
    for _ in range(300):
        optimizer.zero_grad()
        (F.cross_entropy(small(inputs), labels) + budget.penalty()).backward()
        torch.nn.utils.clip_grad_norm_(small.parameters(), 0.1)
        optimizer.step()
        budget.step()
        averaged.update_parameters(small)
    assert budget.expected()["params"] == pytest.approx(0.4, abs=0.01)
    assert budget.real(budget.fit(averaged.module).plan)["params"] <= 0.4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_poisoned_gates_are_put_back_and_the_step_is_named(bad, make, small):
    sizer = make(small)
    optimizer = torch.optim.Adam(small.parameter_groups(lr=1e-3))
    for _ in range(2):
        descend(small, sizer, optimizer)
    good, state = small.log_odds.detach().clone(), copy.deepcopy(small.gates.state_dict())
    sizer.penalty()
    with torch.no_grad():
        small.log_odds[3] = bad
    sizer.penalty()
    with pytest.raises(NonFiniteError, match=r"1 of 19 gates became NaN or infinite in step 3"):
        sizer.step()
    assert torch.equal(small.log_odds, good)
    assert all(torch.equal(value, state[name]) for name, value in small.gates.state_dict().items())
    sizer.step()  # what the poisoned penalty saw is forgotten
    assert all(value.isfinite().all() for value in small.gates.state_dict().values())


def test_a_loss_that_is_not_a_number_stops_a_bare_loop_and_leaves_gates_and_multipliers_sound(small):
    budget = Budget(small, params=0.3, steps=20)
    optimizer = torch.optim.Adam(small.parameter_groups(lr=1e-3, gate_lr=1e-2))
    for _ in range(5):
        descend(small, budget, optimizer)
    good = {name: value.clone() for name, value in small.gates.state_dict().items() if name != "counters"}
    inputs, labels = batch()
    optimizer.zero_grad()
    (F.cross_entropy(small(inputs), labels) * math.nan + budget.penalty()).backward()
    optimizer.step()
    with pytest.raises(NonFiniteError, match="in step 6"):
        budget.step()
    found = small.gates.state_dict()
    assert found["counters"].tolist()[1:] == [5, 1]
    assert all(torch.equal(found[name], value) for name, value in good.items())


@pytest.mark.parametrize("how", ["load", "set"])
def test_gates_that_were_loaded_or_set_are_the_good_ones_from_then_on(how, small):
    budget = Budget(small, params=0.5)
    wanted = torch.full_like(small.log_odds, 3.0)
    if how == "load":
        small.load_state_dict({**small.state_dict(), "gates.log_odds": wanted})
    else:
        with torch.no_grad():
            small.log_odds.copy_(wanted)
    budget.penalty()
    with torch.no_grad():
        small.log_odds.fill_(math.nan)
    with pytest.raises(NonFiniteError):
        budget.step()
    assert torch.equal(small.log_odds, wanted)


def test_the_penalty_compiles_into_one_graph(small):
    budget = Budget(small, params=0.5, macs=0.5)
    budget.state.multiplier.fill_(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(budget.penalty, fullgraph=True, backend="aot_eager")
        assert compiled().item() == pytest.approx(budget.penalty().item(), rel=1e-6)
