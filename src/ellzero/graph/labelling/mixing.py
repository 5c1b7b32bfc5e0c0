"""Rules for operations that mix values along some dimensions and leave the others alone: pools, pads, sums."""

__all__ = ["MIXING", "mixes"]

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from ellzero.graph.labelling.contractions import meet
from ellzero.graph.labelling.labels import Labels, Rule, table
from ellzero.graph.labelling.movement import short
from ellzero.graph.recording.record import Call, Value


def mixes(*dims: int) -> Rule:
    """The rule for operations that mix values along some dimensions and leave the others as they are.

    Args:
        dims: the dimensions of the first argument, and of the result of the same shape; negative from the end.

    Example:
        >>> smooth = mixes(-1)  # for trace(..., rules={"mylib.smooth": smooth})
    """
    return _keep_all_but(lambda call, value: dims, "is mixed by")


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

MIXING: Mapping[str, Rule] = MappingProxyType(
    table(_PAD, _keep_all_but(_padded, "is padded with values of fixed width by"))
    | table(_POOL_1D, _keep_all_but(_last(1), "is mixed by"))
    | table(_POOL_2D, _keep_all_but(_last(2), "is mixed by"))
    | table(_POOL_3D, _keep_all_but(_last(3), "is mixed by"))
    | table(_REDUCE, _keep_all_but(_named, "is reduced over channels by"))
    | table("_fft_c2c _fft_r2c _fft_c2r", _keep_all_but(_named, "is mixed by"))
    | table("roll", _keep_all_but(_named, "is moved by"))
    | table("max_unpool2d", _unpool(2))
    | table("max_unpool3d", _unpool(3))
    | table("_softmax _log_softmax _safe_softmax", _keep_all_but(_named, "normalised together by"))
    | table(
        "native_layer_norm _fused_rms_norm rms_norm",
        _keep_all_but(lambda call, value: range(-len(call.args[1]), 0), "normalised together by"),
    )
)  # fmt: skip
