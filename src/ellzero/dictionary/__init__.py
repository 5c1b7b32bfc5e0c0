"""Dictionaries of named terms, sparse regression to a term budget, dynamics and equations."""

__all__ = ["Gram", "Optimality", "Subset", "SubsetPath", "best_subset", "subset_path"]

from ellzero.dictionary.gram import Gram
from ellzero.dictionary.path import SubsetPath, subset_path
from ellzero.dictionary.subset import Optimality, Subset
from ellzero.dictionary.subsets import best_subset
