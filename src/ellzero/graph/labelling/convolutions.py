"""Rules for convolutions: dense, depthwise, grouped, transposed, and of computed weights."""

__all__ = ["CONVOLUTIONS"]

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ellzero.graph.labelling.contractions import COMPUTED, NO_CHANNELS, read, work, write
from ellzero.graph.labelling.labels import FIXED, Labels, Toil, Vector
from ellzero.graph.recording.record import Call, Value


def _convolution(labels: Labels, call: Call) -> None:
    value, weight, bias, *_, transposed, _, groups = call.args
    out = call.targets[0]
    if weight.number not in labels.origin:
        _computed(labels, call, transposed=transposed, groups=groups)
        return
    positions = math.prod((value if transposed else out).shape) // (value if transposed else out).shape[1]
    work(labels, call, weight, positions * math.prod(weight.shape))
    for dim, found in labels.of(value).items():
        if dim != 1:
            labels.pin(found, "is mixed by a convolution")
    channels = labels.of(value).get(1)
    if groups == 1:
        read_dim = 0 if transposed else 1
        read(labels, call, channels, labels.of(weight).get(read_dim))
        vector = labels.of(weight).get(1 - read_dim)
        write(labels, vector)
    elif groups == value.shape[1]:
        vector = _depthwise(labels, channels, weight, transposed)
    else:
        vector = _grouped(labels, call, channels, weight, groups=groups, transposed=transposed)
    vectors = {} if vector is None else {1: vector}
    labels.put(out, vectors)
    if isinstance(bias, Value):
        _bias(labels, vector, labels.of(bias).get(0))


def _computed(labels: Labels, call: Call, *, transposed: bool, groups: int) -> None:
    """A weight that is computed from others writes its channels, but what it reads cannot be masked."""
    value, weight, bias, *_ = call.args
    out = call.targets[0]
    vectors = dict(labels.of(weight))
    vector = vectors.pop(0, None) if groups == 1 and not transposed and weight.number in labels.derived else None
    for found in [*labels.of(value).values(), *vectors.values()]:
        labels.pin(found, COMPUTED)
    if vector is not None:
        write(labels, vector)
        labels.put(out, {1: vector})
    if isinstance(bias, Value):
        _bias(labels, vector, labels.of(bias).get(0))
    multiply_adds = math.prod(out.shape) * math.prod(weight.shape[1:])
    labels.toils.append(Toil(call.module, None, multiply_adds, () if vector is None else (vector,)))


def _bias(labels: Labels, vector: Vector | None, column: Vector | None) -> None:
    if column is not None and vector is not None:
        labels.unite(vector, column)
    elif column is not None:
        labels.pin(column, NO_CHANNELS)
    elif vector is not None:
        labels.pin(vector, FIXED)


def _depthwise(labels: Labels, channels: Vector | None, weight: Value, transposed: bool) -> Vector | None:
    """Each channel goes its own way: input and output are the same channel."""
    outputs = labels.of(weight).get(0)
    if outputs is None or channels is None:
        labels.pin_all([weight], "a grouped convolution of values that carry no channels")
        if channels is not None:
            labels.pin(channels, "is read by a computed or repeated weight")
        return None if transposed else outputs
    labels.unite(np.repeat(channels, len(outputs) // len(channels)), outputs)
    return np.repeat(outputs, weight.shape[1]) if transposed else outputs


def _grouped(
    labels: Labels, call: Call, channels: Vector | None, weight: Value, *, groups: int, transposed: bool
) -> Vector | None:
    """All convolution groups keep the same width: channel i of every group is one channel."""
    inputs, outputs = (labels.of(weight).get(dim) for dim in ((0, 1) if transposed else (1, 0)))
    inside = None if channels is None else _tie(labels, channels, groups)
    if transposed:  # weight of shape (groups * inputs, outputs, ...)
        read(labels, call, inside, None if inputs is None else _tie(labels, inputs, groups), select=False)
        write(labels, outputs)
        return None if outputs is None else np.tile(outputs, groups)
    read(labels, call, inside, inputs, select=False)  # weight of shape (groups * outputs, inputs, ...)
    write(labels, outputs)
    if outputs is not None:
        _tie(labels, outputs, groups)
    return outputs


def _tie(labels: Labels, vector: Vector, groups: int) -> Vector:
    """Unite the same position of every group; return the labels of the first group."""
    rows = vector.reshape(groups, -1)
    for row in rows[1:]:
        labels.unite(rows[0], row)
    return rows[0]


CONVOLUTIONS: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType({"aten.convolution": _convolution})
