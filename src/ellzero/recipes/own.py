"""Prune a network of the user's own: a function that builds it, and one that returns its data."""

__all__ = ["PruneSettings", "prepare"]

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ellzero.gates import Gated
from ellzero.recipes.classify import Loss, Task, check_scores, not_finite
from ellzero.recipes.functions import call_function, find_function
from ellzero.recipes.settings import Settings
from ellzero.surgery import evaluating
from ellzero.training import Loader

_BY_CLASS = frozenset({torch.int64, torch.int32, torch.uint8})


@dataclass(frozen=True)
class PruneSettings(Settings):
    """What pruning one's own network can be told; functions are named `module:function`."""

    unused: ClassVar[frozenset[str]] = frozenset({"batch_size"})

    epochs: int = 10

    model: str = ""
    """Function that returns the network, an nn.Module, as module:function."""

    data: str | None = None
    """Function that returns (train, test), two iterables of (inputs, targets), as module:function; test may be None."""

    loss: str = "torch.nn.functional:cross_entropy"
    """Function of outputs and targets that returns the mean loss, as module:function."""

    pretrained: bool = False
    """The network is trained already: gates start nearly open."""

    inputs: bool = False
    """Input features can be gated."""

    positions: bool = False
    """Flattened positions can be gated one by one."""

    keep: tuple[str, ...] = ()
    """Modules or tensors whose channels are kept whole."""

    def check(self) -> None:
        """Refuse what is wrong whatever the network.

        Raises:
            ValueError: as for every recipe, or if the model or the data are not given as `module:function`.
        """
        super().check()
        for name in ("model", "data", "loss"):
            value = getattr(self, name) or ""
            module, _, function = value.partition(":")
            if not (module and function):
                found = f"got {value!r}" if value else "it is missing"
                raise ValueError(
                    f"{name} must be given as module:function, {found}; e.g. --{name} mine:{_EXAMPLE[name]}"
                )


_EXAMPLE = {"model": "build", "data": "loaders", "loss": "loss"}


def prepare(settings: Settings) -> Task:
    """Call the user's functions and gate the network.

    Args:
        settings: names of the functions, and how to gate.

    Returns:
        The task; the same settings give the same one, bit for bit, on the same machine, if the user's functions draw
        their random numbers from torch, NumPy or `random` without a seed of their own, or with a fixed one.

    Raises:
        ValueError: if a function is not found, fails, or returns something else than it should.
        BudgetError: if the budget cannot be met.
    """
    if not isinstance(settings, PruneSettings):
        raise TypeError(f"this needs PruneSettings, got {type(settings).__name__}")
    settings.check()
    loss = cast(Loss, find_function(settings.loss))
    _seed(settings.seed)
    train, test = _loaders(cast(str, settings.data))
    example = _first(train, cast(str, settings.data), "train")[0][:1]
    _seed(settings.seed)
    model = call_function(settings.model)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{settings.model} must return an nn.Module, got {type(model).__name__}; return the network")
    start: dict[str, Any] = {"pretrained": settings.pretrained, "keep": settings.keep, "seed": settings.seed}
    gated = Gated(model, example, inputs=settings.inputs, positions=settings.positions, **start)
    sizer = settings.sizer(gated, settings.epochs * len(train))
    by_class = test is not None and _is_by_class(gated, *_first(test, cast(str, settings.data), "test"))
    evaluate = None if test is None else _evaluation(test, loss, by_class=by_class)
    return Task(gated, sizer, train, loss, evaluate, "error" if by_class else "loss")


def _loaders(name: str) -> tuple[Loader, Loader | None]:
    found = call_function(name)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise ValueError(f"{name} must return (train, test), got {type(found).__name__}; test may be None")
    for part, what in zip(found, ("train", "test"), strict=True):
        if part is None and what == "test":
            continue
        if not isinstance(part, Iterable) or iter(part) is part or not hasattr(part, "__len__"):
            raise ValueError(
                f"the {what} data of {name} must be batches that can be gone through again and have a length, got "
                f"{type(part).__name__}; return a list of (inputs, targets) or a torch DataLoader"
            )
        if not len(part):  # type: ignore[arg-type]
            raise ValueError(f"the {what} data of {name} hold no batch; return at least one")
    return found[0], found[1]


def _first(batches: Loader, name: str, what: str) -> tuple[Tensor, Tensor]:
    """The first batch with a sample in it."""
    for batch in batches:
        is_pair = isinstance(batch, (tuple, list)) and len(batch) == 2
        if not is_pair or not all(isinstance(part, Tensor) for part in batch):
            raise ValueError(
                f"the batches of {name} must be pairs of tensors (inputs, targets), got {type(batch).__name__}"
            )
        inputs, targets = batch
        if targets.numel():
            return inputs, targets
    raise ValueError(f"the {what} data of {name} hold no sample; return at least one")


@torch.no_grad()
def _is_by_class(gated: Gated, inputs: Tensor, targets: Tensor) -> bool:
    """Whether targets are class numbers and outputs one score per class: then wrong answers can be counted."""
    with evaluating(gated):
        outputs = gated(inputs[:1])
    return targets.dtype in _BY_CLASS and isinstance(outputs, Tensor) and outputs.dim() == targets.dim() + 1


def _evaluation(test: Loader, loss: Loss, *, by_class: bool) -> Callable[[nn.Module], float]:
    """The share of wrong answers, or the mean loss where targets are no classes."""

    @torch.no_grad()
    def evaluate(network: nn.Module) -> float:
        total, num = 0.0, 0
        for inputs, targets in test:
            outputs = network(inputs)
            if by_class:
                check_scores(outputs, inputs)
                total, num = total + int((outputs.argmax(1) != targets).sum()), num + targets.numel()
            elif len(targets):
                summed = float(loss(outputs, targets) * len(targets))
                if not math.isfinite(summed):
                    raise not_finite("the loss", inputs, targets)
                total, num = total + summed, num + len(targets)
        if not num:
            raise ValueError("the test data gave no sample this time; they must start anew whenever they are iterated")
        return total / num

    return evaluate


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
