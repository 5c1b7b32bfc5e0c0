"""Sparse regression to a budget of terms: supports, certificates, paths, bootstraps, inclusion probabilities."""

__all__ = [
    "Bootstrap",
    "Calibration",
    "Gram",
    "Optimality",
    "Subset",
    "SubsetPath",
    "best_subset",
    "bootstrap",
    "calibration",
    "gate_probabilities",
    "simulate_regression",
    "subset_path",
]

from ellzero.dictionary.regression.bootstraps import Bootstrap, bootstrap
from ellzero.dictionary.regression.calibrate import Calibration, calibration, simulate_regression
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.path import SubsetPath, subset_path
from ellzero.dictionary.regression.posterior import gate_probabilities
from ellzero.dictionary.regression.subset import Optimality, Subset
from ellzero.dictionary.regression.subsets import best_subset
