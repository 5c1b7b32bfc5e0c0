"""Rules for layer norms and root-mean-square norms whose channels may be removed: width under normalisation."""

__all__ = ["NORMALISATION", "settle_norms"]

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from ellzero.graph.labelling.labels import Labels, Normed
from ellzero.graph.labelling.toil import Slots
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
