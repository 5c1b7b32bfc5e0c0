"""Rules for normalisation of each channel by itself, or of groups of channels that then go together."""

__all__ = ["NORMALISERS"]

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ellzero.graph.labelling.labels import FIXED, Labels
from ellzero.graph.labelling.movement import short
from ellzero.graph.recording.record import Call


def _batch_norm(labels: Labels, call: Call) -> None:
    """Statistics and affine parameters belong to the channel that they normalise."""
    source, *stored = call.sources
    out = call.targets[0]
    channels = labels.of(source).get(1)
    for dim in labels.of(source).keys() - {1}:
        labels.pin(labels.of(source)[dim], "is mixed by the statistics of a batch norm")
    for value in stored:
        if channels is None:
            labels.pin_all([value], "normalises values that carry no channels")
        elif 0 in labels.of(value):
            labels.unite(channels, labels.of(value)[0])
        elif math.prod(value.shape) > 1:
            labels.pin(channels, FIXED)
    labels.put(out, {} if channels is None else {1: channels})


def _group_norm(labels: Labels, call: Call) -> None:
    """Channels that are normalised together go together."""
    source, *affine = call.sources
    groups = int(call.args[6])
    channels = labels.of(source).get(1)
    for dim in labels.of(source).keys() - {1}:
        labels.pin(labels.of(source)[dim], f"normalised together by {short(call)}")
    if channels is not None and (groups == 1 or not any(0 in labels.of(value) for value in affine)):
        labels.pin(channels, f"normalised together by {short(call)}")  # without weights nothing says how many are left
    elif channels is not None:
        rows = channels.reshape(groups, -1)
        for column in rows.T[1:]:
            labels.unite(rows[:, 0], column)
    for value in affine:
        if channels is None or 0 not in labels.of(value):
            labels.pin_all([value], "normalises values that carry no channels")
        else:
            labels.unite(channels, labels.of(value)[0])
    labels.put(call.targets[0], {} if channels is None else {1: channels})


def _weight_norm(labels: Labels, call: Call) -> None:
    """`v * g / ||v||` with a norm over all dimensions but one, whose channels stay apart."""
    direction, length = call.sources
    dim = int(call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)) % len(direction.shape)
    for key, found in labels.of(direction).items():
        if key != dim:
            labels.pin(found, f"normalised together by {short(call)}")
    channels, lengths = labels.of(direction).get(dim), labels.of(length).get(dim)
    if channels is None or lengths is None:
        labels.pin_all(call.sources, FIXED)
        return
    labels.unite(channels, lengths)
    labels.put(call.targets[0], {dim: channels})


_BATCH_NORMS = (
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm"
    " batch_norm_with_update _batch_norm_with_update _native_batch_norm_legit_functional"
)

NORMALISERS: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType(
    {f"aten.{name}": _batch_norm for name in _BATCH_NORMS.split()}
    | {"aten.native_group_norm": _group_norm, "aten._weight_norm_interface": _weight_norm}
)
