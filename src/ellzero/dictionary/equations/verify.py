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
from ellzero.dictionary.equations.probes import probing_points
from ellzero.dictionary.equations.trials import Simulate, Trial
from ellzero.dictionary.equations.worth import ablations, fits, rounding
from ellzero.errors import NonFiniteError

Array = NDArray[np.float64]

_PROBED = 4000
"""About how many of the data points single terms and coefficients are looked at."""


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
    rounding_limit: float = 1e-2,
    seed: int = 0,
) -> Certificate:
    r"""Prove that what is printed is what is computed, and say how much each term and each digit is worth.

    Compared are, in float64, on random points and on data:

    - the terms evaluated by NumPy with the module, with the module that the equations become, and, where SymPy is
      installed, the symbolic expressions with 30 digits with the module; relative to what is added up and to what
      rounded inputs change, at most `tolerance`:
      :math:`|y - \hat y| / (|y| + |b| + |s| \sum_j |c_j \theta_j| + \sum_k |x_k \partial y / \partial x_k|)`;
    - each term by itself, NumPy with PyTorch, relative to its own size, at most `tolerance`;
    - each coefficient by itself. Those of a `SparseDictionary` or a closed form are read off. Those of every module are
      probed at the points where their terms have the largest share:
      :math:`|y - \hat y| / |s f'(z)\, c_j \theta_j|` is at most `tolerance`, or what float64 can show there (a constant
      of 1e12 hides 1e-2 of what stands beside it). Where that is less than the printed digits and the coefficients
      cannot be read, the certificate fails and says which term is hidden;
    - the equations as printed with the full ones: root mean square error over standard deviation, at most
      `rounding_limit`;
    - measured targets: the share of the variance that is left, at most 1.

    Trajectories from given starts have no limit, for they part in chaos however good the equations are. Every term is
    left out once, which has no limit either.

    Args:
        found: equations, or a module that has them.
        model: the module to hold them against, if it is not `found` itself; it is evaluated in float64, on a copy.
        points: data, shape `(num_points, num_inputs)`; random points are drawn from its range, otherwise from [-1, 1].
        targets: measured targets for the points, shape `(num_points, num_targets)`, for R squared and the error
            without each term.
        precision: significant digits of the printout.
        simulate: follows a right-hand side, for trajectories; then `starts` and `times` are needed.
        starts: initial states that were not used for fitting, shape `(num_starts, num_inputs)`.
        times: when trajectories are compared, shape `(num_times,)`.
        num_random: how many random points.
        tolerance: of the comparisons in float64.
        rounding_limit: most that the printed digits may change a target, as a share of its standard deviation.
        seed: of the random points.

    Returns:
        A certificate; print it. `certificate.passed` says whether all comparisons are within their limits, `missing`
        what was not compared because nothing was given.

    Raises:
        TypeError: if there are no equations to verify.
        ValueError: if shapes do not fit, a limit is not positive, or starts or times are missing.
        NonFiniteError: if points or targets are not finite, or a term is not defined on a data point.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> equations = Equations(("x'",), polynomial("x y", 1), [[0.0, -10.0, 10.0]])
        >>> verify(equations, equations.torch()).passed
        True
    """
    equations, module = _pair(found, model)
    _check_limits(tolerance, rounding_limit, num_random)
    data = _data(points, equations.inputs)
    measured = _measured(targets, data, equations)
    low, high = _range(data, len(equations.inputs))
    random = np.random.default_rng(seed).uniform(low, high, (num_random, len(low)))
    trial = Trial(equations, module, tolerance, precision)
    checks = trial.agreement(random, "random points")
    if data is not None:
        equations.dictionary.evaluate(torch.from_numpy(data))
        checks += trial.agreement(data, "points of the data")
    used = random if data is None else data
    some = used[:: max(1, len(used) // _PROBED)]
    sizes = probing_points(low, high, num_random, can_leave=data is None, seed=seed)
    checks += [trial.terms(some, "points"), *trial.coefficients(np.concatenate([some, random, sizes]))]
    checks += [*trial.symbolic(used), rounding(equations, used, precision, rounding_limit)]
    if data is not None and measured is not None:
        checks += fits(equations, data, measured)
    if simulate is not None:
        first = _array(starts, "starts", len(equations.inputs))
        checks += trial.rollouts(simulate, first, np.asarray(times, dtype=np.float64))
    given = {"a module (none given)": module, "data (no points given)": data, "the fit (no targets given)": measured}
    missing = tuple(name for name, one in given.items() if one is None)
    return Certificate(equations.text(precision), tuple(checks), ablations(equations, used, measured), missing)


def _check_limits(tolerance: float, rounding_limit: float, num_random: int) -> None:
    for name, value in (("tolerance", tolerance), ("rounding_limit", rounding_limit)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}; leave it out for the default")
    if num_random < 1:
        raise ValueError(f"num_random must be a number of points from 1 on, got {num_random}; try 1000")


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


def _range(data: Array | None, num_inputs: int) -> tuple[Array, Array]:
    """Where random points are drawn from."""
    if data is None:
        return -np.ones(num_inputs), np.ones(num_inputs)
    return data.min(0), data.max(0)
