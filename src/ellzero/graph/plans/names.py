"""Names of modules that are the same in all blocks that are built alike."""

__all__ = ["built_alike"]

import re


def built_alike(name: str) -> str:
    """The name of a module with `*` for every number: modules with the same result are taken for repetitions.

    Args:
        name: with dots, as in `named_modules()`.

    Example:
        >>> built_alike("layers.3.conv1")
        'layers.*.conv*'
    """
    return re.sub("[0-9]+", "*", name)
