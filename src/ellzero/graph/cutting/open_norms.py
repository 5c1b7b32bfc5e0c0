"""Layer norms and root-mean-square norms over open channels only: what is left of them when the others are cut."""

__all__ = ["gated_norms", "normalise_all", "normalise_open", "normalising_open"]

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Norm


def gated_norms(channels: Channels) -> tuple[Norm, ...]:
    """The norms whose channels are gated."""
    slots = {(member.tensor, member.dim) for group in channels.gated for member in group.members}
    return tuple(norm for norm in channels.norms if (norm.tensor, norm.dim) in slots)


class _Before:
    """Scale what a norm is called with, so that its statistics over all channels are those of the open ones.

    With m the open channels, n of C, and s = sqrt(C / n): a root-mean-square norm is called with s m x, whose mean
    square is that of the open channels; a layer norm with mu + s m (x - mu), which has their mean mu and variance.
    """

    def __init__(self, norm: Norm, is_open: Callable[[], Tensor]) -> None:
        self.norm, self.is_open = norm, is_open

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (self._scaled(args[0]), *args[1:]), kwargs
        name = next(iter(kwargs))
        return args, {**kwargs, name: self._scaled(kwargs[name])}

    def _scaled(self, value: Tensor) -> Tensor:
        """In single precision at least, as norms compute."""
        wide = value.to(torch.promote_types(value.dtype, torch.float32))
        is_open = self.is_open()
        scaled = is_open * _scale(is_open, wide.dtype)
        if self.norm.centred:
            mean = (wide * is_open).sum(-1, keepdim=True) / is_open.sum()
            return (mean + scaled * (wide - mean)).to(value.dtype)
        return (wide * scaled).to(value.dtype)


class _After:
    """Undo the scale in what a norm returns."""

    def __init__(self, norm: Norm, is_open: Callable[[], Tensor]) -> None:
        self.norm, self.is_open = norm, is_open

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        scale = _scale(self.is_open(), output.dtype)
        bias = getattr(module, "bias", None) if self.norm.centred else None
        return output / scale if bias is None else (output - bias) / scale + bias


def _scale(is_open: Tensor, dtype: torch.dtype) -> Tensor:
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.sqrt(len(is_open) / is_open.sum().to(precise)).to(dtype)


def normalise_open(model: nn.Module, norm: Norm, is_open: Callable[[], Tensor]) -> None:
    """Let a module normalise over open channels only.

    Args:
        model: the network.
        norm: which of its modules.
        is_open: returns which channels are open in this forward, bool, shape `(channels,)`.
    """
    module = model.get_submodule(norm.module)
    module.register_forward_pre_hook(_Before(norm, is_open), with_kwargs=True)
    module.register_forward_hook(_After(norm, is_open))


def normalise_all(model: nn.Module) -> None:
    """Take back what `normalise_open` did, also in a copy."""
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if isinstance(hook, (_Before, _After))]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)


@contextmanager
def normalising_open(model: nn.Module, masks: Sequence[tuple[Norm, Tensor]]) -> Iterator[None]:
    """Within it, these norms go over these channels only."""
    for norm, is_open in masks:
        normalise_open(model, norm, is_open.detach)
    try:
        yield
    finally:
        normalise_all(model)
