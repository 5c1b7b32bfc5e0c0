"""What a network is called with."""

__all__ = ["Example", "arguments", "forward", "is_floating"]

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

from torch import Tensor
from torch.utils._pytree import tree_map

Example: TypeAlias = Any
"""What a network is called with: a tensor, a tuple of positional or a mapping of keyword arguments."""


def forward(model: Callable[..., Any], example: Example) -> Any:
    """Call a network with copies of its example inputs, so that one that works on them in place spoils nothing.

    Args:
        model: any module.
        example: a tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Returns:
        Whatever the network returns.

    Example:
        >>> import torch
        >>> forward(lambda x: x.add_(1), example := torch.zeros(2)), example
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    args, kwargs = arguments(example)
    return model(*args, **kwargs)


def arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments; its tensors, lists, tuples and dictionaries are copied.

    Args:
        example: a tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Example:
        >>> arguments({"x": 1}), arguments((1, 2)), arguments(3)
        (((), {'x': 1}), ((1, 2), {}), ((3,), {}))
    """
    if isinstance(example, Mapping):
        return (), tree_map(_fresh, dict(example))
    return tree_map(_fresh, tuple(example) if isinstance(example, (tuple, list)) else (example,)), {}


def _fresh(leaf: object) -> object:
    return leaf.detach().clone().requires_grad_(leaf.requires_grad) if isinstance(leaf, Tensor) else leaf


def is_floating(leaf: object) -> TypeGuard[Tensor]:
    """Whether a part of an example is a tensor of floating-point numbers."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
