"""How a network of the zoo is called, what its answer is, and other inputs for it."""

__all__ = ["answers", "call", "turned"]

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map


def call(model: nn.Module, example: Any) -> list[Tensor]:
    """Run a network on an example: a tensor, a tuple of positional or a mapping of keyword arguments."""
    if isinstance(example, Mapping):
        return answers(model(**example))
    return answers(model(*example) if isinstance(example, tuple) else model(example))


def answers(output: Any) -> list[Tensor]:
    """The tensors that a network is used for: its logits where it names them, otherwise all that it returns.

    Args:
        output: a tensor, a sequence or mapping of tensors, or an output object of `transformers`.
    """
    for name in ("logits", "logits_per_image"):
        if hasattr(output, name):
            return [getattr(output, name)]
    if isinstance(output, Tensor):
        return [output]
    return list(output.values()) if isinstance(output, Mapping) else list(output)


def turned(example: Any) -> Any:
    """The example with the sign of every real number turned: other branches are taken, other experts chosen."""
    return tree_map(lambda leaf: -leaf if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, example)
