"""The one table of recipes by name."""

__all__ = ["PRUNE", "RECIPES", "Recipe", "find_recipe"]

from collections.abc import Callable
from dataclasses import dataclass

from ellzero.errors import nearest
from ellzero.recipes import digits, mnist_lenet5, mnist_mlp, own
from ellzero.recipes.classify import Task
from ellzero.recipes.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """How to run one experiment.

    Attributes:
        name: as on the command line.
        summary: one line.
        settings: class of its settings, with its defaults.
        prepare: reads the data and gates the network.
        image: height and width, if the inputs that can be gated are the pixels of an image.
    """

    name: str
    summary: str
    settings: type[Settings]
    prepare: Callable[[Settings], Task]
    image: tuple[int, int] | None = None


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("digits", "small CNN on scikit-learn's digits, no download", digits.DigitsSettings, digits.prepare),
        Recipe("mnist-mlp", "784-300-100 on MNIST, pixels gated", mnist_mlp.MlpSettings, mnist_mlp.prepare, (28, 28)),
        Recipe("mnist-lenet5", "LeNet-5 on MNIST", mnist_lenet5.Lenet5Settings, mnist_lenet5.prepare),
    )
}
"""The recipes that come with the library."""

PRUNE = Recipe("prune", "a network of one's own", own.PruneSettings, own.prepare)


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, `prune` included.

    Raises:
        ValueError: if there is none; the nearest name is offered.

    Example:
        >>> find_recipe("digits").summary
        "small CNN on scikit-learn's digits, no download"
    """
    if name == PRUNE.name:
        return PRUNE
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}{nearest(name, RECIPES)}")
    return RECIPES[name]
