"""Width under normalisation: layer norms and root-mean-square norms over the open channels only."""

__all__ = ["NORMALISATION", "gated_norms", "normalise_all", "normalise_open", "normalising_open", "settle_norms"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.graph.labelling.labels import Labels, Normed
from ellzero.graph.labelling.toil import Slots
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Norm
from ellzero.graph.recording.record import Call, Recording


def _layer_norm(labels: Labels, call: Call) -> bool:
    """`native_layer_norm` and fused root-mean-square norms: weight and bias belong to the channels."""
    source, *affine = call.sources
    last = len(source.shape) - 1
    channels = labels.of(source).get(last)
    if len(call.args[1]) != 1 or channels is None or not all(0 in labels.of(value) for value in affine):
        return False
    for value in affine:
        labels.unite(channels, labels.of(value)[0])
    labels.norms.append(Normed(call.module, "layer_norm" in str(call.op.overloadpacket), channels, source.number))
    labels.put(call.targets[0], labels.of(source))
    return True


def _mean(labels: Labels, call: Call) -> bool:
    """The mean of squares over the last dimension, in a module that does nothing else but normalise."""
    source, out = call.sources[0], call.targets[0]
    last = len(source.shape) - 1
    dims = call.args[1] if len(call.args) > 1 else None
    is_last = isinstance(dims, (list, tuple)) and [dim % len(source.shape) for dim in dims] == [last]
    if not is_last or last not in labels.of(source) or not call.module or len(out.shape) != len(source.shape):
        return False
    labels.norms.append(Normed(call.module, False, labels.of(source)[last], source.number))
    labels.put(out, {dim: found for dim, found in labels.of(source).items() if dim != last})
    return True


_AS_IT_IS = frozenset(f"aten.{name}" for name in ("_to_copy", "clone", "detach", "alias", "contiguous", "pow"))

NORMALISATION: Mapping[str, Callable[[Labels, Call], bool]] = MappingProxyType(
    {
        "aten.native_layer_norm": _layer_norm,
        "aten._fused_rms_norm": _layer_norm,
        "aten.rms_norm": _layer_norm,
        "aten.mean": _mean,
    }
)
"""Rules that apply when channels which are normalised together may be removed; false where they do not."""


def settle_norms(model: nn.Module, labels: Labels, slots: Slots, recording: Recording) -> tuple[Norm, ...]:
    """Find a stored dimension with the channels of each norm; where there is none, the channels are pinned.

    Args:
        model: its norms must be modules without children that are called with the values alone, channels last.
        labels: after the network has run on them; extended by pins.
        slots: their stored dimensions.
        recording: what the modules do.
    """
    found: dict[str, Norm] = {}
    made_by = {value.number: call for call in recording.calls for value in call.targets}
    for normed in labels.norms:
        alike = [slot for slot in slots.alike(normed.labels) if labels.widths[slot] == len(normed.labels)]
        is_leaf = not list(model.get_submodule(normed.module).children())
        fits = alike and is_leaf and _is_called_with(normed, made_by)
        norm = Norm(normed.module, normed.centred, *alike[0]) if fits else None
        if norm is None or found.setdefault(normed.module, norm) != norm:
            labels.pin(normed.labels, f"normalised together in {normed.module!r}")
    return tuple(found.values())


def _is_called_with(normed: Normed, made_by: Mapping[int, Call]) -> bool:
    """Whether the module normalises what it is called with, and does not permute it first."""
    call = made_by.get(normed.source)
    while call is not None and call.module == normed.module:
        if torch.Tag.pointwise not in call.op.tags and str(call.op.overloadpacket) not in _AS_IT_IS:
            return False
        call = made_by.get(call.sources[0].number) if call.sources else None
    return True


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
