"""Find the channels of a network, and try whether they can go."""

__all__ = [
    "check_fit",
    "trace",
]

from ellzero.graph.tracing.fit import check_fit
from ellzero.graph.tracing.trace import trace
