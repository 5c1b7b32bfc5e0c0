"""What the classification recipes share: gate, train, and measure the error."""

__all__ = ["Task", "Trained", "check_scores", "error_of", "gate_classifier", "not_finite", "train_task"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ellzero.budgets import Budget, Sizer
from ellzero.errors import NonFiniteError
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


def train_task(
    task: Task,
    settings: Settings,
    on_epoch: Callable[[Epoch], None] | None = None,
    *,
    rescue: Callable[[Trained, Exception], None] | None = None,
) -> Trained:
    """Train what was gated; the same settings give the same network, bit for bit, on the same machine.

    Args:
        task: made with the same settings.
        settings: epochs and learning rates.
        on_epoch: called with every entry of the diary.
        rescue: called with what is there, and the error, when an unforeseen one ends the training after its first
            epoch; then the error is raised.

    Returns:
        The gated network with its history.

    Raises:
        BudgetError: if the budget cannot be met within these epochs.
    """
    optimizer, scheduler = settings.optimizer(task.gated, settings.epochs * len(task.loader))
    if isinstance(task.sizer, Budget):
        task.sizer.check(optimizer)
    trained = Trained(task.gated, task.sizer, History({}), task.evaluate, task.measure)
    start = _steps(task.gated)
    try:
        train(
            task.gated,
            task.sizer,
            optimizer,
            task.loader,
            loss=task.loss,
            epochs=settings.epochs,
            evaluate=task.evaluate,
            scheduler=scheduler,
            on_epoch=on_epoch,
            history=trained.history,
        )
    except Exception as error:
        if rescue is not None and _steps(task.gated) - start >= len(task.loader):
            rescue(trained, error)
        raise
    return trained


def _steps(gated: Gated) -> int:
    return int(gated.gates.counters[1])


@torch.no_grad()
def error_of(network: nn.Module, inputs: Tensor, targets: Tensor, *, size: int = 1000) -> float:
    """Share of wrong answers, in [0, 1].

    Args:
        network: returns one score per class, shape `(batch, classes)`.
        inputs: shape `(samples, ...)`.
        targets: class numbers, shape `(samples,)`.
        size: samples per forward pass.

    Raises:
        NonFiniteError: if the scores are NaN or infinite; the message says whether the inputs are.
    """
    wrong = 0
    for some, answers in zip(inputs.split(size), targets.split(size), strict=True):
        scores = network(some)
        check_scores(scores, some)
        wrong += int((scores.argmax(1) != answers).sum())
    return wrong / len(targets)


def check_scores(scores: Tensor, inputs: Tensor) -> None:
    """Refuse scores among which the largest means nothing: the place of NaN is found first.

    A score of minus infinity, which is how a class is masked, passes where the inputs are finite.

    Args:
        scores: what the network returned.
        inputs: what it was called with.

    Raises:
        NonFiniteError: if a score is NaN or infinite; the message says whether the inputs are.
    """
    is_sound = scores.isfinite() | scores.isneginf() if bool(inputs.isfinite().all()) else scores.isfinite()
    if not bool(is_sound.all()):
        raise not_finite("an output of the network", inputs)


def not_finite(what: str, *data: Tensor) -> NonFiniteError:
    """The error for an evaluation that came to NaN or infinity.

    Args:
        what: was found to be so.
        data: the test data that it was computed from.
    """
    if all(bool(part.isfinite().all()) for part in data):
        return NonFiniteError(f"{what} is NaN or infinite on the test data, which are finite; lower the learning rate")
    return NonFiniteError(f"{what} is NaN or infinite: the test data hold NaN or infinite numbers; clean the data")
