"""The rule for attention that is one operation: heads go as a whole, with the queries that share their keys."""

__all__ = ["ATTENTION"]

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ellzero.graph.labelling.labels import FIXED, Labels, Toil, Vector, Vectors
from ellzero.graph.recording.count import multiply_adds_of
from ellzero.graph.recording.record import Call, Value


def _attention(labels: Labels, call: Call) -> None:
    """`softmax(query @ key.T) @ value` for values of shape `(batch, heads, positions, width)`."""
    query, key, value, *others = call.sources
    heads = _heads(labels, query, [key, value])
    rows = [] if heads is None else [heads]
    for one in (query, key):
        labels.pin(labels.of(one).get(3, _NOTHING), "two computed values are multiplied")
    for one in (query, key, value):
        for dim in labels.of(one).keys() & {0, 2}:
            labels.pin(labels.of(one)[dim], "is mixed by attention")
    for other in others:
        _mask(labels, other, heads)
    vectors: Vectors = {} if heads is None else {1: heads}
    if 3 in labels.of(value):
        vectors[3] = labels.of(value)[3]
        labels.pin(vectors[3], "takes part in attention whose multiply-adds cannot be counted")
    labels.put(call.targets[0], vectors)
    labels.toils.append(Toil(call.module, None, multiply_adds_of(call), tuple(rows)))


def _heads(labels: Labels, query: Value, others: list[Value]) -> Vector | None:
    """Unite every head of the keys and values with the heads of the queries that read it."""
    heads = labels.of(query).get(1)
    for other in others:
        found = labels.of(other).get(1)
        if found is not None and heads is not None:
            labels.unite(heads, np.repeat(found, len(heads) // len(found)))
        elif found is not None or heads is not None:
            labels.pin(heads if found is None else found, FIXED)  # type: ignore[arg-type]
    return heads


def _mask(labels: Labels, mask: Value, heads: Vector | None) -> None:
    """What is added to the scores may differ from head to head."""
    place = len(mask.shape) - 3
    for dim, found in labels.of(mask).items():
        if dim == place and heads is not None:
            labels.unite(heads, found)
        else:
            labels.pin(found, "decides which positions attend")
    if heads is not None and place >= 0 and mask.shape[place] > 1 and place not in labels.of(mask):
        labels.pin(heads, FIXED)


_NOTHING = np.zeros(0, dtype=np.int64)

_NAMES = (
    "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention"
    " _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention"
    " _scaled_dot_product_fused_attention_overrideable scaled_dot_product_attention"
)

ATTENTION: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType(
    {f"aten.{name}": _attention for name in _NAMES.split()}
)
