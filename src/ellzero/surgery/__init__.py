"""Surgery: fold, cut, verify."""

__all__ = ["compare", "evaluating", "precisions", "prune"]

from ellzero.surgery.precision import precisions
from ellzero.surgery.prune import prune
from ellzero.surgery.verify import compare, evaluating
