"""Recurrent layers keep a list of their weights beside the attributes: masked weights must reach that list."""

__all__ = ["follow_masks"]

import weakref
from typing import Any

from torch import nn


def follow_masks(module: nn.Module) -> None:
    """Let a parametrized recurrent layer compute with its masked weights; does nothing to other modules.

    `parametrize` gives every module a class of its own, which goes away with the masks; what is put there goes with it.
    Between two forwards the list holds the original parameters, so that the module can be copied and moved.

    Args:
        module: with at least one parametrization.
    """
    if isinstance(module, nn.RNNBase) and "forward" not in vars(type(module)):
        own: Any = type(module)
        own.forward, own._init_flat_weights, own._update_flat_weights = _forward, _init_flat_weights, _leave
        _init_flat_weights(module)


def _forward(module: nn.RNNBase, *args: Any, **kwargs: Any) -> Any:
    module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]
    try:
        return super(type(module), module).forward(*args, **kwargs)
    finally:
        module._init_flat_weights()


def _leave(module: nn.RNNBase) -> None:
    """The list is up to date; every look at a masked attribute makes another tensor, which proves nothing."""


def _init_flat_weights(module: nn.RNNBase) -> None:
    masked: Any = getattr(module, "parametrizations", {})
    names = module._flat_weights_names
    weights: list[Any] = [masked[name].original if name in masked else getattr(module, name) for name in names]
    module._flat_weights, module._flat_weight_refs = weights, [weakref.ref(weight) for weight in weights]
