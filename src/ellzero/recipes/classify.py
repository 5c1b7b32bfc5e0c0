"""What the classification recipes share: gate, train, and measure the error."""

__all__ = ["Trained", "classify", "error_of"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ellzero.budgets import Budget
from ellzero.gates import Gated
from ellzero.recipes.data import Images
from ellzero.recipes.settings import Settings
from ellzero.training import Batches, Epoch, History, Sizer, train


@dataclass(frozen=True)
class Trained:
    """A gated network at the end of its training."""

    gated: Gated
    sizer: Sizer
    history: History
    evaluate: Callable[[nn.Module], float]


def classify(
    build: Callable[[], nn.Module],
    images: Images,
    settings: Settings,
    *,
    inputs: bool = False,
    positions: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train a gated classifier; the same settings give the same network, bit for bit, on the same machine.

    Args:
        build: makes the dense network with fresh weights.
        images: training and test data.
        settings: budget or penalty, epochs, learning rates, seed.
        inputs: whether single pixels can be gated.
        positions: whether flattened positions can be gated.
        on_epoch: called with every entry of the diary.

    Returns:
        The gated network with its history.

    Raises:
        ValueError: if the settings are wrong.
        BudgetError: if the budget cannot be met, or not within these epochs.
    """
    torch.manual_seed(settings.seed)
    gated = Gated(build(), images.train_x[:1], inputs=inputs, positions=positions, seed=settings.seed)
    loader = Batches(images.train_x, images.train_y, size=settings.batch_size, seed=settings.seed)
    steps = settings.epochs * len(loader)
    sizer = settings.sizer(gated, steps)
    optimizer, scheduler = settings.optimizer(gated, steps)
    if isinstance(sizer, Budget):
        sizer.check(optimizer)

    def evaluate(network: nn.Module) -> float:
        return error_of(network, images.test_x, images.test_y)

    history = train(
        gated,
        sizer,
        optimizer,
        loader,
        loss=F.cross_entropy,
        epochs=settings.epochs,
        evaluate=evaluate,
        scheduler=scheduler,
        on_epoch=on_epoch,
    )
    return Trained(gated, sizer, history, evaluate)


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
