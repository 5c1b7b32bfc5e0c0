"""Sparse equations: named candidate terms, regression to a budget of terms, dynamics, closed forms."""

__all__ = [
    "FUNCTIONS",
    "Ablation",
    "Bootstrap",
    "Calibration",
    "Certificate",
    "Check",
    "ClosedForm",
    "Dictionary",
    "Equations",
    "Factor",
    "Gram",
    "Identifiability",
    "Inner",
    "Optimality",
    "Output",
    "Relation",
    "SparseDictionary",
    "SparseRegression",
    "Subset",
    "SubsetPath",
    "Term",
    "Unit",
    "best_subset",
    "bootstrap",
    "calibration",
    "custom",
    "fourier",
    "gate_probabilities",
    "identifiability",
    "identity",
    "polynomial",
    "rational",
    "simulate_regression",
    "subset_path",
    "trigonometric",
    "variables",
    "verify",
]

from typing import TYPE_CHECKING, Any

from ellzero.dictionary.bootstraps import Bootstrap, bootstrap
from ellzero.dictionary.calibrate import Calibration, calibration, simulate_regression
from ellzero.dictionary.certificate import Ablation, Certificate, Check
from ellzero.dictionary.closed import ClosedForm
from ellzero.dictionary.dictionary import Dictionary
from ellzero.dictionary.equations import Equations
from ellzero.dictionary.functions import FUNCTIONS
from ellzero.dictionary.gram import Gram
from ellzero.dictionary.harmonics import fourier, trigonometric
from ellzero.dictionary.identifiability import Identifiability, identifiability
from ellzero.dictionary.inner import Inner, variables
from ellzero.dictionary.libraries import custom, identity, polynomial, rational
from ellzero.dictionary.outputs import Output
from ellzero.dictionary.path import SubsetPath, subset_path
from ellzero.dictionary.posterior import gate_probabilities
from ellzero.dictionary.relations import Relation
from ellzero.dictionary.sparse import SparseDictionary
from ellzero.dictionary.subset import Optimality, Subset
from ellzero.dictionary.subsets import best_subset
from ellzero.dictionary.terms import Factor, Term
from ellzero.dictionary.units import Unit
from ellzero.dictionary.verify import verify

if TYPE_CHECKING:
    from ellzero.dictionary.regression import SparseRegression


def __getattr__(name: str) -> Any:
    # The base classes are scikit-learn's, which is optional: the file is imported when the name is first used.
    if name == "SparseRegression":
        from ellzero.dictionary.regression import SparseRegression

        return SparseRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
