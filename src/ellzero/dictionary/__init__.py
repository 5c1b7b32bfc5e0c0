"""Dictionaries of named terms, sparse regression to a term budget, dynamics and equations."""

__all__ = ["Gram", "Optimality", "Subset", "best_subset"]

from ellzero.dictionary.gram import Gram
from ellzero.dictionary.subset import Optimality, Subset
from ellzero.dictionary.subsets import best_subset
