"""`verify`: hold equations against the module that they came from, their printout, and each of their terms."""

__all__ = ["verify"]

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ellzero.dictionary.equations.certificate import Certificate
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.equations.trials import Simulate, Trial, ablations
from ellzero.errors import NonFiniteError

Array = NDArray[np.float64]


@runtime_checkable
class HasEquations(Protocol):
    """A module that knows its closed form, such as a `SparseDictionary`."""

    def equations(self) -> Equations:
        """The closed form."""


def verify(
    found: Equations | HasEquations,
    model: nn.Module | None = None,
    *,
    points: Tensor | ArrayLike | None = None,
    targets: Tensor | ArrayLike | None = None,
    precision: int = 4,
    simulate: Simulate | None = None,
    starts: ArrayLike = (),
    times: ArrayLike = (),
    num_random: int = 1000,
    tolerance: float = 1e-12,
    seed: int = 0,
) -> Certificate:
    r"""Prove that what is printed is what is computed, and say how much each term and each digit is worth.

    Compared are, on random points and on data: the module in float64, the terms evaluated by NumPy, the module that the
    equations become, and, where SymPy is installed, the symbolic expressions with 30 digits. Differences are relative
    to the sum of the sizes of the terms and of the result, :math:`|y - \hat y| / (|y| + \sum_j |c_j \theta_j|)`. Then
    the equations at the printed precision are held against the full ones, trajectories from given starts against each
    other, and every term is left out once.

    Args:
        found: equations, or a module that has them.
        model: the module to hold them against, if it is not `found` itself; it is evaluated in float64, on a copy.
        points: data, shape `(num_points, num_inputs)`; random points are drawn from its range, otherwise from [-1, 1].
        targets: measured targets for the points, shape `(num_points, num_targets)`, for the error without each term.
        precision: significant digits of the printout.
        simulate: follows a right-hand side, for trajectories; then `starts` and `times` are needed.
        starts: initial states that were not used for fitting, shape `(num_starts, num_inputs)`.
        times: when trajectories are compared, shape `(num_times,)`.
        num_random: how many random points.
        tolerance: of the comparisons in float64.
        seed: of the random points.

    Returns:
        A certificate; print it. `certificate.passed` says whether all comparisons are within the tolerance.

    Raises:
        TypeError: if there are no equations to verify.
        ValueError: if shapes do not fit, or starts or times are missing.
        NonFiniteError: if points or targets are not finite, or a term is not defined on a data point.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> equations = Equations(("x'",), polynomial("x y", 1), [[0.0, -10.0, 10.0]])
        >>> verify(equations, equations.torch()).passed
        True
    """
    equations, module = _pair(found, model)
    data = _data(points, equations.inputs)
    measured = _measured(targets, data, equations)
    random = _random(data, len(equations.inputs), num_random, seed)
    trial = Trial(equations, module, tolerance, precision)
    checks = trial.agreement(random, "random points")
    if data is not None:
        equations.dictionary.evaluate(torch.from_numpy(data))
        checks += trial.agreement(data, "points of the data")
    used = random if data is None else data
    checks += [*trial.symbolic(used), trial.rounding(used)]
    if simulate is not None:
        first = _array(starts, "starts", len(equations.inputs))
        checks += trial.rollouts(simulate, first, np.asarray(times, dtype=np.float64))
    return Certificate(equations.text(precision), tuple(checks), ablations(equations, used, measured))


def _pair(found: Any, model: nn.Module | None) -> tuple[Equations, nn.Module | None]:
    if isinstance(found, Equations):
        return found, model
    if isinstance(found, HasEquations):
        return found.equations(), found if model is None and isinstance(found, nn.Module) else model
    raise TypeError(
        f"expected equations, or a module that has them, got {type(found).__name__}; give model.equations()"
    )


def _array(given: Tensor | ArrayLike, what: str, width: int) -> Array:
    values = np.asarray(given.detach().cpu().numpy() if isinstance(given, Tensor) else given, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != width or not len(values):
        raise ValueError(f"the {what} have shape {values.shape}, expected a row of {width} numbers for each sample")
    if not np.isfinite(values).all():
        raise NonFiniteError(f"the {what} hold {int((~np.isfinite(values)).sum())} numbers that are NaN or infinite")
    return values


def _data(points: Tensor | ArrayLike | None, inputs: Sequence[str]) -> Array | None:
    return None if points is None else _array(points, "points", len(inputs))


def _measured(targets: Tensor | ArrayLike | None, data: Array | None, equations: Equations) -> Array | None:
    if targets is None:
        return None
    values = _array(targets, "targets", len(equations.targets))
    if data is None or len(data) != len(values):
        raise ValueError(
            f"there are {len(values)} targets and {0 if data is None else len(data)} points; give one for each"
        )
    return values


def _random(data: Array | None, num_inputs: int, num: int, seed: int) -> Array:
    low = -np.ones(num_inputs) if data is None else data.min(0)
    high = np.ones(num_inputs) if data is None else data.max(0)
    return np.random.default_rng(seed).uniform(low, high, (num, num_inputs))
