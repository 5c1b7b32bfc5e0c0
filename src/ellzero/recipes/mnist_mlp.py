"""A 784-300-100 perceptron on MNIST, gates on pixels and hidden units."""

__all__ = ["MlpSettings", "build", "prepare", "run"]

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from ellzero.recipes.classify import Task, Trained, gate_classifier, train_task
from ellzero.recipes.data import load_mnist
from ellzero.recipes.settings import Settings
from ellzero.training import Epoch


@dataclass(frozen=True)
class MlpSettings(Settings):
    """Defaults for at most 33 % of the parameters."""

    budget: Mapping[str, float] = field(default_factory=lambda: {"params": 0.33})
    epochs: int = 40
    controller: str = "restarts"


def build() -> nn.Module:
    """The dense network, 266,610 parameters, with fresh weights."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


def prepare(settings: Settings) -> Task:
    """Load MNIST and gate the fresh network."""
    return gate_classifier(build, load_mnist(settings.data), settings, inputs=True)


def run(settings: Settings, on_epoch: Callable[[Epoch], None] | None = None) -> Trained:
    """Train it."""
    return train_task(prepare(settings), settings, on_epoch)
