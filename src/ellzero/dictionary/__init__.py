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
    "Dynamics",
    "Equations",
    "Factor",
    "FieldDynamics",
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
    "evolve",
    "fourier",
    "from_pysindy",
    "gate_probabilities",
    "identifiability",
    "identity",
    "polish",
    "polynomial",
    "r2_score",
    "rational",
    "simulate_regression",
    "space_derivatives",
    "subset_path",
    "to_pysindy",
    "trigonometric",
    "valid_prediction_time",
    "variables",
    "verify",
]

from typing import TYPE_CHECKING, Any

from ellzero.dictionary.dynamics import (
    Dynamics,
    FieldDynamics,
    evolve,
    r2_score,
    space_derivatives,
    valid_prediction_time,
)
from ellzero.dictionary.equations import (
    Ablation,
    Certificate,
    Check,
    ClosedForm,
    Equations,
    Output,
    SparseDictionary,
    polish,
    verify,
)
from ellzero.dictionary.regression import (
    Bootstrap,
    Calibration,
    Gram,
    Optimality,
    Subset,
    SubsetPath,
    best_subset,
    bootstrap,
    calibration,
    gate_probabilities,
    simulate_regression,
    subset_path,
)
from ellzero.dictionary.terms import (
    FUNCTIONS,
    Dictionary,
    Factor,
    Identifiability,
    Inner,
    Relation,
    Term,
    Unit,
    custom,
    fourier,
    from_pysindy,
    identifiability,
    identity,
    polynomial,
    rational,
    to_pysindy,
    trigonometric,
    variables,
)

if TYPE_CHECKING:
    from ellzero.dictionary.regression.estimator import SparseRegression


def __getattr__(name: str) -> Any:
    # The base classes are scikit-learn's, which is optional: the file is imported when the name is first used.
    if name == "SparseRegression":
        from ellzero.dictionary.regression.estimator import SparseRegression

        return SparseRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
