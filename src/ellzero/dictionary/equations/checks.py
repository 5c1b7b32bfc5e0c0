"""What equations refuse: coefficients, outputs and numbers of digits that fit nothing."""

__all__ = ["check_digits", "check_equations"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.targets import check_targets
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.errors import NonFiniteError


def check_equations(
    targets: tuple[str, ...], dictionary: Dictionary, coefficients: NDArray[np.float64], outputs: Sequence[Output]
) -> None:
    """Refuse equations whose parts do not fit each other.

    Args:
        targets: what is computed.
        dictionary: the terms.
        coefficients: expected to be finite, shape `(num_targets, num_terms)`.
        outputs: one for each target.

    Raises:
        TypeError: if the dictionary is none.
        ValueError: if the shape is wrong, there is another number of outputs, or targets cannot be printed.
        NonFiniteError: if a coefficient is NaN or infinite.
    """
    if not isinstance(dictionary, Dictionary):
        raise TypeError(f"expected a Dictionary of terms, got {type(dictionary).__name__}")
    if coefficients.shape != (len(targets), len(dictionary)):
        raise ValueError(
            f"the coefficients have shape {coefficients.shape}, expected {(len(targets), len(dictionary))}: a row for "
            "each target, a column for each term"
        )
    if len(outputs) != len(targets):
        raise ValueError(f"there are {len(outputs)} output functions for {len(targets)} targets; give one for each")
    check_targets(targets)
    bad = ~np.isfinite(coefficients)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise NonFiniteError(
            f"the coefficient of {dictionary.names[column]!r} in {targets[row]!r} is {coefficients[row, column]}; "
            "fit on finite data"
        )


def check_digits(precision: int | None) -> None:
    """Refuse what is no number of significant digits; none stands for all.

    Raises:
        ValueError: if it is no whole number from 1 on.
    """
    if precision is not None and (isinstance(precision, bool) or not isinstance(precision, int) or precision < 1):
        raise ValueError(f"the precision is a number of significant digits from 1 to 17, got {precision!r}")
