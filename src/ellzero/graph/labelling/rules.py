"""Rules for operations that join, normalise or pool values; what has no rule is pinned, never guessed."""

__all__ = ["Rule", "apply_rule", "mixes", "pointwise"]

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from ellzero.errors import TraceError
from ellzero.graph.labelling.attention import ATTENTION
from ellzero.graph.labelling.contractions import CONTRACTIONS, meet
from ellzero.graph.labelling.convolutions import CONVOLUTIONS
from ellzero.graph.labelling.indexing import INDEXING
from ellzero.graph.labelling.labels import CONSTANT, NONE, Labels, Toil, Vector, Vectors
from ellzero.graph.labelling.movement import MOVEMENTS, short
from ellzero.graph.labelling.normalisers import NORMALISERS
from ellzero.graph.labelling.norms import NORMALISATION
from ellzero.graph.labelling.patches import PATCHES
from ellzero.graph.recording.count import multiply_adds_of
from ellzero.graph.recording.record import Call, Value

Rule = Callable[[Labels, Call], None]


def apply_rule(labels: Labels, call: Call, rules: Mapping[str, Rule] = MappingProxyType({})) -> None:
    """Label the results of one operation.

    Args:
        labels: what is known so far; extended in place.
        call: the operation.
        rules: of the user, by the name of the operation; they come before those of the library.

    Raises:
        TraceError: if a rule of the user raises anything, or labels a result with too many or too few labels.
    """
    name = str(call.op.overloadpacket)
    if name.startswith("aten.sym_"):  # asks for a size, not for values
        return
    if call.sources and all(value.number in labels.derived for value in call.sources):
        labels.derived.update(value.number for value in call.targets)
    if name in rules:
        _apply_own(labels, call, rules[name])
        return
    try:
        _apply(labels, call, name)
        _check_widths(labels, call)
    except (IndexError, KeyError, TypeError, ValueError):  # a use of the operation that its rule does not know
        labels.pin_all([*call.sources, *call.targets], f"no rule for this use of {name}")
        for out in call.targets:
            labels.put(out, {})


def _apply_own(labels: Labels, call: Call, rule: Rule) -> None:
    """A rule of the user, whose mistakes are said and not made up for."""
    num_pairs, num_pins = len(labels.pairs), len(labels.pins)
    try:
        rule(labels, call)
        _check_widths(labels, call)
        given = [found for out in call.targets for found in labels.of(out).values()]
        united = [found for pair in labels.pairs[num_pairs:] for found in pair]
        labels.check([*given, *united, *(found for found, _ in labels.pins[num_pins:])])
    except TraceError:
        raise
    except Exception as error:
        name, what = call.op.overloadpacket, str(error) or "no message"
        raise TraceError(
            f"the rule for '{name}' failed on its use in {call.module or 'the network itself'!r}, with "
            f"{type(error).__name__}: {what}; mend the rule, or leave it out to keep the channels there"
        ) from error


def _check_widths(labels: Labels, call: Call) -> None:
    for out in call.targets:
        for dim, found in labels.of(out).items():
            if len(found) != out.shape[dim]:
                raise ValueError(f"{len(found)} labels along a dimension of {out.shape[dim]}")


def _apply(labels: Labels, call: Call, name: str) -> None:
    is_labelled = any(labels.of(value) for value in call.sources)
    if name in _CONSTANTS:
        _constant(labels, call)
    elif is_labelled and labels.is_wide and name in NORMALISATION and NORMALISATION[name](labels, call):
        return
    elif is_labelled and name in _RULES:
        _RULES[name](labels, call)
    elif is_labelled and call.targets and torch.Tag.pointwise in call.op.tags:
        pointwise(labels, call)
    else:
        where = f" in {call.module!r}" if call.module else ""
        labels.pin_all(call.sources, f"no rule for {name}{where}")
        if multiply_adds := multiply_adds_of(call):
            labels.toils.append(Toil(call.module, None, multiply_adds))


def pointwise(labels: Labels, call: Call) -> None:
    """The rule for operations that treat every element alone: values that meet are one channel."""
    for out in call.targets:
        labels.put(out, meet(labels, out.shape, call.sources), origin=_scaled(labels, call))


def _scaled(labels: Labels, call: Call) -> str | None:
    """The stored tensor that is multiplied by a number: zero where that is zero, so that it reads what that reads."""
    wide = [value for value in call.sources if math.prod(value.shape) > 1]
    if len(wide) != 1 or not (short(call) == "mul" or (short(call) in ("div", "neg") and call.args[0] is wide[0])):
        return None
    return labels.origin.get(wide[0].number)


def mixes(*dims: int) -> Rule:
    """The rule for operations that mix values along some dimensions and leave the others as they are.

    Args:
        dims: the dimensions of the first argument, and of the result of the same shape; negative from the end.

    Example:
        >>> smooth = mixes(-1)  # for trace(..., rules={"mylib.smooth": smooth})
    """
    return _keep_all_but(lambda call, value: dims, "is mixed by")


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


def _stack(labels: Labels, call: Call) -> None:
    """Values of one shape side by side along a new dimension: what stands in the same place is one channel."""
    out = call.targets[0]
    dim = int(call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % len(out.shape)
    met = meet(labels, call.sources[0].shape, call.sources)
    labels.put(out, {key + (key >= dim): found for key, found in met.items()})


def _vector(labels: Labels, value: Value, dim: int) -> Vector:
    return labels.of(value).get(dim, np.full(value.shape[dim], NONE))


def _keep_all_but(dims: Callable[[Call, Value], Iterable[int]], reason: str) -> Rule:
    """A rule for operations that mix values along some dimensions and leave the others alone."""

    def rule(labels: Labels, call: Call) -> None:
        source = call.sources[0]
        mixed = {dim % len(source.shape) for dim in dims(call, source)}
        gone = len(source.shape) - len(call.targets[0].shape)
        for dim in mixed & labels.of(source).keys():
            labels.pin(labels.of(source)[dim], f"{reason} {short(call)}")
        kept = {dim: found for dim, found in labels.of(source).items() if dim not in mixed}
        if gone:
            kept = {dim - sum(other < dim for other in mixed): found for dim, found in kept.items()}
        for out in call.targets:
            labels.put(out, kept if len(out.shape) == len(source.shape) - gone else {})
        labels.pin_all(call.sources[1:], f"{reason} {short(call)}")

    return rule


def _unpool(num: int) -> Rule:
    """Values and the indices of their places belong together."""

    def rule(labels: Labels, call: Call) -> None:
        source, indices = call.sources
        met = meet(labels, source.shape, [source, indices])
        kept = len(source.shape) - num
        for dim in met.keys() - set(range(kept)):
            labels.pin(met[dim], f"is mixed by {short(call)}")
        labels.put(call.targets[0], {dim: found for dim, found in met.items() if dim < kept})

    return rule


def _last(num: int) -> Callable[[Call, Value], Iterable[int]]:
    return lambda call, value: range(len(value.shape) - num, len(value.shape))


def _padded(call: Call, value: Value) -> Iterable[int]:
    amounts = call.args[1]
    return [-1 - index // 2 for index, amount in enumerate(amounts) if amount]


def _named(call: Call, value: Value) -> Iterable[int]:
    """The dimensions given as argument `dim` or `dims`; all if there is none."""
    dims = None
    for place, argument in enumerate(call.op._schema.arguments):
        if argument.name in ("dim", "dims"):
            default = call.kwargs.get(argument.name, argument.default_value)
            dims = call.args[place] if len(call.args) > place else default
    if isinstance(dims, int):
        return [dims]
    return dims if isinstance(dims, (list, tuple)) and dims else range(len(value.shape))


def _constant(labels: Labels, call: Call) -> None:
    """The same number everywhere: it can be as wide as whatever it meets, if the forward pass makes it so."""
    for out in call.targets:
        sizes = {dim: size for dim, size in enumerate(out.shape) if size > 1}
        labels.put(out, {dim: labels.allot(CONSTANT, dim, size) for dim, size in sizes.items()})


def _table(names: str, rule: Rule) -> dict[str, Rule]:
    return {f"aten.{name}": rule for name in names.split()}


_CONSTANTS = frozenset(f"aten.{name}" for name in ["zeros", "ones", "full", "new_zeros", "new_ones", "new_full"])
_POINTWISE = (
    "_prelu_kernel hardswish hardswish_ log_sigmoid_forward rrelu_with_noise"
    " masked_fill masked_fill_ fill_ zero_ threshold_ mish_ gelu_ ge_ gt_ le_ lt_ eq_ ne_ complex polar"
    " leaky_relu leaky_relu_ hardtanh_ hardsigmoid_ elu_ selu_ celu_ ldexp ldexp_"
)
"""Without `torch.Tag.pointwise` up to PyTorch 2.13, and those of the last line up to 2.9."""
_PAD = (
    "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d"
    " replication_pad3d"
)
_POOL_1D = "avg_pool1d adaptive_avg_pool1d upsample_linear1d upsample_nearest1d _upsample_nearest_exact1d max_pool1d"
_POOL_2D = (
    "max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d upsample_nearest2d"
    " upsample_bilinear2d upsample_bicubic2d _upsample_nearest_exact2d _upsample_bilinear2d_aa grid_sampler_2d"
)
_POOL_3D = (
    "max_pool3d_with_indices avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d upsample_nearest3d"
    " upsample_trilinear3d _upsample_nearest_exact3d grid_sampler_3d"
)
_REDUCE = (
    "sum mean amax amin max min prod var std var_mean argmax argmin any all norm linalg_vector_norm logsumexp"
    " cumsum cumprod sort topk"
)

_RULES: Mapping[str, Rule] = MappingProxyType(
    dict(CONTRACTIONS)
    | dict(CONVOLUTIONS)
    | dict(ATTENTION)
    | dict(MOVEMENTS)
    | dict(PATCHES)
    | _table(_POINTWISE, pointwise)
    | _table("cat", _cat)
    | _table("stack", _stack)
    | dict(NORMALISERS)
    | _table(_PAD, _keep_all_but(_padded, "is padded with values of fixed width by"))
    | _table(_POOL_1D, _keep_all_but(_last(1), "is mixed by"))
    | _table(_POOL_2D, _keep_all_but(_last(2), "is mixed by"))
    | _table(_POOL_3D, _keep_all_but(_last(3), "is mixed by"))
    | _table(_REDUCE, _keep_all_but(_named, "is reduced over channels by"))
    | _table("_fft_c2c _fft_r2c _fft_c2r", _keep_all_but(_named, "is mixed by"))
    | _table("roll", _keep_all_but(_named, "is moved by"))
    | _table("max_unpool2d", _unpool(2))
    | _table("max_unpool3d", _unpool(3))
    | _table("_softmax _log_softmax _safe_softmax", _keep_all_but(_named, "normalised together by"))
    | _table(
        "native_layer_norm _fused_rms_norm rms_norm",
        _keep_all_but(lambda call, value: range(-len(call.args[1]), 0), "normalised together by"),
    )
    | dict(INDEXING)
)  # fmt: skip
