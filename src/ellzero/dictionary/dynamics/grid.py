"""Measured fields on a periodic line, checked once."""

__all__ = ["Grid", "read_fields"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.dynamics.differences import is_regular
from ellzero.dictionary.dynamics.trajectories import read_times
from ellzero.dictionary.dynamics.weak import SMALLEST
from ellzero.dictionary.regression.samples import as_float64
from ellzero.errors import NonFiniteError

JUMP = 8.0
"""A step from the last point to the first that is so many times larger than any other is taken for an edge."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Fields and where they were measured.

    Attributes:
        fields: one for each run, shape `(samples, points)`.
        times: time stamps of each run, shape `(samples,)`.
        length: of the period.
    """

    fields: list[Tensor]
    times: list[Tensor]
    length: float


def read_fields(u: Any, t: Any, x: Any) -> Grid:
    """Check what was measured and put it into one form.

    Args:
        u: the field, shape `(samples, points)`, or a list of runs on the same grid.
        t: equally spaced time stamps or the step, or a list of such.
        x: equally spaced places of the points, shape `(points,)`; the period is one spacing longer than they are.

    Returns:
        The fields.

    Raises:
        ValueError: if shapes do not fit, stamps or places are irregular or too few, or a field does not vary, not in
            space either, or is not periodic.
        NonFiniteError: if a field holds NaN.
        TypeError: if something holds no real numbers.

    Example:
        >>> x = np.arange(32) / 32
        >>> read_fields(np.sin(2 * np.pi * (x - np.linspace(0, 1, 50)[:, None])), 0.02, x).length
        1.0
    """
    several = list(u) if isinstance(u, list | tuple) and np.ndim(u[0]) == 2 else [u]
    fields = [as_float64(one, f"u of run {index}").cpu().clone() for index, one in enumerate(several)]
    stamps = list(t) if isinstance(t, list | tuple) and len(t) == len(fields) and np.ndim(t[0]) else [t] * len(fields)
    places = _even(x, as_float64(x, "x").cpu())
    times = []
    for index, (field, stamp) in enumerate(zip(fields, stamps, strict=True)):
        if field.dim() != 2 or field.shape[1:] != places.shape:
            raise ValueError(
                f"u of run {index} has shape {tuple(field.shape)}, expected (samples, points) with one of the "
                f"{len(places)} places for each point"
            )
        if not bool(torch.isfinite(field).all()):
            raise NonFiniteError(f"u of run {index} holds NaN or infinite values; cut the run there")
        times.append(_even(stamp, read_times(stamp, len(field), index)))
    for name, marks in [("places", places), *((f"time stamps of run {i}", time) for i, time in enumerate(times))]:
        if len(marks) < 2 * SMALLEST + 2:
            raise ValueError(f"the {name} are {len(marks)}, expected at least {2 * SMALLEST + 2}; measure more of them")
        if not is_regular(marks):
            gaps = marks.diff()
            raise ValueError(
                f"the {name} must be equally spaced, got gaps from {float(gaps.min()):.6g} to {float(gaps.max()):.6g}; "
                "interpolate the field to equal gaps first"
            )
    for index, field in enumerate(fields):
        _check_variation(field, index)
    return Grid(fields, times, float(places.diff().mean()) * len(places))


def _even(given: Any, marks: Tensor) -> Tensor:
    """Marks that were equally spaced before they were rounded to single precision, as they were then."""
    kind = given.dtype if isinstance(given, Tensor) else np.asarray(given).dtype
    if kind not in (torch.float32, np.dtype(np.float32)) or marks.dim() != 1 or len(marks) < 2:
        return marks
    even = torch.linspace(float(marks[0]), float(marks[-1]), len(marks), dtype=marks.dtype)
    rounding = torch.finfo(torch.float32).eps * float(marks.abs().max())
    return even if float((marks - even).abs().max()) <= 2 * rounding < 0.01 * float(even[1] - even[0]) else marks


def _check_variation(field: Tensor, index: int) -> None:
    """Refuse fields that say nothing, and fields whose two ends do not belong together."""
    if float(field.max() - field.min()) <= 1e-12 * float(field.abs().max()):
        raise ValueError(
            f"u of run {index} is the same everywhere and always; a field that does not vary has no equation"
        )
    if float((field.amax(1) - field.amin(1)).max()) <= 1e-9 * float(field.abs().max()):
        raise ValueError(
            f"u of run {index} is the same at all places, so that its derivatives in space are rounding errors; fit "
            "one place with Dynamics instead"
        )
    steps = torch.cat([field, field[:, :1]], 1).diff(dim=1)  # the last one leads back to the first point
    sizes = steps.square().mean(0).sqrt()
    largest = float(sizes[:-1].max())
    along = float((steps[:, 0] * steps[:, -2]).mean())  # positive where the slope goes on across the ends
    beside = min(float(sizes[0]), float(sizes[-2]))
    if float(sizes[-1]) < 1e-6 * beside and beside > 1e-3 * largest and along > 0:
        raise ValueError(
            f"the last point of run {index} repeats the first; a period holds it once: pass u[:, :-1] and x[:-1]"
        )
    if float(sizes[-1]) > JUMP * largest:
        raise ValueError(
            f"u of run {index} jumps by {float(sizes[-1]):.3g} from the last point to the first, and by {largest:.3g} "
            "at most between neighbours: it is not periodic; measure a whole period, or continue it as its mirror image"
        )
