"""Dictionaries of named terms, sparse regression to a term budget, dynamics and equations."""

__all__ = [
    "Bootstrap",
    "Calibration",
    "Gram",
    "Optimality",
    "SparseRegression",
    "Subset",
    "SubsetPath",
    "best_subset",
    "bootstrap",
    "calibration",
    "gate_probabilities",
    "simulate_regression",
    "subset_path",
]

from typing import TYPE_CHECKING, Any

from ellzero.dictionary.bootstraps import Bootstrap, bootstrap
from ellzero.dictionary.calibrate import Calibration, calibration, simulate_regression
from ellzero.dictionary.gram import Gram
from ellzero.dictionary.path import SubsetPath, subset_path
from ellzero.dictionary.posterior import gate_probabilities
from ellzero.dictionary.subset import Optimality, Subset
from ellzero.dictionary.subsets import best_subset

if TYPE_CHECKING:
    from ellzero.dictionary.regression import SparseRegression


def __getattr__(name: str) -> Any:
    # The base classes are scikit-learn's, which is optional: the file is imported when the name is first used.
    if name == "SparseRegression":
        from ellzero.dictionary.regression import SparseRegression

        return SparseRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
