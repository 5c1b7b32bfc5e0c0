"""The loop: what it writes down, and the state that it leaves when something goes wrong."""

import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ellzero.budgets import Budget, Penalty
from ellzero.gates import Gated
from ellzero.training import Batches, History, train

NUM, SIZE = 40, 8
STEPS = NUM // SIZE


class Run:
    """A small training with batch norm, whose running statistics are poisoned before the loss is."""

    def __init__(self, *, sizer=None, seed=0, lr=1e-2, epochs=4):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        self.inputs, self.labels = torch.randn(NUM, 6), torch.randint(3, (NUM,))
        self.gated = Gated(model, self.inputs[:2], inputs=True, seed=seed)
        make = sizer or (lambda gated: Budget(gated, params=0.5, steps=STEPS * epochs))
        self.sizer = make(self.gated)
        self.optimizer = torch.optim.Adam(self.gated.parameter_groups(lr=lr, gate_lr=2e-2))
        self.loader = Batches(self.inputs, self.labels, size=SIZE, seed=seed)
        self.epochs = epochs

    def __call__(self, **changes):
        settings = {"loss": F.cross_entropy, "epochs": self.epochs, **changes}
        loader = settings.pop("loader", self.loader)
        return train(self.gated, self.sizer, self.optimizer, loader, **settings)

    def state(self):
        return {name: value.clone() for name, value in self.gated.state_dict().items()}


class Spoiled:
    """The same batches, but one of them is spoiled, or raises."""

    def __init__(self, loader, at, spoil):
        self.loader, self.at, self.spoil, self.num = loader, at, spoil, 0

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for inputs, labels in self.loader:
            self.num += 1
            yield (self.spoil(inputs), labels) if self.num == self.at else (inputs, labels)


class Watched:
    """The same batches; the state before each of them is kept, which is the state after the step before."""

    def __init__(self, run, loader):
        self.run, self.loader, self.states = run, loader, []

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            self.states.append(self.run.state())
            yield batch


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def with_nan(inputs):
    return inputs.index_fill(0, torch.tensor([0]), math.nan)


def interrupt(inputs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["budget", "penalty"])
def test_the_diary_says_what_happened(kind):
    run = Run(sizer=(lambda gated: Penalty(gated, params=1e-4)) if kind == "penalty" else None)
    losses, seen = [], []

    def loss(outputs, labels):
        losses.append(F.cross_entropy(outputs, labels))
        return losses[-1]

    history = run(loss=loss, on_epoch=seen.append)
    assert history.stopped == "finished"
    assert seen == history.epochs
    assert [entry.epoch for entry in seen] == [1, 2, 3, 4]
    assert [entry.steps for entry in seen] == [STEPS * epoch for epoch in (1, 2, 3, 4)]
    for entry in seen:
        of_epoch = losses[STEPS * (entry.epoch - 1) : STEPS * entry.epoch]
        assert entry.loss == pytest.approx(sum(one.item() for one in of_epoch) / STEPS, rel=1e-6)
        assert entry.error is None
        assert 0 <= entry.undecided <= 1
    assert [entry.seconds for entry in seen] == sorted(entry.seconds for entry in seen)
    assert seen[-1].seconds_left == 0
    assert all(entry.seconds_left == pytest.approx(entry.seconds / entry.epoch * (4 - entry.epoch)) for entry in seen)
    assert seen[-1].expected == run.sizer.expected()
    assert seen[-1].real == run.sizer.real(run.sizer.fit().plan)
    assert history.goal == ({} if kind == "penalty" else {"params": 0.5})
    assert seen[-1].multiplier == ({} if kind == "penalty" else run.sizer.multipliers)
    assert seen[-1].target == ({} if kind == "penalty" else run.sizer.current_targets())
    assert json.loads(json.dumps(history.to_dict()))["epochs"][0]["epoch"] == 1


def test_the_error_is_that_of_the_network_as_it_would_be_delivered_now():
    run, calls = Run(), []

    def evaluate(network):
        assert not network.training
        assert not torch.is_grad_enabled()
        plan = run.sizer.fit().plan
        with network.planned(plan):
            expected = network(run.inputs)
        calls.append(torch.equal(network(run.inputs), expected))
        return 0.25

    history = run(evaluate=evaluate)
    assert calls == [True] * 4
    assert [entry.error for entry in history.epochs] == [0.25] * 4
    assert all(module.training for module in run.gated.modules())


def test_evaluation_changes_nothing_in_the_training():
    plain, evaluated = Run(), Run()
    plain()
    evaluated(evaluate=lambda network: float(network(evaluated.inputs).mean()))
    assert same(plain.state(), evaluated.state())


def test_the_same_seed_gives_the_same_network_bit_for_bit_and_another_another():
    one, two, other = Run(), Run(), Run(seed=1)
    histories = [run() for run in (one, two, other)]
    assert same(one.state(), two.state())
    assert not torch.equal(one.gated.log_odds, other.gated.log_odds)
    assert [entry.loss for entry in histories[0].epochs] == [entry.loss for entry in histories[1].epochs]


@pytest.mark.parametrize("at", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("spoil", [with_nan, lambda inputs: inputs * math.inf], ids=["nan", "inf"])
def test_a_spoiled_batch_stops_at_its_step_and_leaves_the_last_good_state_bit_for_bit(at, spoil):
    run = Run()
    watched = Watched(run, run.loader)
    history = run(loader=Spoiled(watched, at, spoil))
    assert history.stopped == "not finite"
    assert f"in step {at};" in history.message
    assert "inputs of this batch hold NaN" in history.message
    assert len(history.epochs) == (at - 1) // STEPS
    assert len(watched.states) == at
    assert same(run.state(), watched.states[-1])
    assert all(parameter.grad is None for parameter in run.gated.parameters())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_told_from_bad_inputs(bad):
    run, num = Run(), []

    def loss(outputs, labels):
        num.append(1)
        return F.cross_entropy(outputs, labels) * (bad if len(num) == 7 else 1)

    watched = Watched(run, run.loader)
    history = run(loader=watched, loss=loss)
    assert f"the loss is {bad} in step 7; the inputs are finite" in history.message
    assert same(run.state(), watched.states[-1])


def test_a_gradient_that_is_not_finite_stops_before_the_optimizer_sees_it():
    run, num = Run(), []

    def loss(outputs, labels):
        num.append(1)
        root = (outputs * 0).abs().sum().sqrt()  # finite, with an infinite slope
        return F.cross_entropy(outputs, labels) + (root if len(num) == 4 else 0)

    watched = Watched(run, run.loader)
    history = run(loader=watched, loss=loss)
    assert "a gradient is NaN or infinite in step 4" in history.message
    assert same(run.state(), watched.states[-1])
    assert all(value.isfinite().all() for state in run.optimizer.state.values() for value in state.values())


def test_weights_that_overflow_in_the_optimizer_are_put_back():
    run = Run(lr=1e-3)
    run.optimizer.param_groups[0]["lr"] = 1e37
    watched = Watched(run, run.loader)
    history = run(loader=watched)
    assert history.stopped == "not finite"
    assert same(run.state(), watched.states[-1])
    assert all(value.isfinite().all() for value in run.gated.state_dict().values())


def test_gates_that_overflow_in_the_optimizer_are_put_back():
    run = Run()
    run.optimizer.param_groups[1]["lr"] = math.inf
    watched = Watched(run, run.loader)
    history = run(loader=watched)
    assert history.stopped == "not finite"
    assert "in step 1" in history.message
    assert same(run.state(), watched.states[0])


def test_after_a_spoiled_batch_the_training_goes_on_as_if_it_had_not_been():
    run, clean = Run(), Run()
    batches, good = list(run.loader), list(clean.loader)
    run(loader=Spoiled(batches, 3, with_nan), epochs=1)
    run(loader=batches[2:], epochs=1)
    clean(loader=good, epochs=1)
    assert same(run.state(), clean.state())


@pytest.mark.parametrize("at", [1, 4, 7])
def test_an_interrupt_within_an_epoch_leaves_the_last_good_state_and_says_so(at):
    run = Run()
    watched = Watched(run, run.loader)
    history = run(loader=Spoiled(watched, at, interrupt))
    assert history.stopped == "interrupted"
    assert history.message == f"interrupted after {(at - 1) // STEPS} epochs"
    assert len(history.epochs) == (at - 1) // STEPS
    assert same(run.state(), watched.states[-1])
    assert run().stopped == "finished"  # and no warning about a forgotten step


def test_an_interrupt_between_optimizer_and_budget_leaves_a_state_that_goes_together(monkeypatch):
    run = Run()
    before = run.state()
    monkeypatch.setattr(run.sizer, "step", lambda: interrupt(None))
    assert run().stopped == "interrupted"
    assert same(run.state(), before)


def test_an_interrupt_in_the_evaluation_keeps_the_epoch_that_was_trained():
    run, other = Run(), Run()
    assert run(evaluate=interrupt).stopped == "interrupted"
    other(epochs=1)
    assert same(run.state(), other.state())
    assert all(module.training for module in run.gated.modules())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_evaluation_that_is_not_finite_stops_the_training_and_keeps_the_epoch(bad):
    run, other, found = Run(), Run(), iter([0.5, bad])
    history = run(evaluate=lambda network: next(found))
    other(epochs=2)
    assert (history.stopped, len(history.epochs)) == ("not finite", 1)
    assert f"the evaluation after epoch 2 gives {bad}" in history.message
    assert same(run.state(), other.state())


@pytest.mark.parametrize("moment", ["loss", "evaluate", "on_epoch"])
def test_other_errors_reach_the_caller_and_leave_the_last_good_state_and_the_history(moment):
    def fail(*args):
        return 1 / 0

    run, history = Run(), History({})
    watched = Watched(run, run.loader)
    with pytest.raises(ZeroDivisionError):
        run(loader=watched, history=history, **{moment: fail})
    assert (history.stopped, history.goal) == ("failed", {"params": 0.5})
    assert history.message == "ZeroDivisionError: division by zero"
    assert len(history.epochs) == (1 if moment == "on_epoch" else 0)
    other = Run()
    if moment != "loss":
        other(epochs=1)
    assert same(run.state(), other.state())


def test_gradients_that_were_there_before_are_not_used():
    run, other = Run(), Run()
    for parameter in run.gated.parameters():
        parameter.grad = torch.ones_like(parameter)
    run()
    other()
    assert same(run.state(), other.state())


def test_a_scheduler_is_stepped_with_every_step_of_the_optimizer():
    run = Run()
    scheduler = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda step: 1.0)
    run(scheduler=scheduler)
    assert scheduler.last_epoch == STEPS * 4


def test_a_budget_of_another_network_is_refused():
    run = Run()
    run.sizer = Run().sizer
    with pytest.raises(ValueError, match="made for another network"):
        run()


def test_an_optimizer_without_the_gates_is_refused():
    run = Run()
    run.optimizer = torch.optim.Adam(run.gated.model.parameters())
    with pytest.raises(ValueError, match=r"does not hold the gates.*parameter_groups"):
        run()


@pytest.mark.parametrize(("changes", "words"), [({"epochs": 0}, "0 epochs of 5"), ({"loader": []}, "4 epochs of 0")])
def test_nothing_to_train_is_refused(changes, words):
    with pytest.raises(ValueError, match=f"nothing to train: {words}"):
        Run()(**changes)


def test_a_loader_that_can_be_read_only_once_is_refused():
    class Once(Spoiled):
        def __iter__(self):
            self.loader, now = [], self.loader
            return iter(now)

        def __len__(self):
            return STEPS

    run = Run()
    with pytest.raises(ValueError, match="gave no batch"):
        run(loader=Once(list(run.loader), 0, None))
