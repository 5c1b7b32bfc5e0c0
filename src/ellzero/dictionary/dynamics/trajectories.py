"""Measured trajectories, checked once: states, time stamps, controls and perhaps derivatives."""

__all__ = ["Trajectory", "read_times", "read_trajectories", "split", "split_at_gaps"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.regression.samples import as_float64
from ellzero.errors import NonFiniteError


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One run of a system, float64.

    Attributes:
        time: increasing time stamps, shape `(samples,)`.
        states: shape `(samples, states)`.
        controls: control inputs and then parameters, shape `(samples, controls)`; no columns if there are none.
        rates: measured time derivatives (of a map: next states), shape `(samples, states)`, or None.
    """

    time: Tensor
    states: Tensor
    controls: Tensor
    rates: Tensor | None = None

    @property
    def inputs(self) -> Tensor:
        """What a dictionary sees: states, then controls, shape `(samples, states + controls)`."""
        return torch.cat([self.states, self.controls], 1)

    @property
    def lengths(self) -> Tensor:
        """Time from each sample to the next, shape `(samples - 1,)`."""
        return self.time.diff()

    def part(self, first: int, end: int) -> "Trajectory":
        """The samples from `first` up to but not including `end`."""
        rates = None if self.rates is None else self.rates[first:end]
        return Trajectory(self.time[first:end], self.states[first:end], self.controls[first:end], rates)

    def at(self, states: Tensor) -> "Trajectory":
        """The same run with other states."""
        return replace(self, states=states)


def read_trajectories(
    x: Any, t: Any = None, x_dot: Any = None, u: Any = None, parameters: Any = None, *, need_time: bool = True
) -> list[Trajectory]:
    """Check what was measured and put it into one form.

    Args:
        x: one trajectory of shape `(samples, states)` (or `(samples,)` for one state), or a list of them.
        t: the time between samples, or time stamps of shape `(samples,)`, or a list of such stamps.
        x_dot: measured derivatives, of the shape of `x`.
        u: control inputs, shape `(samples, controls)` or `(samples,)`, or a list of them.
        parameters: numbers that are constant within a trajectory, shape `(parameters,)`, or a list of such.
        need_time: False for discrete maps, whose samples are counted.

    Returns:
        The trajectories; all have the same number of states and controls.

    Raises:
        ValueError: if shapes do not fit, time stamps do not increase or are missing.
        NonFiniteError: if a value is NaN or infinite.
        TypeError: if something holds no real numbers.

    Example:
        >>> (one,) = read_trajectories([[0.0], [1.0], [4.0]], t=0.5)
        >>> one.time
        tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    states = [_table(one, f"x of trajectory {index}") for index, one in enumerate(_several(x, table=2))]
    count = len(states)
    if len({one.shape[1] for one in states}) > 1:
        raise ValueError(f"all trajectories need the same states, got {[one.shape[1] for one in states]} columns")
    stamps = zip(_times(t, count, need_time), states, strict=True)
    times = [read_times(one, len(data), index) for index, (one, data) in enumerate(stamps)]
    rates = _matching(x_dot, states, "x_dot", same_columns=True)
    controls = _matching(u, states, "u")
    constants = _constants(parameters, states)
    empty = [one[:, :0] for one in states]
    unknown: list[Tensor | None] = [None] * count
    return [
        Trajectory(time, one, torch.cat([control, constant], 1), rate)
        for time, one, control, constant, rate in zip(
            times, states, controls or empty, constants or empty, rates or unknown, strict=True
        )
    ]


def read_times(t: Any, samples: int, index: int = 0) -> Tensor:
    """Time stamps of one trajectory from a step or from stamps."""
    stamps = as_float64(t, "t").cpu().clone()
    if stamps.dim() == 0:
        if not (torch.isfinite(stamps) and stamps > 0):
            raise ValueError(f"the time between samples must be positive and finite, got {float(stamps)}")
        return stamps * torch.arange(samples, dtype=torch.float64)
    if stamps.shape != (samples,):
        raise ValueError(
            f"trajectory {index} has {samples} samples but t has shape {tuple(stamps.shape)}; give one time per sample"
        )
    if bool(stamps.isinf().any()):
        raise NonFiniteError(f"the time stamps of trajectory {index} hold infinity; leave that sample out")
    if not bool((stamps.diff() > 0).all()):
        worst = int((~(stamps.diff() > 0)).nonzero()[0])
        raise ValueError(
            f"the time stamps of trajectory {index} must increase, but stamp {worst + 1} ({float(stamps[worst + 1])}) "
            f"follows {float(stamps[worst])}; sort the samples and remove repeated ones"
        )
    return stamps


def split(trajectory: Trajectory, longest: int) -> list[Trajectory]:
    """Cut a long run into pieces of nearly equal length.

    Args:
        trajectory: any run.
        longest: samples that a piece may have.

    Returns:
        The pieces in order; one if the run is short enough.
    """
    samples = len(trajectory.time)
    pieces = -(-samples // longest)
    marks = [round(samples * piece / pieces) for piece in range(pieces + 1)]
    return [trajectory.part(first, end) for first, end in pairwise(marks)]


def split_at_gaps(trajectory: Trajectory, *, least: int = 20) -> list[Trajectory]:
    """Cut a run where nothing was measured for long: no derivative or window reaches across.

    Args:
        trajectory: any run.
        least: samples that each piece must have; otherwise the run stays whole.

    Returns:
        The pieces in order; a gap is 20 times the usual length, and 10 times that of its neighbours.
    """
    lengths = trajectory.lengths
    if len(lengths) < 2 * least:
        return [trajectory]
    beside = torch.maximum(torch.cat([lengths[:1], lengths[:-1]]), torch.cat([lengths[1:], lengths[-1:]]))
    is_gap = (lengths > 20 * lengths.median()) & (lengths > 10 * beside)
    marks = [0, *(is_gap.nonzero()[:, 0] + 1).tolist(), len(trajectory.time)]
    if min(end - first for first, end in pairwise(marks)) < least:
        return [trajectory]
    return [trajectory.part(first, end) for first, end in pairwise(marks)]


def _several(values: Any, *, table: int) -> list[Any]:
    """A list of trajectories; a single one is wrapped."""
    if isinstance(values, list | tuple) and len(values) and np.ndim(values[0]) >= table:
        return list(values)
    if isinstance(values, list | tuple) and len(values) and isinstance(values[0], np.ndarray | Tensor):
        return list(values)
    return [values]


def _table(values: Any, name: str) -> Tensor:
    array = as_float64(values, name).cpu().numpy()
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[0] == 0:
        more = "; give several trajectories as a list" if array.ndim == 3 else ""
        raise ValueError(f"{name} must have shape (samples, columns), got {array.shape}{more}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise NonFiniteError(
            f"{name} holds {array[row, column]} in row {row}, column {column}; cut the trajectory there and pass the "
            "pieces as a list, or fill the gap"
        )
    return torch.from_numpy(array.copy())


def _times(t: Any, count: int, need_time: bool) -> Sequence[Any]:
    if t is None:
        if need_time:
            raise ValueError("a continuous system needs times: pass t=0.01 (the step) or one time stamp per sample")
        return [1.0] * count
    if isinstance(t, list | tuple) and len(t) == count and np.ndim(t[0]) == 1:
        return t
    if count > 1 and np.ndim(t) == 1 and len(t) == count and not isinstance(t, np.ndarray):
        return t
    return [t] * count


def _matching(values: Any, states: list[Tensor], name: str, *, same_columns: bool = False) -> list[Tensor] | None:
    """Tables that go with the trajectories, sample by sample."""
    if values is None:
        return None
    found = [_table(one, f"{name} of trajectory {index}") for index, one in enumerate(_several(values, table=2))]
    if len(found) != len(states):
        raise ValueError(f"there are {len(states)} trajectories but {len(found)} entries in {name}; give one for each")
    for index, (one, data) in enumerate(zip(found, states, strict=True)):
        expected = tuple(data.shape) if same_columns else (len(data), one.shape[1])
        if tuple(one.shape) != expected:
            raise ValueError(f"{name} of trajectory {index} has shape {tuple(one.shape)}, expected {expected}, as x")
    if len({one.shape[1] for one in found}) > 1:
        raise ValueError(f"all trajectories need the same number of columns in {name}")
    return found


def _constants(parameters: Any, states: list[Tensor]) -> list[Tensor] | None:
    """Parameters, repeated for every sample of their trajectory."""
    if parameters is None:
        return None
    rows = as_float64(parameters, "parameters").cpu().numpy()
    if rows.ndim < 2:
        rows = rows.reshape(1, -1) if len(states) == 1 else rows.reshape(-1, 1)
    if rows.ndim != 2 or len(rows) != len(states):
        raise ValueError(
            f"parameters need one row per trajectory ({len(states)}), got shape {np.shape(parameters)}; parameters "
            "that change in time are controls: pass them as u"
        )
    if not np.isfinite(rows).all():
        raise NonFiniteError("a parameter is NaN or infinite; give finite numbers")
    return [torch.from_numpy(row).expand(len(data), -1) for row, data in zip(rows, states, strict=True)]
