"""Run a network without touching it, and write down what it does."""

__all__ = [
    "Call",
    "Count",
    "Example",
    "Value",
    "arguments",
    "count",
    "eagerly",
    "forward",
    "place_of",
    "tensors_in",
]

from ellzero.graph.recording.count import Count, count
from ellzero.graph.recording.example import Example, arguments, forward
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.record import Call, Value
from ellzero.graph.recording.shadow import eagerly
from ellzero.graph.recording.where import place_of
