"""What operations do to the labels of channels."""

__all__ = [
    "Labels",
    "Rule",
    "mixes",
    "moves",
    "pointwise",
]

from ellzero.graph.labelling.labels import Labels, Rule
from ellzero.graph.labelling.mixing import mixes
from ellzero.graph.labelling.movement import moves
from ellzero.graph.labelling.rules import pointwise
