"""Rules for operations that move, join, normalise or pool values; what has no rule is pinned, never guessed."""

__all__ = ["apply_rule"]

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from ellzero.graph.contractions import CONTRACTIONS, meet
from ellzero.graph.labels import FIXED, NONE, Labels, Vector, Vectors
from ellzero.graph.record import Call, Value
from ellzero.graph.reshape import reshape

Rule = Callable[[Labels, Call], None]


def apply_rule(labels: Labels, call: Call) -> None:
    """Label the results of one operation.

    Args:
        labels: what is known so far; extended in place.
        call: the operation.
    """
    name = str(call.op.overloadpacket)
    is_question = name.startswith(("prim.", "aten.sym_"))  # asks for a size or a device, not for values
    if is_question or not any(labels.of(value) for value in call.sources):
        return
    if name in _RULES:
        _RULES[name](labels, call)
    elif torch.Tag.pointwise in call.op.tags:
        _pointwise(labels, call)
    else:
        where = f" in {call.module!r}" if call.module else ""
        labels.pin_all(call.sources, f"no rule for {name}{where}")


def _pointwise(labels: Labels, call: Call) -> None:
    """Values that meet element by element are one channel."""
    for out in call.targets:
        labels.put(out, meet(labels, out.shape, call.sources))


def _same(labels: Labels, call: Call) -> None:
    """The result is the first operand."""
    origin = labels.origin.get(call.sources[0].number)
    labels.put(call.targets[0], labels.of(call.sources[0]), origin=origin)


def _like(labels: Labels, call: Call) -> None:
    """The result is as wide as the first operand, but holds other numbers."""
    labels.put(call.targets[0], labels.of(call.sources[0]))


def _new(labels: Labels, call: Call) -> None:
    """The result has nothing of the operand but its type."""


def _copy(labels: Labels, call: Call) -> None:
    target, source = call.sources
    if labels.of(target):
        labels.put(call.targets[0], meet(labels, target.shape, [target, source]))
    else:
        labels.pin_all([source], "is written in place into values that carry no channels")


def _move(labels: Labels, call: Call) -> None:
    """Pure movement: apply the operation itself to the labels."""
    source = call.sources[0]
    origin = labels.origin.get(source.number)
    for dim, vector in labels.of(source).items():
        shape = [1] * len(source.shape)
        shape[dim] = len(vector)
        spread = torch.from_numpy(vector).view(shape).expand(source.shape)
        moved = call.op(spread, *call.args[1:], **call.kwargs)
        for out, tensor in zip(call.targets, moved if isinstance(moved, (list, tuple)) else [moved], strict=True):
            found = _varying(tensor)
            if found is None or sorted(found[1]) != sorted(vector):
                labels.pin(vector, f"is cut at fixed places by {_short(call)}")
            else:
                known = labels.of(out)
                if found[0] in known:
                    labels.unite(known[found[0]], found[1])
                labels.put(out, {found[0]: found[1]} | known, origin=origin)


def _varying(tensor: torch.Tensor) -> tuple[int, Vector] | None:
    """The one dimension along which labels differ, and the labels along it."""
    dims = [dim for dim in range(tensor.dim()) if tensor.stride(dim) != 0 and tensor.shape[dim] > 1]
    if len(dims) != 1:
        return None
    index = [slice(None) if dim == dims[0] else 0 for dim in range(tensor.dim())]
    return dims[0], tensor[tuple(index)].numpy().copy()


def _view(labels: Labels, call: Call) -> None:
    source, out = call.sources[0], call.targets[0]
    vectors = reshape(labels, labels.of(source), source.shape, out.shape)
    labels.put(out, vectors, origin=labels.origin.get(source.number))


def _cat(labels: Labels, call: Call) -> None:
    values = [value for value in call.sources if math.prod(value.shape)]
    out = call.targets[0]
    dim = int(call.args[1]) % len(out.shape) if len(call.args) > 1 else int(call.kwargs.get("dim", 0)) % len(out.shape)
    vectors: Vectors = {}
    for value in values:
        across = {key: found for key, found in labels.of(value).items() if key != dim}
        for key, found in across.items():
            if key in vectors:
                labels.unite(vectors[key], found)
            vectors[key] = found
    if any(dim in labels.of(value) for value in values):
        vectors[dim] = np.concatenate([_vector(labels, value, dim) for value in values])
    for value in values:
        for key in vectors.keys() - {dim} - labels.of(value).keys():
            labels.pin(vectors[key], "meets values of fixed width that carry no channels")
    labels.put(out, vectors)


def _vector(labels: Labels, value: Value, dim: int) -> Vector:
    return labels.of(value).get(dim, np.full(value.shape[dim], NONE))


def _batch_norm(labels: Labels, call: Call) -> None:
    """Statistics and affine parameters belong to the channel that they normalise."""
    source, *stored = call.sources
    out = call.targets[0]
    channels = labels.of(source).get(1)
    for value in stored:
        if channels is None:
            labels.pin_all([value], "normalises values that carry no channels")
        elif 0 in labels.of(value):
            labels.unite(channels, labels.of(value)[0])
        elif math.prod(value.shape) > 1:
            labels.pin(channels, FIXED)
    labels.put(out, labels.of(source))


def _keep_all_but(dims: Callable[[Call, Value], Iterable[int]], reason: str) -> Rule:
    """A rule for operations that mix values along some dimensions and leave the others alone."""

    def rule(labels: Labels, call: Call) -> None:
        source = call.sources[0]
        mixed = {dim % len(source.shape) for dim in dims(call, source)}
        gone = len(source.shape) - len(call.targets[0].shape)
        for dim in mixed & labels.of(source).keys():
            labels.pin(labels.of(source)[dim], f"{reason} {_short(call)}")
        kept = {dim: found for dim, found in labels.of(source).items() if dim not in mixed}
        if gone:
            kept = {dim - sum(other < dim for other in mixed): found for dim, found in kept.items()}
        for out in call.targets:
            labels.put(out, kept if len(out.shape) == len(source.shape) - gone else {})
        labels.pin_all(call.sources[1:], f"{reason} {_short(call)}")

    return rule


def _last(num: int) -> Callable[[Call, Value], Iterable[int]]:
    return lambda call, value: range(len(value.shape) - num, len(value.shape))


def _padded(call: Call, value: Value) -> Iterable[int]:
    amounts = call.args[1]
    return [-1 - index // 2 for index, amount in enumerate(amounts) if amount]


def _named(call: Call, value: Value) -> Iterable[int]:
    """The dimensions given as argument `dim`; all if there is none."""
    places = {argument.name: place for place, argument in enumerate(call.op._schema.arguments)}
    if "dim" not in places:
        return range(len(value.shape))
    place = places["dim"]
    default = call.kwargs.get("dim", call.op._schema.arguments[place].default_value)
    dims = call.args[place] if len(call.args) > place else default
    if isinstance(dims, int):
        return [dims]
    return dims if isinstance(dims, (list, tuple)) and dims else range(len(value.shape))


def _embedding(labels: Labels, call: Call) -> None:
    (weight, *indices), out = call.sources, call.targets[0]
    labels.pin_all(indices, "decides which rows of a table are read")
    vectors = labels.of(weight)
    if 0 in vectors:
        labels.pin(vectors[0], "rows are chosen by the data")
    if 1 in vectors:
        labels.written.update(labels.slots[number] for number in np.unique(labels.slot_of(vectors[1])))
        labels.put(out, {len(out.shape) - 1: vectors[1]})


def _short(call: Call) -> str:
    return str(call.op.overloadpacket).removeprefix("aten.")


def _table(names: str, rule: Rule) -> dict[str, Rule]:
    return {f"aten.{name}": rule for name in names.split()}


_LIKE = "zeros_like ones_like full_like empty_like rand_like randn_like"
_NEW = "new_zeros new_ones new_full new_empty"
_SAME = "clone detach alias contiguous _to_copy lift_fresh"
_MOVE = (
    "permute transpose t unsqueeze squeeze expand slice select split split_with_sizes unbind repeat flip narrow"
    " unfold diagonal"
)
_PAD = "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d"
_POOL_1D = "avg_pool1d adaptive_avg_pool1d upsample_linear1d upsample_nearest1d max_pool1d"
_POOL_2D = (
    "max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d upsample_nearest2d"
    " upsample_bilinear2d upsample_bicubic2d _upsample_nearest_exact2d"
)
_POOL_3D = "max_pool3d_with_indices avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d upsample_nearest3d"
_REDUCE = (
    "sum mean amax amin max min prod var std var_mean argmax argmin any all norm linalg_vector_norm logsumexp"
    " cumsum cumprod sort topk"
)

_RULES: Mapping[str, Rule] = MappingProxyType(
    dict(CONTRACTIONS)
    | _table(_SAME, _same)
    | _table(_LIKE, _like)
    | _table(_NEW, _new)
    | _table("copy_ copy", _copy)
    | _table(_MOVE, _move)
    | _table("view _unsafe_view reshape _reshape_alias", _view)
    | _table("cat", _cat)
    | _table("native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
             "batch_norm_with_update _batch_norm_with_update _native_batch_norm_legit_functional", _batch_norm)
    | _table(_PAD, _keep_all_but(_padded, "is padded with values of fixed width by"))
    | _table(_POOL_1D, _keep_all_but(_last(1), "is mixed by"))
    | _table(_POOL_2D, _keep_all_but(_last(2), "is mixed by"))
    | _table(_POOL_3D, _keep_all_but(_last(3), "is mixed by"))
    | _table(_REDUCE, _keep_all_but(_named, "is reduced over channels by"))
    | _table("_softmax _log_softmax", _keep_all_but(_named, "normalised together by"))
    | _table("native_group_norm", _keep_all_but(lambda call, value: [1], "normalised together by"))
    | _table(
        "native_layer_norm _fused_rms_norm rms_norm",
        _keep_all_but(lambda call, value: range(-len(call.args[1]), 0), "normalised together by"),
    )
    | _table("embedding", _embedding)
)  # fmt: skip
