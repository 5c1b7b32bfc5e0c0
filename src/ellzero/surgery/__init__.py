"""Surgery: fold, cut, verify."""

__all__ = ["compare", "evaluating", "prune"]

from ellzero.surgery.prune import prune
from ellzero.surgery.verify import compare, evaluating
