"""Simulation of fitted equations: starts, time stamps, controls and parameters put together."""

__all__ = ["follow"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.dynamics.simulate import integrate, integrate_many, iterate
from ellzero.dictionary.dynamics.trajectories import read_times
from ellzero.dictionary.regression.samples import as_float64
from ellzero.errors import nearest

INTEGRATORS = ("LSODA", "RK45", "RK23", "DOP853", "Radau", "BDF", "dopri5")
"""Those of SciPy's `solve_ivp`, and the batched one of torch."""

FINEST = 1e-5
"""Of the whole time: no step is asked to be shorter, however close two time stamps are."""

Control = Callable[[float], Tensor]
"""Time to the values of all controls and parameters, shape `(controls,)`."""


def follow(
    rates: Callable[[Tensor], Tensor],
    x0: Any,
    t: Any,
    given: tuple[Any, Any],
    *,
    names: Sequence[str],
    states: int,
    is_map: bool,
    integrator: str | None,
    options: Mapping[str, Any],
) -> Tensor:
    """Follow equations from one or many starts.

    With controls no step is longer than the smallest gap of the time stamps: an integrator that chooses its steps by
    what happens would otherwise step over a pulse while the states stand still.

    Args:
        rates: of inputs of shape `(..., inputs)`.
        x0: shape `(states,)` or `(runs, states)`.
        t: time stamps; of a map perhaps the number of samples.
        given: controls (numbers at the stamps, or a function of time) and parameters; None where there are none.
        names: of all inputs, states first.
        states: how many states.
        is_map: whether to repeat instead of integrate.
        integrator: a method of SciPy, "dopri5", or None to choose.
        options: of the integrator.

    Returns:
        Shape `(samples, states)` or `(runs, samples, states)`.

    Raises:
        ValueError: if shapes do not fit, controls are missing, or the integrator is not known.
    """
    start = as_float64(x0, "x0").cpu().clone()
    if start.dim() not in (1, 2) or start.shape[-1] != states:
        raise ValueError(f"x0 must have shape ({states},) or (runs, {states}), got {tuple(start.shape)}")
    if is_map and np.ndim(t) == 0:
        t = np.arange(int(t), dtype=np.float64)
    times = read_times(t, len(t)) if np.ndim(t) else torch.zeros(0)
    if len(times) < 2:
        raise ValueError(f"t must hold at least two time stamps, got {t!r}; try np.arange(0, 10, 0.01)")
    control = _controls(given, times, names[states:])

    def change(time: float, state: Tensor) -> Tensor:
        more = control(time)
        return rates(torch.cat([state, more.expand(*state.shape[:-1], len(more))], -1))

    if is_map:
        return iterate(lambda step, state: change(float(times[int(step)]), state), start, len(times))
    chosen = integrator or ("LSODA" if start.dim() == 1 else "dopri5")
    if chosen not in INTEGRATORS:
        raise ValueError(f"the integrator {chosen!r} is not known{nearest(str(chosen), INTEGRATORS)}")
    if chosen == "dopri5":
        found = integrate_many(change, start.reshape(-1, states), times, **options)
        return found[0] if start.dim() == 1 else found
    steps = {} if given[0] is None else {"max_step": _longest(times)}
    runs = [
        integrate(change, one, times, method=chosen, **(steps | dict(options))) for one in start.reshape(-1, states)
    ]
    return runs[0] if start.dim() == 1 else torch.stack(runs)


def _longest(times: Tensor) -> float:
    return max(float(times.diff().min()), FINEST * float(times[-1] - times[0]))


def _controls(given: tuple[Any, Any], times: Tensor, names: Sequence[str]) -> Control:
    """Controls and parameters as one function of time, checked against their names."""
    u, parameters = given
    constants = as_float64([] if parameters is None else parameters, "parameters").cpu().reshape(-1)
    if callable(u):
        varying: Control = lambda time: torch.as_tensor(np.atleast_1d(np.asarray(u(time), dtype=np.float64)))  # noqa: E731
        found = len(varying(float(times[0])))
    elif u is None:
        varying, found = lambda time: times[:0], 0
    else:
        table = as_float64(u, "u").cpu().numpy()
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2 or len(table) != len(times):
            raise ValueError(f"u must have one row for each of the {len(times)} time stamps, got shape {np.shape(u)}")
        found = table.shape[1]
        stamps = times.numpy()

        def varying(time: float) -> Tensor:
            return torch.tensor([np.interp(time, stamps, column) for column in table.T], dtype=torch.float64)

    if found + len(constants) != len(names):
        raise ValueError(
            f"the equations need {len(names)} controls and parameters ({', '.join(names) or 'none'}), got {found} "
            f"controls and {len(constants)} parameters; pass u= and parameters= as in fit"
        )
    return lambda time: torch.cat([varying(time), constants])
