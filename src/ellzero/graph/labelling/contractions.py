"""Rules for operations that sum over channels: these are what writes and reads them."""

__all__ = ["COMPUTED", "CONTRACTIONS", "NO_CHANNELS", "meet", "read", "work", "write"]

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from ellzero.graph.labelling.labels import FIXED, Labels, Read, Toil, Vector, Vectors
from ellzero.graph.recording.record import Call, Value

NO_CHANNELS = "reads values that carry no channels"
COMPUTED = "is read by a computed weight"


def meet(labels: Labels, shape: tuple[int, ...], values: Sequence[Value]) -> Vectors:
    """Unite the labels of values that meet element by element, with broadcasting.

    Args:
        labels: where the unions are written down.
        shape: shape of the result.
        values: the operands.

    Returns:
        The labels of the result. Where a labelled index meets an unlabelled one it is pinned: its width is fixed.
    """
    merged: Vectors = {}
    for value in values:
        for dim, found in labels.of(value).items():
            target = dim + len(shape) - len(value.shape)
            if value.shape[dim] != shape[target]:
                labels.pin(found, "is broadcast over other values")
            elif target in merged:
                merged[target] = labels.joined(merged[target], found)
            else:
                merged[target] = found
    for value in values:
        for dim, size in enumerate(value.shape):
            target = dim + len(shape) - len(value.shape)
            if size > 1 and target in merged and dim not in labels.of(value):
                labels.pin(merged[target], FIXED)
    return merged


def _matrix(labels: Labels, call: Call) -> None:
    """`mm`, `bmm` and `mv`, with an added term in front of the two factors if there are three tensors."""
    *added, one, other = call.sources
    out = call.targets[0]
    vector = len(other.shape) == 1
    contracted = len(other.shape) - (1 if vector else 2)
    kept, written = _contract(labels, call, (one, len(one.shape) - 1), (other, contracted), math.prod(out.shape))
    vectors = {dim: found for dim, found in kept.items() if dim != len(one.shape) - 1}
    for dim, found in written.items():
        if dim == contracted:
            continue
        vectors[dim] = labels.joined(vectors[dim], found) if dim in vectors else found
    labels.put(out, vectors)
    if added:
        labels.put(out, meet(labels, out.shape, [out, *added]))


def _contract(
    labels: Labels, call: Call, one: tuple[Value, int], other: tuple[Value, int], num_outputs: int
) -> tuple[Vectors, Vectors]:
    """Sum `one` and `other` over a dimension each; return the labels of both that survive."""
    multiply_adds = num_outputs * one[0].shape[one[1]]
    stored = [value for value, _ in (one, other) if value.number in labels.origin]
    if len(stored) != 1:
        if stored:
            read(labels, call, labels.of(one[0]).get(one[1]), labels.of(other[0]).get(other[1]), select=False)
        labels.toils.append(Toil(call.module, None, multiply_adds, tuple(_product(labels, one, other, bool(stored)))))
        return labels.of(one[0]), labels.of(other[0])
    (weight, weight_dim), (value, value_dim) = (one, other) if stored[0] is one[0] else (other, one)
    read(labels, call, labels.of(value).get(value_dim), labels.of(weight).get(weight_dim))
    for dim, found in labels.of(weight).items():
        if dim != weight_dim:
            write(labels, found)
    shared = {0} if len(weight.shape) == 3 and 0 in labels.of(weight) else set()
    rows = [found for dim, found in labels.of(value).items() if dim not in {value_dim, *shared}]
    work(labels, call, weight, multiply_adds, rows)
    return labels.of(one[0]), labels.of(other[0])


def work(labels: Labels, call: Call, weight: Value, multiply_adds: int, rows: Sequence[Vector] = ()) -> None:
    """Write down multiply-adds that are proportional to the width of each dimension of a weight, and to the rows."""
    name: str | None = labels.origin[weight.number]
    vectors = list(rows)
    if math.prod(weight.shape) != labels.sizes[name or ""]:  # a slice of a stored tensor, or a repetition
        name = None
        vectors += labels.of(weight).values()
    labels.toils.append(Toil(call.module, name, multiply_adds, tuple(vectors)))


def _product(labels: Labels, one: tuple[Value, int], other: tuple[Value, int], are_weights: bool) -> Iterable[Vector]:
    """Sum over a dimension of two values of the same kind: the rest passes through.

    What is summed over is kept, unless both are stored, as a learned state and a matrix: then `other` reads it.
    Returns the labels on which the multiply-adds depend.
    """
    rows: dict[str | tuple[int, int], Vector] = {}
    is_read = any(value.number in labels.derived for value, _ in (one, other))
    for value, dim in (one, other):
        for key, found in labels.of(value).items():
            is_batch = key == 0 and len(value.shape) == 3
            if key == dim and are_weights:
                rows["sum"] = found
                continue
            if key == dim:
                labels.pin(found, COMPUTED if is_read else "two computed values are multiplied")
                continue
            if value.number in labels.derived:
                write(labels, found)
            if is_batch and not (0 in labels.of(one[0]) and 0 in labels.of(other[0])):
                labels.pin(found, FIXED)
            rows["batch" if is_batch else (value.number, key)] = found
    return rows.values()


def read(labels: Labels, call: Call, channels: Vector | None, weight: Vector | None, *, select: bool = True) -> None:
    """A weight's dimension reads the channels of an activation."""
    if channels is None or weight is None:
        for found in (channels, weight):
            if found is not None:
                labels.pin(found, NO_CHANNELS if found is weight else "is read by a weight of width one")
        return
    labels.unite(channels, weight)
    for tensor, dim in labels.slots_in(weight):
        alone = select and tensor == f"{call.module}.weight".lstrip(".")
        before = labels.reads.get((tensor, dim))
        labels.reads[tensor, dim] = Read(tensor, dim, call.module, alone and (before is None or before.select))


def write(labels: Labels, written: Vector | None) -> None:
    """A weight's dimension produces the channels of an activation."""
    if written is not None:
        labels.written.update(labels.slots_in(written))


def _grouped_matrix(labels: Labels, call: Call) -> None:
    """Rows that are sorted by group, each times the matrix of its group: experts, of shape `(experts, in, out)`."""
    value, weight, *others = call.sources
    out = call.targets[0]
    labels.pin_all(others, "decides which expert is asked")
    for one, dim in ((value, 0), (weight, 0)):
        if dim in labels.of(one):
            labels.pin(labels.of(one)[dim], "is chosen by the data")
    if len(weight.shape) != 3 or len(out.shape) != 2:
        labels.pin_all(call.sources, "is multiplied in groups")
        return
    _, written = _contract(labels, call, (value, 1), (weight, 1), math.prod(out.shape))
    labels.put(out, {1: written[2]} if 2 in written else {})


def _bilinear(labels: Labels, call: Call) -> None:
    """`nn.Bilinear`: two values are read by a weight of shape `(out, in1, in2)`."""
    one, weight, other, *lists = call.args
    is_plain = lists[:4] == [[1, 3], [0], [1, 2], [2, 3]] and weight.number in labels.origin
    if not is_plain:
        labels.pin_all(call.sources, "is read by a form that has no rule")
        return
    read(labels, call, labels.of(one).get(1), labels.of(weight).get(1), select=False)
    read(labels, call, labels.of(other).get(1), labels.of(weight).get(2), select=False)
    vector = labels.of(weight).get(0)
    write(labels, vector)
    labels.put(call.targets[0], {} if vector is None else {1: vector})


CONTRACTIONS: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType(
    {
        "aten.mm": _matrix,
        "aten.addmm": _matrix,
        "aten.bmm": _matrix,
        "aten.baddbmm": _matrix,
        "aten.mv": _matrix,
        "aten.addmv": _matrix,
        "aten.dot": _matrix,
        "aten._trilinear": _bilinear,
        "aten._grouped_mm": _grouped_matrix,
        "transformers.grouped_mm_fallback": _grouped_matrix,
    }
)
