"""The linear systems of measured fields: averages over windows, or derivatives at the points."""

__all__ = ["points_of", "windows_of"]

import math

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.differences import differentiate
from ellzero.dictionary.dynamics.fields import space_derivatives
from ellzero.dictionary.dynamics.grid import Grid
from ellzero.dictionary.dynamics.noise_level import noise_level
from ellzero.dictionary.dynamics.trajectories import Trajectory
from ellzero.dictionary.dynamics.weak import choose_radius
from ellzero.dictionary.dynamics.weak_field import FieldSystem, field_system, field_windows, reach
from ellzero.dictionary.terms.dictionary import Dictionary

POINTS_PER_ORDER = 6
"""Half width in points that a window in space has at least, for each derivative that moves to its test function."""

DECAY = 2.0
"""As in `weak.choose_radius`; derivatives on the test functions favour narrower windows than there."""


def windows_of(grid: Grid, dictionary: Dictionary, resolution: float) -> tuple[list[FieldSystem], float]:
    """The equation averaged over windows in space and time.

    Args:
        grid: the fields.
        dictionary: terms of u, u_x, u_xx, ...
        resolution: error that the data are believed to have at least, as a share of the spread of the field.

    Returns:
        One system for each run, and the noise of the field.
    """
    noise = max(_noise(grid), resolution * float(torch.cat(grid.fields).std()))
    order = reach(dictionary)
    radii = _radii(grid, noise, order)
    systems = []
    for field, time in zip(grid.fields, grid.times, strict=True):
        windows = field_windows(time, field.shape[1], grid.length, radii, order)
        systems.append(field_system(field, grid.length, dictionary, windows))
    return systems, noise


def points_of(grid: Grid, dictionary: Dictionary, method: str) -> tuple[Tensor, Tensor]:
    """The equation at all points of all runs.

    Args:
        grid: the fields.
        dictionary: terms of u, u_x, u_xx, ...
        method: of the derivative in time, as for `differentiate`.

    Returns:
        Terms, shape `(samples, terms)`, and time derivatives, shape `(samples,)`.
    """
    order = len(dictionary.inputs) - 1
    features = [dictionary(space_derivatives(one, grid.length, order)).flatten(0, 1) for one in grid.fields]
    pairs = zip(grid.fields, grid.times, strict=True)
    rates = [differentiate(field, time, method).flatten() for field, time in pairs]
    return torch.cat(features), torch.cat(rates)


def _noise(grid: Grid) -> float:
    """Noise of the field: the smaller of what samples in time and points in space say."""
    found = [min(float(noise_level(f).square().mean()), float(noise_level(f.T).square().mean())) for f in grid.fields]
    return math.sqrt(sum(found) / len(found))


def _radii(grid: Grid, noise: float, order: int) -> tuple[int, int]:
    """Half widths of the windows in samples and in points, from the spectra; high derivatives need wide windows."""
    found = []
    for field, time in zip(grid.fields, grid.times, strict=True):
        pair = []
        for table in (field, field.T):
            marks = time if table is field else torch.arange(len(table), dtype=time.dtype)
            level = torch.full((table.shape[1],), noise, dtype=table.dtype)
            pair.append(choose_radius(Trajectory(marks, table, table[:, :0]), level, decay=DECAY))
        found.append(pair)
    points = grid.fields[0].shape[1]
    least = min(POINTS_PER_ORDER * order, points // 4)
    return min(pair[0] for pair in found), max(least, min(pair[1] for pair in found))
