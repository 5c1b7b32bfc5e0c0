"""Rules for operations that put values side by side."""

__all__ = ["JOINS"]

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ellzero.graph.labelling.contractions import meet
from ellzero.graph.labelling.labels import NONE, Labels, Rule, Vector, Vectors
from ellzero.graph.recording.record import Call, Value


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


JOINS: Mapping[str, Rule] = MappingProxyType({"aten.cat": _cat, "aten.stack": _stack})
