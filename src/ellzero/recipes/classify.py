"""What the classification recipes share: gate, train, and measure the error."""

__all__ = ["Task", "Trained", "error_of", "gate_classifier", "train_task"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ellzero.budgets import Budget, Sizer
from ellzero.gates import Gated
from ellzero.recipes.data import Images
from ellzero.recipes.settings import Settings
from ellzero.training import Batches, Epoch, History, Loader, train

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """A gated network before its training, and all that this needs.

    Attributes:
        gated: the network.
        sizer: its budget or penalty.
        loader: training batches.
        loss: of outputs and targets, a scalar.
        evaluate: what is measured after every epoch and on the delivered network, or None.
        measure: whether that is a share of wrong answers or a mean loss.
    """

    gated: Gated
    sizer: Sizer
    loader: Loader
    loss: Loss
    evaluate: Callable[[nn.Module], float] | None
    measure: Literal["error", "loss"] = "error"


@dataclass(frozen=True)
class Trained:
    """A gated network at the end of its training."""

    gated: Gated
    sizer: Sizer
    history: History
    evaluate: Callable[[nn.Module], float] | None
    measure: Literal["error", "loss"] = "error"


def gate_classifier(
    build: Callable[[], nn.Module],
    images: Images,
    settings: Settings,
    *,
    inputs: bool = False,
    positions: bool = False,
) -> Task:
    """Gate a fresh classifier of images.

    Args:
        build: makes the dense network with fresh weights.
        images: training and test data.
        settings: budget or penalty, epochs, learning rates, seed.
        inputs: whether single pixels can be gated.
        positions: whether flattened positions can be gated.

    Returns:
        The task; the same settings give the same one, bit for bit, on the same machine.

    Raises:
        ValueError: if the settings are wrong.
        BudgetError: if the budget cannot be met.
    """
    torch.manual_seed(settings.seed)
    gated = Gated(build(), images.train_x[:1], inputs=inputs, positions=positions, seed=settings.seed)
    loader = Batches(images.train_x, images.train_y, size=settings.batch_size, seed=settings.seed)

    def evaluate(network: nn.Module) -> float:
        return error_of(network, images.test_x, images.test_y)

    sizer = settings.sizer(gated, settings.epochs * len(loader))
    return Task(gated, sizer, loader, F.cross_entropy, evaluate)


def train_task(task: Task, settings: Settings, on_epoch: Callable[[Epoch], None] | None = None) -> Trained:
    """Train what was gated; the same settings give the same network, bit for bit, on the same machine.

    Args:
        task: made with the same settings.
        settings: epochs and learning rates.
        on_epoch: called with every entry of the diary.

    Returns:
        The gated network with its history.

    Raises:
        BudgetError: if the budget cannot be met within these epochs.
    """
    optimizer, scheduler = settings.optimizer(task.gated, settings.epochs * len(task.loader))
    if isinstance(task.sizer, Budget):
        task.sizer.check(optimizer)
    history = train(
        task.gated,
        task.sizer,
        optimizer,
        task.loader,
        loss=task.loss,
        epochs=settings.epochs,
        evaluate=task.evaluate,
        scheduler=scheduler,
        on_epoch=on_epoch,
    )
    return Trained(task.gated, task.sizer, history, task.evaluate, task.measure)


@torch.no_grad()
def error_of(network: nn.Module, inputs: Tensor, targets: Tensor, *, size: int = 1000) -> float:
    """Share of wrong answers, in [0, 1].

    Args:
        network: returns one score per class, shape `(batch, classes)`.
        inputs: shape `(samples, ...)`.
        targets: class numbers, shape `(samples,)`.
        size: samples per forward pass.
    """
    pairs = zip(inputs.split(size), targets.split(size), strict=True)
    wrong = sum(int((network(some).argmax(1) != answers).sum()) for some, answers in pairs)
    return wrong / len(targets)
