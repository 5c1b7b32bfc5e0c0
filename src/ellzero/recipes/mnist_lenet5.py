"""LeNet-5-Caffe (20-50-800-500) on MNIST, gates on feature maps, flattened positions and hidden units."""

__all__ = ["Lenet5Settings", "build", "prepare", "run"]

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from ellzero.recipes.classify import Task, Trained, gate_classifier, train_task
from ellzero.recipes.data import load_mnist
from ellzero.recipes.settings import Settings
from ellzero.training import Epoch


@dataclass(frozen=True)
class Lenet5Settings(Settings):
    """Defaults for at most 10 % of the parameters."""

    budget: Mapping[str, float] = field(default_factory=lambda: {"params": 0.1})
    epochs: int = 30
    gate_lr: float = 6e-3
    controller: str = "restarts"


def build() -> nn.Module:
    """The dense network, 431,080 parameters, with fresh weights."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu3=nn.ReLU(),
            fc2=nn.Linear(500, 10),
        )
    )


def prepare(settings: Settings) -> Task:
    """Load MNIST and gate the fresh network."""
    return gate_classifier(build, load_mnist(settings.data), settings, positions=True)


def run(settings: Settings, on_epoch: Callable[[Epoch], None] | None = None) -> Trained:
    """Train it."""
    return train_task(prepare(settings), settings, on_epoch)
