"""Follow equations in time: one start with SciPy's integrators, many starts at once in torch, maps by repetition."""

__all__ = ["integrate", "integrate_many", "iterate"]

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.dynamics.flow import ERROR, NODES, STAGES, WEIGHTS
from ellzero.errors import MissingExtraError, NonFiniteError

Rates = Callable[[float, Tensor], Tensor]
"""Time and states, shape `(..., states)`, to time derivatives of the same shape."""

STALLED = 2_000

PATIENCE, MOST_STEPS, PER_SAMPLE = 500, 100_000, 200
"""The pace is looked at every 500 steps; so many may be needed in all, or so many for each sample if that is more."""


def integrate(rates: Rates, start: Tensor, times: Tensor, *, method: str = "LSODA", **options: Any) -> Tensor:
    """One trajectory with `scipy.integrate.solve_ivp`.

    Args:
        rates: the equations.
        start: shape `(states,)`.
        times: increasing, shape `(samples,)`; the start holds at the first.
        method: LSODA, RK45, DOP853, Radau, BDF or another that SciPy knows.
        options: passed on, such as `rtol` and `atol`.

    Returns:
        States, shape `(samples, states)`.

    Raises:
        MissingExtraError: if SciPy is not installed.
        NonFiniteError: if the solution leaves the finite numbers or the integrator gives up.

    Example:
        >>> times = torch.linspace(0, 1, 3, dtype=torch.float64)
        >>> integrate(lambda t, x: -x, torch.ones(1, dtype=torch.float64), times).flatten()
        tensor([1.0000, 0.6065, 0.3679], dtype=torch.float64)
    """
    try:
        from scipy.integrate import solve_ivp  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            f"simulating with {method} needs SciPy; pip install \"ellzero[equations]\", or use integrator='dopri5'"
        ) from error

    progress = _Progress(float(times[0]))

    def numbers(time: float, state: Any) -> Any:
        progress.note(time)
        return rates(time, torch.from_numpy(np.asarray(state, dtype=np.float64))).numpy()

    span = (float(times[0]), float(times[-1]))
    with np.errstate(over="ignore", invalid="ignore"):
        solved = solve_ivp(
            numbers, span, start.numpy(), t_eval=times.numpy(), method=method, **{"rtol": 1e-8, "atol": 1e-8} | options
        )
    if not solved.success or solved.y.shape[1] != len(times) or not np.isfinite(solved.y).all():
        reached = float(solved.t[-1]) if len(solved.t) else span[0]
        raise _diverged(reached)
    return torch.from_numpy(solved.y.T.copy())


def integrate_many(
    rates: Rates, start: Tensor, times: Tensor, *, rtol: float = 1e-8, atol: float = 1e-8, max_steps: int | None = None
) -> Tensor:
    """Many trajectories at once, with the Dormand-Prince method of order five and a common adaptive step.

    Args:
        rates: the equations.
        start: shape `(runs, states)`, on any device.
        times: increasing, shape `(samples,)`.
        rtol: relative error allowed in a step.
        atol: absolute error allowed in a step.
        max_steps: where to give up, which is seen early from the pace; by default 100,000, or 200 for each sample.

    Returns:
        States, shape `(runs, samples, states)`.

    Raises:
        NonFiniteError: if a solution leaves the finite numbers, or would need more steps, as it happens with stiff
            equations.

    Example:
        >>> times = torch.linspace(0, 1, 3, dtype=torch.float64)
        >>> integrate_many(lambda t, x: -x, torch.ones(2, 1, dtype=torch.float64), times)[1].flatten()
        tensor([1.0000, 0.6065, 0.3679], dtype=torch.float64)
    """
    time, state = float(times[0]), start
    found, step = [start], float(times[1] - times[0]) / 10 if len(times) > 1 else 0.0
    slope, taken, most = rates(time, state), 0, max_steps or max(MOST_STEPS, PER_SAMPLE * len(times))
    for goal in times[1:].tolist():
        while time < goal - 1e-14 * abs(goal):
            length = min(step, goal - time)
            end, last, error = _try(rates, time, state, slope, length)
            size = atol + rtol * torch.maximum(state.abs(), end.abs())
            ratio = float((error / size).square().mean(-1).sqrt().max())
            taken += 1
            if length < 1e-13 * max(abs(time), abs(goal)) or not bool(torch.isfinite(state).all()):
                raise _diverged(time)
            accepted = ratio <= 1  # not so for NaN
            if accepted:
                time, state, slope = time + length, end, last
            if taken % PATIENCE == 0:
                _check_pace(taken, most, (time - float(times[0])) / float(times[-1] - times[0]), time)
            factor = 0.2 if not ratio < 1e30 else min(5.0, max(0.2, 0.9 * max(ratio, 1e-10) ** -0.2))
            step = length * factor if not accepted or length == step else max(step, length * factor)
        found.append(state)
    return torch.stack(found, 1)


def iterate(rates: Rates, start: Tensor, steps: int) -> Tensor:
    """Repeat a map.

    Args:
        rates: step number and states to the next states.
        start: shape `(..., states)`.
        steps: how many samples to return, the start included.

    Returns:
        States, shape `(..., samples, states)`.

    Raises:
        NonFiniteError: if a state leaves the finite numbers.

    Example:
        >>> iterate(lambda k, x: 2 * x, torch.ones(1), 4).flatten()
        tensor([1., 2., 4., 8.])
    """
    found = [start]
    for step in range(steps - 1):
        found.append(rates(float(step), found[-1]))
        if not bool(torch.isfinite(found[-1]).all()):
            raise _diverged(float(step))
    return torch.stack(found, -2)


class _Progress:
    """Notices when an integrator no longer gets ahead, as it happens before a singularity."""

    def __init__(self, time: float) -> None:
        self.time, self.calls = time, 0

    def note(self, time: float) -> None:
        self.calls += 1
        if abs(time - self.time) > 1e-10 * max(1.0, abs(time)):
            self.time, self.calls = time, 0
        if self.calls > STALLED:
            raise _diverged(time)


def _try(rates: Rates, time: float, state: Tensor, slope: Tensor, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """One step: the end, the slope there, and an estimate of the error."""
    slopes = [slope]
    for node, stage in zip(NODES[1:], STAGES[1:], strict=True):
        moved = sum((weight * one for weight, one in zip(stage, slopes, strict=True)), start=torch.zeros_like(state))
        slopes.append(rates(time + node * length, state + length * moved))
    change = sum((weight * one for weight, one in zip(WEIGHTS, slopes, strict=True)), start=torch.zeros_like(state))
    end = state + length * change
    slopes.append(rates(time + length, end))
    error = sum((weight * one for weight, one in zip(ERROR, slopes, strict=True)), start=torch.zeros_like(state))
    return end, slopes[-1], length * error


def _check_pace(taken: int, most: int, share: float, time: float) -> None:
    """Give up when there is no end in sight."""
    if taken > most * max(share, 1e-9):
        raise NonFiniteError(
            f"the simulation has come to t = {time:.6g} in {taken} steps and would take more than {most}; the "
            "equations are stiff or nearly singular there: allow fewer terms, simulate for a shorter time, or take "
            "another integrator, such as 'Radau'"
        )


def _diverged(time: float) -> NonFiniteError:
    return NonFiniteError(
        f"the simulation leaves the finite numbers near t = {time:.6g}; the equations may be unstable there: simulate "
        "for a shorter time, allow fewer terms, or start closer to the data"
    )
