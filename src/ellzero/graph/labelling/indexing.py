"""Rules for operations that pick or place rows by an index: the other dimensions keep their channels."""

__all__ = ["INDEXING"]

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ellzero.graph.labelling.contractions import meet, read, write
from ellzero.graph.labelling.labels import Labels
from ellzero.graph.recording.record import Call, Value

_CHOSEN = "rows are chosen by the data"
_PLACED = "decides where values are written"
_WRITTEN = "rows are written by the data"


def _embedding(labels: Labels, call: Call) -> None:
    """Rows of a table, or for each bag the sum, mean or maximum of some; what else a bag returns counts them."""
    (weight, *indices), out = call.sources, call.targets[0]
    labels.pin_all(indices, "decides which rows of a table are read")
    vectors = labels.of(weight)
    if 0 in vectors:
        labels.pin(vectors[0], _CHOSEN)
    if 1 in vectors:
        labels.written.update(labels.slots_in(vectors[1]))
        labels.put(out, {len(out.shape) - 1: vectors[1]})


def _index(labels: Labels, call: Call) -> None:
    """`source[indices]`: indexed dimensions become those of the indices, at the place of the first, or in front.

    Matrices that are picked from a stack are weights as those of the stack are: experts.
    """
    source, indices = call.args[0], call.args[1]
    used, num = _indexed(indices)
    labels.pin_all([index for index in indices if index is not None], "decides which values are read")
    for dim in set(used) & labels.of(source).keys():
        labels.pin(labels.of(source)[dim], _CHOSEN)
    places = _places(source, used, num)
    vectors = {places[dim]: found for dim, found in labels.of(source).items() if dim in places}
    is_stack = used == [0] and len(source.shape) > 2
    labels.put(call.targets[0], vectors, origin=labels.origin.get(source.number) if is_stack else None)


def _indexed(indices: Sequence[Value | None]) -> tuple[list[int], int]:
    """Which dimensions are indexed, and how many there are in their stead; a mask spans as many as it has itself."""
    used: list[int] = []
    dim = num = 0
    for index in indices:
        span = len(index.shape) if index is not None and index.is_mask else 1
        if index is not None:
            used += range(dim, dim + span)
            num = max(num, 1 if index.is_mask else len(index.shape))
        dim += span
    return used, num


def _places(source: Value, used: list[int], num: int) -> dict[int, int]:
    """Where dimensions that are not indexed are in what is read, or written."""
    is_adjacent = used == list(range(used[0], used[0] + len(used)))
    kept = [dim for dim in range(len(source.shape)) if dim not in used]
    return {dim: place + (num if dim > used[0] or not is_adjacent else 0) for place, dim in enumerate(kept)}


def _index_put(labels: Labels, call: Call) -> None:
    """`target[indices] = value`, or `+=`: dimensions that are not indexed are the same channels in both."""
    target, indices, value = call.args[:3]
    used, num = _indexed(indices)
    labels.pin_all([index for index in indices if index is not None], _PLACED)
    ahead = len(target.shape) - len(used) + num - len(value.shape)  # dimensions that the value is repeated along
    places = {dim: place - ahead for dim, place in _places(target, used, num).items() if place >= ahead}
    for dim in set(used) & labels.of(target).keys():
        labels.pin(labels.of(target)[dim], _WRITTEN)
    for dim in labels.of(value).keys() - set(places.values()):
        labels.pin(labels.of(value)[dim], _WRITTEN)
    sizes = [value.shape[places[dim]] if dim in places else 1 for dim in range(len(target.shape))]
    found = {dim: labels.of(value)[place] for dim, place in places.items() if place in labels.of(value)}
    written = Value(-1, tuple(sizes))
    labels.put(written, found)
    rows = Value(-2, tuple(1 if dim in used else size for dim, size in enumerate(target.shape)))
    labels.put(rows, {dim: found for dim, found in labels.of(target).items() if dim not in used})
    labels.put(call.targets[0], meet(labels, rows.shape, [rows, written]))


def _masked_scatter(labels: Labels, call: Call) -> None:
    """Rows of the values take the places of rows of the target, if the mask has copies of one value in each row."""
    target, mask, values = call.sources
    last = len(target.shape) - 1
    is_by_row = len(mask.shape) == last + 1 and (mask.shape[-1] == 1 or mask.number in labels.repeated)
    if not is_by_row or values.shape[-1:] != target.shape[-1:]:
        labels.pin_all(call.sources, _PLACED)
        return
    rows = []
    for number, value in enumerate(call.sources):
        vectors = dict(labels.of(value))
        found = vectors.pop(len(value.shape) - 1, None)
        for other in vectors.values():
            labels.pin(other, _PLACED if value is mask else _WRITTEN)
        rows.append(Value(-1 - number, value.shape[-1:]))
        labels.put(rows[-1], {} if found is None else {0: found})
    met = meet(labels, target.shape[-1:], rows)
    labels.put(call.targets[0], {last: met[0]} if 0 in met else {})


def _index_select(labels: Labels, call: Call) -> None:
    """`source.index_select(dim, index)`, and `gather`, whose index is as wide as its result.

    A stored index writes channels, if what it selects from has none: one entry less is one channel less.
    """
    source, dim = call.args[0], int(call.args[1]) % len(call.args[0].shape)
    vectors = dict(labels.of(source))
    index = call.sources[1]
    if dim not in vectors and index.number in labels.origin and len(index.shape) == 1:
        write(labels, labels.of(index).get(0))
        labels.put(call.targets[0], vectors if 0 not in labels.of(index) else vectors | {dim: labels.of(index)[0]})
        return
    labels.pin_all(call.sources[1:], "decides which values are read")
    if dim in vectors:
        labels.pin(vectors.pop(dim), _CHOSEN)
    labels.put(call.targets[0], vectors)


def _index_add(labels: Labels, call: Call) -> None:
    """Values are added to rows of others, or the largest of them are taken; the index itself carries no channels.

    Unless it is stored, and so are the values: then its entries go together, and nothing is added where one is missing.
    """
    target, dim, index, *values = call.args
    dim = int(dim) % len(target.shape)
    if _is_stored_sum(labels, target, index, values):
        write(labels, labels.of(index).get(0))
        read(labels, call, labels.of(index).get(0), labels.of(values[0]).get(0), select=False)
        labels.put(call.targets[0], {})
        return
    labels.pin_all([index], _PLACED)
    rows = [value for value in values if isinstance(value, Value)]
    for value in [target, *rows]:
        if dim in labels.of(value):
            labels.pin(labels.of(value)[dim], _WRITTEN)
    one_row = [_without(labels, value, dim) for value in [target, *rows]]
    labels.put(call.targets[0], meet(labels, one_row[0].shape, one_row))


def _is_stored_sum(labels: Labels, target: Value, index: Value, values: list[object]) -> bool:
    stored = [value for value in (index, *values) if isinstance(value, Value) and value.number in labels.origin]
    is_empty = all(labels.is_constant(found) for found in labels.of(target).values())
    return len(stored) == 2 == 1 + len(values) and len(index.shape) == len(target.shape) == 1 and is_empty


def _without(labels: Labels, value: Value, dim: int) -> Value:
    """The value as if it had one row."""
    row = Value(-1 - value.number, tuple(1 if key == dim else size for key, size in enumerate(value.shape)))
    labels.put(row, {key: found for key, found in labels.of(value).items() if key != dim})
    return row


INDEXING: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType(
    {
        "aten.embedding": _embedding,
        "aten._embedding_bag": _embedding,
        "aten._embedding_bag_forward_only": _embedding,
        "aten.index": _index,
        "aten.index_put": _index_put,
        "aten.index_put_": _index_put,
        "aten.masked_scatter": _masked_scatter,
        "aten.masked_scatter_": _masked_scatter,
        "aten.index_select": _index_select,
        "aten.gather": _index_select,
        "aten.index_add": _index_add,
        "aten.index_add_": _index_add,
        "aten.scatter_add": _index_add,
        "aten.scatter_add_": _index_add,
        "aten.scatter_reduce": _index_add,
        "aten.scatter_reduce_": _index_add,
        "aten.index_reduce": _index_add,
        "aten.index_reduce_": _index_add,
    }
)
