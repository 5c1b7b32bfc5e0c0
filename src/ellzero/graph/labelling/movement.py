"""Rules for operations that copy, view or rearrange values: labels move along with them."""

__all__ = ["MOVEMENTS", "TORN", "moves", "short"]

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ellzero.graph.labelling.contractions import meet
from ellzero.graph.labelling.labels import CONSTANT, Labels, Rule, Vector, Vectors, table
from ellzero.graph.labelling.reshape import reshape
from ellzero.graph.plans.names import built_alike
from ellzero.graph.recording.record import Call

Part = tuple[int, Vector]

TORN = "is cut at fixed places by"


def short(call: Call) -> str:
    """The name of the operation, for messages."""
    return str(call.op.overloadpacket).removeprefix("aten.")


def _same(labels: Labels, call: Call) -> None:
    """The result is the first operand."""
    origin = labels.origin.get(call.sources[0].number)
    labels.put(call.targets[0], labels.of(call.sources[0]), origin=origin)


def _like(labels: Labels, call: Call) -> None:
    """The result is as wide as the first operand, but holds other numbers."""
    labels.put(call.targets[0], labels.of(call.sources[0]))


def _copy(labels: Labels, call: Call) -> None:
    target, source = call.sources
    if labels.of(target):
        labels.put(call.targets[0], meet(labels, target.shape, [target, source]))
    else:
        labels.pin_all([source], "is written in place into values that carry no channels")


def moves(labels: Labels, call: Call) -> None:
    """The rule for operations that only copy and rearrange: the operation itself is applied to places of labels."""
    source = call.sources[0]
    origin = labels.origin.get(source.number)
    results: list[Vectors] = [{} for _ in call.targets]
    for dim, vector in labels.of(source).items():
        key = (call.op, source.shape, dim, repr((call.args[1:], call.kwargs)))
        if key not in labels.moved:
            labels.moved[key] = _moved(call, dim)
        parts = [None if part is None else (part[0], vector[part[1]]) for part in labels.moved[key]]
        is_list = isinstance(call.results, (list, tuple))
        is_parted = _is_slice(labels, call) or _thin(labels, call, parts, vector)
        is_parted = is_parted or (is_list and _part(labels, parts, dim))
        for known, part in zip(results, parts, strict=True):
            if part is None or not (is_parted or np.array_equal(np.sort(part[1]), np.sort(vector))):
                labels.pin(vector, _torn(labels, call, len(vector)))
            elif part[0] in known:
                labels.unite(known[part[0]], part[1])
            else:
                known[part[0]] = part[1]
    for out, vectors in zip(call.targets, results, strict=True):
        labels.put(out, vectors, origin=origin if vectors else None)


def _is_slice(labels: Labels, call: Call) -> bool:
    """Whether neighbouring channels are taken at places that will be corrected."""
    return labels.is_exported and _takes_neighbours(call)


def _takes_neighbours(call: Call) -> bool:
    return short(call) in ("slice", "narrow") and _given(call, 4, "step", 1) == 1


def _torn(labels: Labels, call: Call, size: int) -> str:
    """Why channels that an operation takes apart are kept; of a slice the places."""
    reason = f"{TORN} {short(call)}"
    if labels.is_exported or not _takes_neighbours(call):
        return reason
    start = _given(call, 2, "start", None) or 0
    end = start + call.args[3] if short(call) == "narrow" else _given(call, 3, "end", None)
    first, last, _ = slice(start, end).indices(size)
    return f"{reason} ({first} to {last} of {size})"


def _thin(labels: Labels, call: Call, parts: Sequence[Part | None], vector: Vector) -> bool:
    """Whether one in every `step` channels is taken, up to the end: then `step` neighbours go together.

    `x[start::step]` takes number `start` of each block of `step`, whichever blocks are removed, if `start < step`.
    """
    start, step = _given(call, 2, "start", None) or 0, _given(call, 4, "step", 1)
    if short(call) != "slice" or step == 1 or not 0 <= start < step:
        return False
    if any(part is None or not np.array_equal(part[1], vector[start::step]) for part in parts) or len(vector) % step:
        return False
    blocks = vector.reshape(-1, step).T
    for column in blocks[1:]:
        labels.unite(blocks[0], column)
    return True


def _given(call: Call, place: int, name: str, default: Any) -> Any:
    """An argument by its place or its name."""
    return call.args[place] if len(call.args) > place else call.kwargs.get(name, default)


def _moved(call: Call, dim: int) -> list[Part | None]:
    """Where what lies along one dimension goes: for each result the dimension and the places, if it is one."""
    sizes = call.sources[0].shape
    if sizes[dim] == 1:
        return _moved_alone(call, dim)
    shape = [sizes[dim] if dim == own else 1 for own in range(len(sizes))]
    spread = torch.arange(sizes[dim]).view(shape).expand(sizes)
    moved = call.op(spread, *call.args[1:], **call.kwargs)
    return [_varying(tensor) for tensor in (moved if isinstance(moved, (list, tuple)) else [moved])]


def _moved_alone(call: Call, dim: int) -> list[Part | None]:
    """The same for a dimension of width one, which is known by its stride."""
    sizes = call.sources[0].shape
    marked = torch.zeros(1).as_strided(sizes, [int(dim == own) for own in range(len(sizes))])
    moved = call.op(marked, *call.args[1:], **call.kwargs)
    results = moved if isinstance(moved, (list, tuple)) else [moved]
    found = [[one for one in range(tensor.dim()) if tensor.stride(one)] for tensor in results]
    is_there = [len(dims) == 1 and tensor.shape[dims[0]] == 1 for dims, tensor in zip(found, results, strict=True)]
    return [(dims[0], np.zeros(1, dtype=np.int64)) if one else None for dims, one in zip(found, is_there, strict=True)]


def _expand(labels: Labels, call: Call) -> None:
    """Copies along a dimension of width one are as many as what they meet, if the forward pass makes it so."""
    moves(labels, call)
    source, out = call.sources[0], call.targets[0]
    if source.number in labels.origin:
        return
    shift = len(out.shape) - len(source.shape)
    copied = [dim for dim, size in enumerate(out.shape) if size > 1 and (dim < shift or source.shape[dim - shift] == 1)]
    labels.put(out, labels.of(out) | {dim: labels.allot(CONSTANT, dim, out.shape[dim]) for dim in copied})
    if len(out.shape) - 1 in copied:
        labels.repeated.add(out.number)


def _part(labels: Labels, moved: Sequence[Part | None], dim: int) -> bool:
    """Whether a dimension was cut into parts; equal ones lose the same channels, so that they stay equal."""
    parts = [part[1] for part in moved if part is not None and part[0] == dim]
    if len(parts) < len(moved):
        return False
    if len({len(part) for part in parts}) == 1:
        for part in parts[1:]:
            labels.unite(parts[0], part)
    return True


def _varying(tensor: torch.Tensor) -> Part | None:
    """The one dimension along which values differ, and the values along it."""
    dims = [dim for dim in range(tensor.dim()) if tensor.stride(dim) != 0 and tensor.shape[dim] > 1]
    if len(dims) != 1:
        return None
    if not tensor.numel():  # nothing is taken along another dimension
        places = tensor.as_strided([tensor.shape[dims[0]]], [tensor.stride(dims[0])]) if tensor._is_view() else None
        return None if places is None else (dims[0], places.numpy().copy())
    index = [slice(None) if dim == dims[0] else 0 for dim in range(tensor.dim())]
    return dims[0], tensor[tuple(index)].numpy().copy()


def _view(labels: Labels, call: Call) -> None:
    source, out = call.sources[0], call.targets[0]
    site = f"{built_alike(call.module)} {source.shape} {out.shape}"
    vectors = reshape(labels, labels.of(source), source.shape, out.shape, site=site)
    labels.put(out, vectors, origin=labels.origin.get(source.number))


def _glu(labels: Labels, call: Call) -> None:
    """The first half times the sigmoid of the second."""
    source, out = call.sources[0], call.targets[0]
    dim = int(call.args[1] if len(call.args) > 1 else -1) % len(source.shape)
    vectors = dict(labels.of(source))
    if dim in vectors:
        half, other = np.split(vectors[dim], 2)
        labels.unite(half, other)
        vectors[dim] = half
    labels.put(out, vectors)


def _flip(labels: Labels, call: Call) -> None:
    source, out = call.sources[0], call.targets[0]
    flipped = {dim % len(source.shape) for dim in call.args[1]}
    vectors = {dim: found[::-1].copy() if dim in flipped else found for dim, found in labels.of(source).items()}
    labels.put(out, vectors, origin=labels.origin.get(source.number))


def _repeat(labels: Labels, call: Call) -> None:
    """Copies one after the other: a channel is in several places."""
    source, out = call.sources[0], call.targets[0]
    times, shift = call.args[1], len(call.args[1]) - len(source.shape)
    vectors = {dim + shift: np.tile(found, times[dim + shift]) for dim, found in labels.of(source).items()}
    labels.put(out, vectors, origin=labels.origin.get(source.number))


def _view_as_complex(labels: Labels, call: Call) -> None:
    """Pairs along the last dimension become one number; `view_as_real` takes it apart again."""
    source, last = call.sources[0], len(call.sources[0].shape) - 1
    vectors = dict(labels.of(source))
    if last in vectors:
        labels.pin(vectors.pop(last), "is the real or imaginary part of another")
    labels.put(call.targets[0], vectors, origin=labels.origin.get(source.number))


def _pack(labels: Labels, call: Call) -> None:
    """Sequences of a batch one after the other, without the places behind their ends."""
    vectors = dict(labels.of(call.sources[0]))
    for dim in {0, 1} & vectors.keys():
        labels.pin(vectors.pop(dim), "is packed")
    labels.put(call.targets[0], {dim - 1: found for dim, found in vectors.items()})


MOVEMENTS: Mapping[str, Rule] = MappingProxyType(
    table("clone detach alias contiguous _to_copy lift_fresh _conj resolve_conj _neg_view resolve_neg", _same)
    | table("zeros_like ones_like full_like empty_like rand_like randn_like", _like)
    | table("copy_ copy", _copy)
    | table("permute transpose transpose_ t t_ unsqueeze unsqueeze_ squeeze squeeze_ slice select", moves)
    | table("view_as_complex", _view_as_complex)
    | table("view_as_real", _same)
    | table("_pack_padded_sequence", _pack)
    | table("expand", _expand)
    | table("split unsafe_split split_with_sizes unsafe_split_with_sizes chunk unsafe_chunk tensor_split", moves)
    | table("unbind narrow", moves)
    | table("unfold diagonal", moves)
    | table("flip", _flip)
    | table("glu", _glu)
    | table("repeat", _repeat)
    | table("view _unsafe_view reshape _reshape_alias", _view)
)
