"""The training loop of the recipes and the command line: epochs, a diary, and a safe stop."""

__all__ = ["Loader", "train"]

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from ellzero.budgets import Budget, Fit, Sizer
from ellzero.distributions import median
from ellzero.errors import NonFiniteError
from ellzero.gates import Gated
from ellzero.surgery import evaluating
from ellzero.training.history import Epoch, History
from ellzero.training.last_good import LastGood


class Loader(Protocol):
    """Batches of inputs and targets, the same number in every epoch."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch."""

    def __len__(self) -> int:
        """How many batches."""


def train(
    gated: Gated,
    sizer: Sizer,
    optimizer: torch.optim.Optimizer,
    loader: Loader,
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    epochs: int,
    evaluate: Callable[[nn.Module], float] | None = None,
    scheduler: LRScheduler | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    history: History | None = None,
) -> History:
    """Train a gated network and write down how it went.

    The loop ends early, and says so in the history, when the user interrupts it, or when an input, a loss, a gradient,
    a weight or what is evaluated is not finite. In both cases, and after any other error, which reaches the caller, the
    network is as it was after the last step that was finished and good.

    Args:
        gated: the network; it is left in training mode.
        sizer: a budget or a penalty for it.
        optimizer: over `gated.parameter_groups(...)`.
        loader: batches; iterated once per epoch.
        loss: mean loss of outputs and targets, a scalar.
        epochs: how many.
        evaluate: called after every epoch with the network as it would be delivered then, in evaluation mode.
        scheduler: stepped after every optimizer step.
        on_epoch: called with every entry of the diary.
        history: an empty one to write into, for a caller that wants it even if an error ends the training.

    Returns:
        The history; `stopped` tells how it ended.

    Raises:
        ValueError: if there is no epoch or no batch, the sizer is for another network, or the gates are not in the
            optimizer.
    """
    _check(gated, sizer, optimizer, loader, epochs)
    history = History({}) if history is None else history
    history.goal = _goal(sizer)
    start = time.monotonic()
    gated.train()
    last_good = LastGood(gated)
    try:
        for epoch in range(1, epochs + 1):
            mean = _epoch(gated, sizer, optimizer, loader, loss=loss, scheduler=scheduler, last_good=last_good)
            seconds = time.monotonic() - start
            counts = {"epoch": epoch, "steps": epoch * len(loader)}
            left = seconds / epoch * (epochs - epoch)
            history.epochs.append(_entry(gated, sizer, evaluate, **counts, loss=mean, seconds=seconds, left=left))
            if on_epoch is not None:
                on_epoch(history.epochs[-1])
    except KeyboardInterrupt:
        last_good.restore()
        history.stopped, history.message = "interrupted", f"interrupted after {len(history.epochs)} epochs"
    except NonFiniteError as error:
        last_good.restore()
        optimizer.zero_grad(set_to_none=True)
        history.stopped, history.message = "not finite", str(error)
    except Exception as error:
        last_good.restore()
        history.stopped, history.message = "failed", f"{type(error).__name__}: {error}"
        raise
    return history


def _epoch(
    gated: Gated,
    sizer: Sizer,
    optimizer: torch.optim.Optimizer,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    scheduler: LRScheduler | None,
    last_good: LastGood,
) -> float:
    """One pass over the data; the mean loss."""
    total = num = 0.0
    for inputs, targets in loader:
        optimizer.zero_grad(set_to_none=True)
        value = loss(gated(inputs), targets)
        found = float(value.detach())
        if not math.isfinite(found):
            raise NonFiniteError(f"the loss is {found} in step {_step(gated)}{_blame(inputs)}")
        (value + sizer.penalty()).backward()
        gradients = [p.grad for p in gated.parameters() if p.grad is not None]
        if not bool(nn.utils.get_total_norm(gradients).isfinite()):
            raise NonFiniteError(f"a gradient is NaN or infinite in step {_step(gated)}; lower the learning rate")
        optimizer.step()
        if not last_good.is_finite_now():
            raise NonFiniteError(f"a weight became NaN or infinite in step {_step(gated)}; lower the learning rate")
        sizer.step()
        last_good.save()
        if scheduler is not None:
            scheduler.step()
        total, num = total + found * len(targets), num + len(targets)
    if not num:
        raise ValueError("the loader gave no batch in this epoch; it must start anew whenever it is iterated")
    return total / num


def _step(gated: Gated) -> int:
    """The number of the step that is being taken, counted from 1."""
    return int(gated.gates.counters[1]) + 1


def _blame(inputs: Tensor) -> str:
    if not bool(inputs.isfinite().all()):
        return "; the inputs of this batch hold NaN or infinite numbers: clean the data"
    return "; the inputs are finite: lower the learning rate, or look at the loss function"


def _check(gated: Gated, sizer: Sizer, optimizer: torch.optim.Optimizer, loader: Loader, epochs: int) -> None:
    if epochs < 1 or len(loader) < 1:
        raise ValueError(f"there is nothing to train: {epochs} epochs of {len(loader)} batches")
    if sizer.gated is not gated:
        raise ValueError(f"the {type(sizer).__name__} was made for another network; make one for this one")
    if not any(parameter is gated.log_odds for group in optimizer.param_groups for parameter in group["params"]):
        raise ValueError("the optimizer does not hold the gates; build it from gated.parameter_groups(lr=...)")


def _goal(sizer: Sizer) -> dict[str, float]:
    return sizer.costs.named(sizer.goals) if isinstance(sizer, Budget) else {}


def _entry(
    gated: Gated,
    sizer: Sizer,
    evaluate: Callable[[nn.Module], float] | None,
    *,
    epoch: int,
    steps: int,
    loss: float,
    seconds: float,
    left: float,
) -> Epoch:
    fit: Fit = sizer.fit()
    error = None
    if evaluate is not None:
        with evaluating(gated), gated.planned(fit.plan), torch.no_grad():
            error = evaluate(gated)
        if not math.isfinite(error):
            raise NonFiniteError(f"the evaluation after epoch {epoch} gives {error}; look at the data it is done on")
    middle = median(gated.log_odds.detach())
    return Epoch(
        epoch=epoch,
        steps=steps,
        loss=loss,
        error=error,
        expected=sizer.expected(),
        real=sizer.real(fit.plan),
        target=sizer.current_targets() if isinstance(sizer, Budget) else {},
        multiplier=sizer.multipliers if isinstance(sizer, Budget) else {},
        undecided=float(((middle > 0) & (middle < 1)).float().mean()),
        seconds=seconds,
        seconds_left=left,
    )
