"""`Equations`: sparse equations as plain data, for every language that they are needed in."""

__all__ = ["Equations"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ellzero.artifacts.errors import ArtifactDamagedError
from ellzero.dictionary.equations.arrays import evaluate
from ellzero.dictionary.equations.checks import check_digits, check_equations
from ellzero.dictionary.equations.closed import ClosedForm
from ellzero.dictionary.equations.outputs import Output, rounded
from ellzero.dictionary.equations.quantities import check_coefficient_units, coefficient_units
from ellzero.dictionary.equations.rows import Row
from ellzero.dictionary.equations.scaling import numbers, scaled_inputs, scaled_outputs
from ellzero.dictionary.equations.sources import c_source, python_source
from ellzero.dictionary.equations.stored import Parts, read, write
from ellzero.dictionary.equations.symbols import expressions
from ellzero.dictionary.equations.text import latex_row, text_row
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.units import Unit

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Equations:
    r"""Targets as sums of terms, each perhaps under an output function.

    .. math:: y_i = b_i + s_i f_i\Big(\sum_j c_{ij} \theta_j(x)\Big)

    Args:
        targets: what is computed, such as `("x'", "y'")`, `("u_t",)`, `("dx/dt",)` or `("x(k + 1)",)`.
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
        coefficients = np.array(given.detach().cpu().numpy() if isinstance(given, Tensor) else given, dtype=np.float64)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "outputs", tuple(self.outputs) or (Output(),) * len(targets))
        check_equations(targets, self.dictionary, coefficients, self.outputs)
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
        check_digits(precision)
        return "\n".join(text_row(row, self.inputs, precision) for row in self.rows())

    def latex(self, precision: int | None = 4) -> str:
        """An `aligned` block for a formula.

        Args:
            precision: significant digits of the numbers; None for as many as it takes to read them back.
        """
        check_digits(precision)
        lines = " \\\\\n".join(latex_row(row, self.inputs, precision) for row in self.rows())
        return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"

    def sympy(self) -> dict[str, Any]:
        """A SymPy expression for each target, by its name; inputs are real symbols.

        Raises:
            MissingExtraError: if SymPy is not installed.
        """
        return expressions(self.rows(), self.inputs)

    def numpy(self) -> Callable[[ArrayLike], Array]:
        """A function of arrays, shape `(..., num_inputs)` to `(..., num_targets)`, in float64."""
        return partial(evaluate, self.rows(), self.inputs, self.dictionary.functions)

    def python(self, name: str = "equations") -> str:
        """Source text of a module that needs NumPy only; functions of your own become arguments.

        Args:
            name: of the function in it.
        """
        return python_source(self.rows(), self.inputs, sorted(self._own_functions()), name)

    def c(self, name: str = "equations") -> str:
        """Source text in C99: `void name(const double *inputs, double *outputs)`; your own functions are external.

        Args:
            name: of the function in it.
        """
        return c_source(self.rows(), self.inputs, self._own_functions(), name)

    def torch(self, dtype: torch.dtype = torch.float64) -> ClosedForm:
        """A module that computes them, with nothing to learn.

        Args:
            dtype: of the coefficients and of what is computed.
        """
        return ClosedForm(self.dictionary, torch.tensor(self.coefficients, dtype=dtype), self.outputs)

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write a JSON file: terms as data, with a checksum.

        Args:
            path: where to.
            overwrite: whether a file that is there may be replaced.

        Raises:
            ArtifactExistsError: if something is there that may not be replaced.
            ArtifactUnsavedError: if it could not be written; what was there before stays.
        """
        parts = Parts(self.targets, self.dictionary, self.coefficients.tolist(), self.outputs)
        write(Path(path), parts, overwrite=overwrite)

    @classmethod
    def load(
        cls, path: Path | str, functions: Mapping[str, Callable[..., Tensor]] = MappingProxyType({})
    ) -> "Equations":
        """Read what `save` wrote. Nothing in the file is executed.

        Args:
            path: the file.
            functions: your own, by name, if the terms need some.

        Raises:
            ArtifactMissingError: if the file is missing.
            ArtifactDamagedError: if it is cut short, was changed, or holds something else.
            ArtifactVersionError: if its format is not known.
            ArtifactMismatchError: if a term needs a function that is not given.
        """
        targets, dictionary, coefficients, outputs = read(Path(path), functions)
        try:
            return cls(targets, dictionary, np.array(coefficients), outputs)
        except (ValueError, TypeError) as error:
            raise ArtifactDamagedError(f"{str(path)!r} holds no sound equations: {error}; save them again") from error

    @classmethod
    def scaled(
        cls,
        targets: Sequence[str],
        dictionary: Dictionary,
        coefficients: ArrayLike,
        *,
        input_shift: ArrayLike = 0.0,
        input_scale: ArrayLike = 1.0,
        target_shift: ArrayLike = 0.0,
        target_scale: ArrayLike = 1.0,
        outputs: Sequence[Output] = (),
    ) -> "Equations":
        r"""For raw data, from those of scaled data :math:`\hat x = (x - m) / s`, :math:`\hat y = (y - m') / s'`.

        Args:
            targets: names.
            dictionary: of scaled inputs; the same names stand for raw ones in the result.
            coefficients: of scaled targets, shape `(num_targets, num_terms)`.
            input_shift: m, one number or one for each input.
            input_scale: s.
            target_shift: m', one number or one for each target.
            target_scale: s'.
            outputs: output functions of scaled targets, if there are.

        Raises:
            ValueError: if a scale is zero, a number is not finite, or there is another number of them.
        """
        plain = cls(tuple(targets), dictionary, np.asarray(coefficients, dtype=np.float64), tuple(outputs))
        shift = numbers("input_shift", input_shift, len(dictionary.inputs))
        scale = numbers("input_scale", input_scale, len(dictionary.inputs), is_scale=True)
        own_shift = numbers("target_shift", target_shift, len(plain.targets))
        own_scale = numbers("target_scale", target_scale, len(plain.targets), is_scale=True)
        folded, found = scaled_inputs(dictionary, plain.coefficients, shift, scale)
        folded, found, functions = scaled_outputs(folded, found, plain.outputs, own_shift, own_scale)
        return cls(plain.targets, folded, found, functions)

    def units(self, targets: Mapping[str, str | Unit]) -> dict[tuple[str, str], Unit]:
        """The unit that each coefficient must have, by target and term.

        Args:
            targets: units of the targets by name; those that are not named are pure numbers.

        Raises:
            ValueError: if the inputs have no units, a name is unknown, or a term adds different quantities.
        """
        return coefficient_units(self.targets, self.dictionary, self.support, targets)

    def check_units(self, targets: Mapping[str, str | Unit], constants: Sequence[str | Unit] = ()) -> None:
        """Refuse equations that add quantities of different units.

        Args:
            targets: units of the targets by name.
            constants: units that a coefficient may have, beside pure numbers: those of the constants of nature in it.

        Raises:
            ValueError: if a coefficient would need another unit; the term is named.
        """
        check_coefficient_units(self.units(targets), constants)

    def rounded(self, precision: int) -> "Equations":
        """The equations as they are printed: all numbers but those within functions, to so many significant digits."""
        check_digits(precision)
        coefficients = [[rounded(value, precision) for value in row] for row in self.coefficients.tolist()]
        outputs = tuple(one.rounded(precision) for one in self.outputs)
        return replace(self, coefficients=np.array(coefficients), outputs=outputs)

    def trimmed(self) -> "Equations":
        """The same equations with a dictionary of the terms that are there, or of the first if there is none."""
        used = np.flatnonzero(self.support.any(0)) if self.num_terms else np.zeros(1, dtype=np.int64)
        return replace(self, dictionary=self.dictionary.select(used), coefficients=self.coefficients[:, used])

    def _own_functions(self) -> dict[str, int]:
        """The functions of the user that there are, and how many arguments each takes."""
        factors = [factor for row in self.rows() for _, term in row.parts for factor in term.factors]
        return {f.function: len(f.arguments) for f in factors if f.function in self.dictionary.functions}

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Equations({len(self.targets)} targets, {self.num_terms} terms)"
