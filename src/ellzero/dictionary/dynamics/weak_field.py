"""The weak form in space and time of equations for a field on a periodic line."""

__all__ = ["FieldSystem", "FieldWindows", "field_system", "field_windows", "reach"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.dynamics.by_parts import Part, by_parts
from ellzero.dictionary.dynamics.fields import space_derivatives
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.term import Term

SPARE = 4
"""Derivatives beyond the highest needed that a test function keeps continuous."""


@dataclass(frozen=True, slots=True)
class FieldWindows:
    """Products of bumps in time and in space, as quadratures.

    Attributes:
        time: the bump, shape `(time windows, samples)`.
        time_slope: minus its derivative, of the same shape.
        space: derivative of each order, with its sign, shape `(orders, space windows, points)`.
    """

    time: Tensor
    time_slope: Tensor
    space: Tensor

    @property
    def count(self) -> int:
        """Windows in all."""
        return len(self.time) * self.space.shape[1]

    def average(self, values: Tensor, order: int) -> Tensor:
        """Integrals of a derivative in space of values of shape `(samples, points)`, shape `(windows,)`."""
        return (self.time @ values @ self.space[order].T).flatten()

    def rate(self, field: Tensor) -> Tensor:
        """Integrals of the time derivative of a field, shape `(windows,)`."""
        return (self.time_slope @ field @ self.space[0].T).flatten()


@dataclass(frozen=True, slots=True)
class _Column:
    """A term as derivatives of values: numbers, orders, values on the grid and their change with u."""

    parts: Sequence[tuple[float, int, Tensor, Tensor | None]]


@dataclass(frozen=True, slots=True)
class FieldSystem:
    """The linear system of one run.

    Attributes:
        windows: the test functions.
        columns: the terms.
        features: shape `(windows, terms)`.
        target: shape `(windows,)`.
    """

    windows: FieldWindows
    columns: Sequence[_Column]
    features: Tensor
    target: Tensor

    def covariance(self, coefficients: Tensor | None, noise: float) -> Tensor:
        """Covariance of the residuals under white noise on the field, which windows share and terms amplify.

        Args:
            coefficients: present estimate, shape `(terms,)`; None leaves out the noise in the terms.
            noise: standard deviation.

        Returns:
            Shape `(windows, windows)`.
        """
        windows = self.windows
        orders, wide, points = windows.space.shape
        samples = windows.time.shape[1]
        weight = torch.zeros(orders, samples, points, dtype=self.target.dtype)
        for column, coefficient in zip(self.columns, [] if coefficients is None else coefficients, strict=False):
            for factor, order, _, change in column.parts:
                if change is not None and coefficient:
                    weight[order] += coefficient * factor * change
        found = torch.zeros(len(windows.time), wide, len(windows.time), wide, dtype=self.target.dtype)
        for sample in range(samples):
            active = (windows.time[:, sample] != 0).nonzero()[:, 0]
            inner = (windows.space * weight[:, sample, None]).sum(0)  # (space windows, points)
            rows = (
                windows.time_slope[active, sample, None, None] * windows.space[0]
                - windows.time[active, sample, None, None] * inner
            ).flatten(0, 1)
            gram = (rows @ rows.T).reshape(len(active), wide, len(active), wide)
            for one, row in enumerate(active.tolist()):
                found[row][:, active] += gram[one]
        return noise**2 * found.reshape(windows.count, windows.count)


def field_windows(
    times: Tensor, points: int, length: float, radii: tuple[int, int], order: int, *, most: int = 1200
) -> FieldWindows:
    """Overlapping windows that cover a run.

    Args:
        times: equally spaced, shape `(samples,)`.
        points: of the grid.
        length: of the period.
        radii: half widths in samples and in points.
        order: highest derivative in space that will be needed.
        most: about how many windows to make.

    Returns:
        The windows.
    """
    samples, step = len(times), float(times[1] - times[0])
    places = samples - 2 * radii[0]
    shrink = max(1.0, math.sqrt(places / (radii[0] / 3) * points / (radii[1] / 3) / most))
    first = torch.linspace(0, places - 1, max(2, round(places / (radii[0] / 3) / shrink))).round().long().unique()
    offset = np.arange(-radii[0], radii[0] + 1)
    bump = _bumps(offset / radii[0], radii[0] * step, 1, order)
    time, slope = torch.zeros(2, len(first), samples, dtype=times.dtype)
    index = first[:, None] + torch.arange(len(offset))
    time.scatter_(1, index, bump[0].expand(len(first), -1) * step)
    slope.scatter_(1, index, -bump[1].expand(len(first), -1) * step)
    spacing = length / points
    wide = max(4, round(points / (radii[1] / 3) / shrink))
    centre = (torch.arange(wide) * points / wide).round().long()
    offset = np.arange(-radii[1], radii[1] + 1)
    bumps = _bumps(offset / radii[1], radii[1] * spacing, order, order)
    index = (centre[:, None] + torch.from_numpy(offset)) % points
    space = torch.zeros(order + 1, wide, points, dtype=times.dtype)
    for number, values in enumerate(bumps):
        space[number].scatter_(1, index, (-1) ** number * values.expand(wide, -1) * spacing)
    return FieldWindows(time, slope, space)


def field_system(field: Tensor, length: float, dictionary: Dictionary, windows: FieldWindows) -> FieldSystem:
    """Average the equation over windows; derivatives move to the test functions where they can.

    Args:
        field: shape `(samples, points)`.
        length: of the period.
        dictionary: terms of u, u_x, u_xx, ...
        windows: the test functions.

    Returns:
        The system.
    """
    grid = space_derivatives(field, length, len(dictionary.inputs) - 1)
    columns = [_column(term, dictionary, grid) for term in dictionary.terms]
    features = []
    for column in columns:
        averages = [factor * windows.average(values, order) for factor, order, values, _ in column.parts]
        features.append(torch.stack(averages).sum(0))
    return FieldSystem(windows, columns, torch.stack(features, 1), windows.rate(field))


def reach(dictionary: Dictionary) -> int:
    """Highest derivative that moves to a test function."""
    orders = [part.order for term in dictionary.terms for part in _parts(term, dictionary.inputs)]
    return max([0, *orders])


def _parts(term: Term, inputs: Sequence[str]) -> list[Part]:
    """A term by parts, if it is a product of derivatives."""
    powers = [0] * len(inputs)
    for factor in term.factors:
        if not factor.is_input or factor.power < 0:
            return []
        powers[inputs.index(factor.inner.name)] += factor.power
    return by_parts(tuple(powers))


def _column(term: Term, dictionary: Dictionary, grid: Tensor) -> _Column:
    parts = _parts(term, dictionary.inputs)
    if not parts:
        return _Column([(1.0, 0, dictionary.select([dictionary.terms.index(term)])(grid)[..., 0], None)])
    return _Column([(part.factor, part.order, *_product(part.powers, grid)) for part in parts])


def _product(powers: Sequence[int], grid: Tensor) -> tuple[Tensor, Tensor]:
    """A product of derivatives on the grid, and its change with u itself."""
    values = torch.ones_like(grid[..., 0])
    for index, power in enumerate(powers):
        values = values * grid[..., index] ** power
    own = powers[0] if powers else 0
    rest = torch.ones_like(values)
    for index, power in enumerate(powers[1:], start=1):
        rest = rest * grid[..., index] ** power
    change = own * grid[..., 0] ** (own - 1) * rest if own else torch.zeros_like(values)
    return values, change


def _bumps(position: np.ndarray, half: float, order: int, highest: int) -> Tensor:
    """(1 - s^2)^p and its derivatives, shape `(order + 1, positions)`; p leaves the highest one smooth."""
    power = highest + SPARE + 2
    bump = np.polynomial.Polynomial([1, 0, -1]) ** power
    rows = [bump.deriv(number)(position) / half**number if number else bump(position) for number in range(order + 1)]
    return torch.from_numpy(np.stack(rows))
