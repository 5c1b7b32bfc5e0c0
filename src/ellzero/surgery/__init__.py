"""Surgery: fold, cut, verify, and carry the optimizer along."""

__all__ = [
    "compare",
    "evaluating",
    "example_of",
    "like",
    "outputs_of",
    "precisions",
    "prune",
    "rounding",
    "transfer_optimizer",
]

from ellzero.surgery.origin import example_of
from ellzero.surgery.precision import precisions, rounding
from ellzero.surgery.prune import prune
from ellzero.surgery.transfer import transfer_optimizer
from ellzero.surgery.verify import compare, evaluating, like, outputs_of
