"""`FieldDynamics`: partial differential equations from measured fields on a periodic line."""

__all__ = ["FieldDynamics"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ellzero.dictionary.dynamics.coupled import search_support
from ellzero.dictionary.dynamics.estimate import price
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.field_rows import points_of, windows_of
from ellzero.dictionary.dynamics.field_support import settled, settled_on_few
from ellzero.dictionary.dynamics.fields import derivative_names, evolve, space_derivatives
from ellzero.dictionary.dynamics.grid import Grid, read_fields
from ellzero.dictionary.dynamics.inputs import check_limit, check_resolution, limit_of
from ellzero.dictionary.dynamics.regress import strong_evidence
from ellzero.dictionary.dynamics.scores import r2_score
from ellzero.dictionary.dynamics.trajectories import read_times
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.regression.bootstraps import bootstrap
from ellzero.dictionary.regression.options import whole
from ellzero.dictionary.regression.samples import as_float64
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.libraries import identity, polynomial
from ellzero.errors import nearest

Array = NDArray[np.float64]

BLOCK = 8
"""Neighbouring windows or points that a bootstrap draws together."""


@final
class FieldDynamics:
    r"""Sparse equations for a field on a periodic line.

    .. math:: u_t = \sum_j \xi_j \theta_j(u, u_x, u_{xx}, \ldots)

    In the weak form the equation is averaged over windows in space and time, and derivatives are moved to the test
    functions: :math:`u u_x` becomes :math:`-\int \phi_x u^2 / 2`. What cannot be moved is computed from the Fourier
    series. The covariance of the windows' residuals is followed, through the terms as well.

    Args:
        terms: number of terms, 0 or more, or None to let the data decide.
        dictionary: a `Dictionary` of u, u_x, ..., or a function that makes one from these names; None takes powers of
            u up to the second times derivatives up to `derivatives`, and powers of u up to the third.
        derivatives: highest derivative in space.
        differentiation: "weak", or "finite", "smoothed", "spectral" for the derivative in time.
        criterion: "ebic", "bic" or "aic": the price of a term when `terms` is None.
        resolution: error that the data are believed to have at least, as a share of the spread of the field.

    Raises:
        ValueError: if an option is not known or out of range.
        TypeError: if `derivatives` or `terms` is no whole number.

    Source:
        Messenger & Bortz (2021), https://doi.org/10.1016/j.jcp.2021.110525

    Example:
        >>> x = np.arange(64) * 2 * np.pi / 64
        >>> t = np.linspace(0, 1, 101)
        >>> heat = sum(np.exp(-0.1 * k**2 * t[:, None]) * np.sin(k * x + k) for k in range(1, 6))
        >>> FieldDynamics(derivatives=2).fit(heat, t, x).print()
        u_t = 0.1 u_xx
    """

    def __init__(
        self,
        terms: int | None = None,
        dictionary: Dictionary | Callable[[Sequence[str]], Dictionary] | None = None,
        *,
        derivatives: int = 4,
        differentiation: str = "weak",
        criterion: str = "ebic",
        resolution: float = 1e-4,
    ) -> None:
        known = ("weak", "finite", "smoothed", "spectral")
        if differentiation not in known:
            raise ValueError(f"the differentiation {differentiation!r} is not known{nearest(differentiation, known)}")
        check_resolution(resolution)
        names = derivative_names(whole(derivatives, "derivatives", least=1, most=8))
        made = dictionary if isinstance(dictionary, Dictionary) else (dictionary or _candidates)(names)
        if made.inputs != names[: len(made.inputs)]:
            raise ValueError(f"the dictionary must be made for {', '.join(names)}; its inputs are {made.inputs}")
        price(1, 1, criterion)  # refuses what is not known
        self.dictionary, self.limit = made, limit_of(terms)
        check_limit(self.limit, 1, len(made))
        self.differentiation, self.criterion, self.resolution = differentiation, criterion, resolution
        self._found: _Found | None = None

    def fit(self, u: Any, t: Any, x: Any) -> Self:
        """Find the equation.

        Args:
            u: the field, shape `(samples, points)`, or a list of runs on the same grid.
            t: equally spaced time stamps or the step, or a list of such.
            x: equally spaced places of the points, shape `(points,)`; the period is one spacing longer than they are.

        Returns:
            This model.

        Raises:
            ValueError: if shapes do not fit, stamps or places are irregular, the run is too short, or the field does
                not vary or is not periodic.
            NonFiniteError: if the field holds NaN or a term overflows.
        """
        grid = self._read(u, t, x)
        self._found = self._from_windows(grid) if self.differentiation == "weak" else self._from_points(grid)
        return self

    def _read(self, u: Any, t: Any, x: Any) -> Grid:
        grid = read_fields(u, t, x)
        for field in grid.fields:
            self.dictionary.evaluate(space_derivatives(field, grid.length, len(self.dictionary.inputs) - 1))
        return grid

    def _from_windows(self, grid: Grid) -> "_Found":
        systems, noise = windows_of(grid, self.dictionary, self.resolution)
        rows = sum(len(system.target) for system in systems)
        cost = price(rows, len(self.dictionary), self.criterion)
        found = settled(systems, noise, resolution=self.resolution, limit=self.limit, penalty=cost)
        if not self.limit.is_given:
            found = settled_on_few(found, systems, noise, resolution=self.resolution, penalty=cost)
        return _Found(found.evidence, found.coefficients, grid, found.rows)

    def _from_points(self, grid: Grid) -> "_Found":
        features, rates = points_of(grid, self.dictionary, self.differentiation)
        evidence, (points,) = strong_evidence(features, rates[:, None], self.resolution)
        cost, nothing = price(len(rates), len(self.dictionary), self.criterion), torch.zeros(0, dtype=torch.long)
        support = search_support(evidence, nothing, penalty=cost, limit=self.limit)
        return _Found(evidence, evidence.refit(support), grid, points)

    def coefficients(self) -> Array:
        """Shape `(1, terms)`."""
        return self._fitted().coefficients[None].numpy().copy()

    def standard_errors(self) -> Array:
        """Standard deviations of the coefficients given the support, shape `(1, terms)`."""
        found = self._fitted()
        return found.evidence.standard_errors(found.coefficients.nonzero()[:, 0])[None].numpy()

    def inclusion_probabilities(self, num_bootstraps: int = 100, *, seed: int = 0) -> Array:
        """How often each term is chosen when windows (or points) are drawn anew, in blocks, with replacement.

        Args:
            num_bootstraps: draws.
            seed: of the draws.

        Returns:
            Shape `(1, terms)`, in [0, 1]; the number of terms is that of the equation.
        """
        found = self._fitted()
        count = int((found.coefficients != 0).sum())
        if not count:
            return np.zeros((1, len(self.dictionary)))
        drawn = bootstrap(*found.rows, count, num=num_bootstraps, block=BLOCK, seed=seed)
        return drawn.inclusion_probability[None].numpy()

    def score(self, u: Any, t: Any, x: Any) -> float:
        """Share of the variance of the time derivative that the equation explains.

        Args:
            u: a field on any grid, or a list, as in `fit`.
            t: time stamps.
            x: places.

        Returns:
            R squared of averages over windows, or of derivatives at the points, as in the fit.

        Raises:
            ValueError: as `fit`.
        """
        coefficients, grid = self._fitted().coefficients, self._read(u, t, x)
        if self.differentiation == "weak":
            systems, _ = windows_of(grid, self.dictionary, self.resolution)
            features, rates = (torch.cat(part) for part in zip(*((s.features, s.target) for s in systems), strict=True))
        else:
            features, rates = points_of(grid, self.dictionary, self.differentiation)
        return r2_score(rates[:, None], (features @ coefficients)[:, None])

    def equations(self) -> Equations:
        """The equation as plain data."""
        return Equations(("u_t",), self.dictionary, self.coefficients())

    def print(self, precision: int = 3) -> None:
        """Print the equation with so many significant digits."""
        print(self.equations().text(precision))

    def simulate(self, u0: Any, t: Any, *, step: float | None = None) -> Array:
        """Follow the equation from a field on the grid of the fit.

        Args:
            u0: shape `(points,)` or `(runs, points)`.
            t: time stamps, shape `(samples,)`.
            step: longest step in time; by default a fifth of the smallest gap.

        Returns:
            Shape `(samples, points)` or `(runs, samples, points)`.

        Raises:
            ValueError: if the field has another number of points; `evolve` follows fields on other grids.
            NonFiniteError: if the field leaves the finite numbers.
        """
        coefficients, grid = self._fitted().coefficients, self._fitted().grid
        start, times = as_float64(u0, "u0").cpu(), read_times(t, len(t))
        points = grid.fields[0].shape[1]
        if start.dim() not in (1, 2) or start.shape[-1] != points:
            raise ValueError(
                f"u0 must have shape ({points},) or (runs, {points}), as the grid of the fit, got {tuple(start.shape)}"
            )
        longest = float(times.diff().min()) / 5 if step is None else step
        return evolve(self.dictionary, coefficients, start, times, grid.length, step=longest).numpy()

    def _fitted(self) -> "_Found":
        if self._found is None:
            raise ValueError("the model has no equation yet; call fit(u, t, x) first")
        return self._found


@dataclass(frozen=True, slots=True)
class _Found:
    """What a fit found: evidence, coefficients `(terms,)`, the grid, whitened features and target of the windows."""

    evidence: Evidence
    coefficients: Tensor
    grid: Grid
    rows: tuple[Tensor, Tensor]


def _candidates(names: Sequence[str]) -> Dictionary:
    """Powers of u up to the second times derivatives, and powers of u up to the third."""
    powers = polynomial(tuple(names), 2, only=[names[0]])
    slopes = identity(tuple(names)).select(list(names[1:]))
    return polynomial(tuple(names), 3, only=[names[0]]) + powers * slopes
