"""`Equations`: sparse equations as plain data, for every language that they are needed in."""

__all__ = ["Equations"]

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ellzero.dictionary.dictionary import Dictionary
from ellzero.dictionary.outputs import Output
from ellzero.dictionary.rows import Row
from ellzero.dictionary.text import latex_row, text_row
from ellzero.errors import NonFiniteError

Array = NDArray[np.float64]

_TARGET = re.compile(r"[\w'()^.,+\-/* ]+")


@dataclass(frozen=True, eq=False)
class Equations:
    r"""Targets as sums of terms, each perhaps under an output function.

    .. math:: y_i = b_i + s_i f_i\Big(\sum_j c_{ij} \theta_j(x)\Big)

    Args:
        targets: what is computed, such as `("x'", "y'")`.
        dictionary: the terms.
        coefficients: float64, shape `(num_targets, num_terms)`; zeros are terms that are not there.
        outputs: an output function for each target, if there is one.

    Raises:
        ValueError: if the shape is wrong, a target is named twice, or its name cannot be printed.
        NonFiniteError: if a coefficient is NaN or infinite.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> lorenz = Equations(("x'",), polynomial("x y z", 2).select(["x", "y"]), [[-10.0, 10.0]])
        >>> print(lorenz)
        x' = -10 x + 10 y
    """

    targets: tuple[str, ...]
    dictionary: Dictionary
    coefficients: Array
    outputs: tuple[Output, ...] = ()

    def __post_init__(self) -> None:
        targets = tuple(self.targets)
        given: Any = self.coefficients  # lists and tensors will do as well
        coefficients = np.array(given.detach().cpu() if isinstance(given, Tensor) else given, dtype=np.float64)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "outputs", tuple(self.outputs) or (Output(),) * len(targets))
        _check(targets, self.dictionary, coefficients, self.outputs)
        coefficients.setflags(write=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return self.dictionary.inputs

    @property
    def support(self) -> NDArray[np.bool_]:
        """Which terms are there, shape `(num_targets, num_terms)`."""
        return np.asarray(self.coefficients != 0)

    @property
    def num_terms(self) -> int:
        """How many terms stand in all equations together."""
        return int(self.support.sum())

    def rows(self) -> tuple[Row, ...]:
        """The equations one by one, without the terms whose coefficient is zero."""
        return tuple(
            Row(target, tuple((float(c), t) for c, t in zip(row, self.dictionary.terms, strict=True) if c), output)
            for target, row, output in zip(self.targets, self.coefficients, self.outputs, strict=True)
        )

    def text(self, precision: int | None = 4) -> str:
        """One line for each target.

        Args:
            precision: significant digits of the numbers; None for as many as it takes to read them back.
        """
        _check_digits(precision)
        return "\n".join(text_row(row, self.inputs, precision) for row in self.rows())

    def latex(self, precision: int | None = 4) -> str:
        """An `aligned` block for a formula.

        Args:
            precision: significant digits of the numbers; None for as many as it takes to read them back.
        """
        _check_digits(precision)
        lines = " \\\\\n".join(latex_row(row, self.inputs, precision) for row in self.rows())
        return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"

    def rounded(self, precision: int) -> "Equations":
        """The equations as they are printed: all numbers but those within functions, to so many significant digits."""
        _check_digits(precision)

        def short(value: float) -> float:
            return float(f"{value:.{precision}g}")

        outputs = tuple(
            replace(one, scale=short(one.scale), offset=short(one.offset), low=short(one.low), high=short(one.high))
            for one in self.outputs
        )
        return replace(self, coefficients=np.vectorize(short, otypes=[float])(self.coefficients), outputs=outputs)

    def trimmed(self) -> "Equations":
        """The same equations with a dictionary of the terms that are there, or of the first if there is none."""
        used = np.flatnonzero(self.support.any(0)) if self.num_terms else np.zeros(1, dtype=np.int64)
        return replace(self, dictionary=self.dictionary.select(used), coefficients=self.coefficients[:, used])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Equations({len(self.targets)} targets, {self.num_terms} terms)"


def _check(targets: tuple[str, ...], dictionary: Dictionary, coefficients: Array, outputs: Sequence[Output]) -> None:
    if not isinstance(dictionary, Dictionary):
        raise TypeError(f"expected a Dictionary of terms, got {type(dictionary).__name__}")
    if coefficients.shape != (len(targets), len(dictionary)):
        raise ValueError(
            f"the coefficients have shape {coefficients.shape}, expected {(len(targets), len(dictionary))}: a row for "
            "each target, a column for each term"
        )
    if len(outputs) != len(targets):
        raise ValueError(f"there are {len(outputs)} output functions for {len(targets)} targets; give one for each")
    for target in targets:
        if not isinstance(target, str) or not _TARGET.fullmatch(target) or "*/" in target:
            raise ValueError(f"the target {target!r} cannot be printed everywhere; use letters, digits, _ and '")
        if targets.count(target) > 1:
            raise ValueError(f"two targets are called {target!r}; give each a name of its own")
    bad = ~np.isfinite(coefficients)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise NonFiniteError(
            f"the coefficient of {dictionary.names[column]!r} in {targets[row]!r} is {coefficients[row, column]}; "
            "fit on finite data"
        )


def _check_digits(precision: int | None) -> None:
    if precision is not None and (isinstance(precision, bool) or not isinstance(precision, int) or precision < 1):
        raise ValueError(f"the precision is a number of significant digits from 1 to 17, got {precision!r}")
