"""What the recipes of classical systems share: simulate, add noise, find the equations, verify, draw."""

__all__ = ["System", "find_equations", "follow", "measure"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ellzero.dictionary import Dynamics, Equations, polynomial, subset_path, valid_prediction_time, verify
from ellzero.dictionary.dynamics.simulate import integrate_many
from ellzero.errors import NonFiniteError
from ellzero.recipes.law import Found, Picture, SystemSettings
from ellzero.report import coefficient_path, inclusion, pareto, support_map, trajectories
from ellzero.report.table import percent, table

Array = NDArray[np.float64]

STEPS_PER_SAMPLE = 20
"""Integration steps that equations may need; the laws need one or two, and wrong equations may be stiff without end."""

LONGEST_PATH = 8
"""Numbers of terms of one equation that coefficient path and Pareto front go up to."""


@dataclass(frozen=True)
class System:
    """A system whose equations are known.

    Attributes:
        name: as on the command line.
        law: the true equations; their targets are the time derivatives of their inputs.
        start: where the measured trajectory begins.
        unseen: another start, which nothing is fitted to.
        exponent: largest Lyapunov exponent, for prediction times in its unit; None if the motion is regular.
        bias: whether a constant is a candidate term.
    """

    name: str
    law: Equations
    start: tuple[float, ...]
    unseen: tuple[float, ...]
    exponent: float | None = None
    bias: bool = True


def measure(system: System, settings: SystemSettings) -> tuple[Array, Array, Array]:
    """Times, true states and noisy states of the measured trajectory, states of shape `(samples, states)`."""
    time = np.arange(0.0, settings.duration, settings.step)
    true = follow(system.law.numpy(), np.asarray(system.start, dtype=float), time)
    noise = np.random.default_rng(settings.seed).standard_normal(true.shape)
    return time, true, true + settings.noise * true.std(0) * noise


def find_equations(system: System, settings: SystemSettings) -> Found:
    """Find the equations of a system from one noisy trajectory, and hold them against the true ones.

    Args:
        system: what is simulated.
        settings: budget, noise, length.

    Returns:
        The equations, verified, with pictures of how they were chosen and how they move.

    Raises:
        ValueError: if the budget is larger than the dictionary.
    """
    time, _, measured = measure(system, settings)
    candidates = polynomial(system.law.inputs, settings.degree, bias=system.bias)
    model = Dynamics(settings.terms or None, candidates).fit(measured, t=time)
    equations = Equations(system.law.targets, candidates, model.coefficients())
    unseen = np.asarray(system.unseen, dtype=float)
    true, simulated = (_as_far_as_it_goes(one, unseen, time) for one in (system.law, equations))
    certificate = verify(
        equations, points=measured, targets=system.law.numpy()(measured), precision=settings.precision,
        simulate=follow if np.isfinite(simulated).all() else None, starts=[system.unseen],
        times=time[: max(2, len(time) // 10)],
    )  # fmt: skip
    until = valid_prediction_time(torch.from_numpy(true), torch.from_numpy(simulated), torch.from_numpy(time))
    chances = model.inclusion_probabilities(settings.draws, seed=settings.seed)
    facts = _facts(system, equations, until)
    pictures: dict[str, Picture] = _path_pictures(model, equations) | {
        "support.svg": partial(support_map, _columns(system.law, equations), title="True and found coefficients"),
        "inclusion.svg": _inclusion(equations, chances),
        "trajectories.svg": partial(
            trajectories, time.tolist(), _named(system.law, true), _named(system.law, simulated), until=until,
            title="From a start that nothing was fitted to",
        ),
    }  # fmt: skip
    return Found(equations, certificate, _summary(system, equations, model.standard_errors(), facts), facts, pictures)


def follow(derivative: Callable[[ArrayLike], Array], start: Array, times: Array) -> Array:
    """States at the times, shape `(times, states)`; for `verify` as well.

    Raises:
        NonFiniteError: if they leave the finite numbers, or are too stiff to be followed.
    """

    def rates(_: float, states: Tensor) -> Tensor:
        return torch.from_numpy(derivative(states.numpy()))

    begin, stamps = torch.from_numpy(np.asarray(start, dtype=float))[None], torch.from_numpy(times)
    with np.errstate(all="ignore"):
        found = integrate_many(rates, begin, stamps, max_steps=max(2000, STEPS_PER_SAMPLE * len(times)))
    return np.asarray(found[0].numpy())


def _as_far_as_it_goes(equations: Equations, start: Array, time: Array) -> Array:
    """The motion, NaN from where it leaves the finite numbers on."""
    found = np.full((len(time), len(start)), np.nan)
    found[0] = start
    for end in (len(time), len(time) // 2, len(time) // 10, len(time) // 100):
        try:
            found[:end] = follow(equations.numpy(), start, time[:end])
        except NonFiniteError:
            continue
        return found
    return found


def _true_coefficients(system: System, equations: Equations) -> Array:
    """Those of the law, on the terms of the equations."""
    place = {term: number for number, term in enumerate(equations.dictionary.terms)}
    found = np.zeros_like(equations.coefficients)
    for number, term in enumerate(system.law.dictionary.terms):
        if term in place:
            found[:, place[term]] = system.law.coefficients[:, number]
    return found


def _facts(system: System, equations: Equations, until: float) -> dict[str, Any]:
    true = _true_coefficients(system, equations)
    is_true, is_found = true != 0, equations.support
    error = np.linalg.norm(equations.coefficients - true) / np.linalg.norm(system.law.coefficients)
    return {
        "num_terms": equations.num_terms,
        "missing": system.law.num_terms - int((is_true & is_found).sum()),
        "superfluous": int((is_found & ~is_true).sum()),
        "coefficient_error": float(error),
        "prediction_time": until,
        "prediction_time_in_lyapunov_times": None if system.exponent is None else until * system.exponent,
    }


def _summary(system: System, equations: Equations, errors: Array, facts: Mapping[str, Any]) -> str:
    true = _true_coefficients(system, equations)
    rows: list[tuple[str, ...]] = [("in", "term", "found", "standard error", "true")]
    for row, target in enumerate(equations.targets):
        for column in np.flatnonzero(equations.support[row] | (true[row] != 0)):
            numbers = (equations.coefficients[row, column], errors[row, column], true[row, column])
            rows.append((target, equations.dictionary.names[column], *(f"{number:.4g}" for number in numbers)))
    exactly = "the true terms, no other" if not facts["missing"] + facts["superfluous"] else (
        f"{facts['missing']} true terms missing, {facts['superfluous']} superfluous"
    )  # fmt: skip
    lyapunov = facts["prediction_time_in_lyapunov_times"]
    unit = "" if lyapunov is None else f" ({lyapunov:.1f} Lyapunov times)"
    lines = [
        f"{equations.num_terms} terms of {equations.coefficients.size}: {exactly}; "
        f"relative error of the coefficients {percent(facts['coefficient_error'])}",
        f"from an unseen start the motion stays close up to t = {facts['prediction_time']:.3g}{unit}",
    ]
    return "\n\n".join([table(rows, left=2), "\n".join(lines)])


def _columns(law: Equations, equations: Equations) -> dict[str, dict[str, float]]:
    found = {}
    for row, target in enumerate(law.targets):
        for name, one in ((f"{target} true", law), (f"{target} found", equations)):
            found[name] = dict(zip(one.dictionary.names, one.coefficients[row].tolist(), strict=True))
    return found


def _named(law: Equations, states: Array) -> dict[str, list[float]]:
    return dict(zip(law.inputs, states.T.tolist(), strict=True))


def _inclusion(equations: Equations, chances: Array) -> Picture:
    names = equations.dictionary.names
    shown = {
        target: dict(zip(names, row.tolist(), strict=True))
        for target, row in zip(equations.targets, chances, strict=True)
    }
    chosen = {
        target: [name for name, is_in in zip(names, row, strict=True) if is_in]
        for target, row in zip(equations.targets, equations.support, strict=True)
    }
    return partial(inclusion, shown, chosen=chosen)


def _path_pictures(model: Dynamics, equations: Equations) -> dict[str, Picture]:
    """Best subsets of the regression for every number of terms, equation by equation."""
    names, longest = equations.dictionary.names, min(LONGEST_PATH, len(equations.dictionary))
    sizes = list(range(1, longest + 1))
    paths: dict[str, dict[str, list[float]]] = {}
    fronts, chosen = {}, {}
    for target, support, (features, values) in zip(
        equations.targets, equations.support, model.result.rows, strict=True
    ):
        path = subset_path(features, values, max_terms=longest)
        found = np.stack([path.subset(size).coefficients.numpy() for size in sizes])
        paths[target] = {name: column.tolist() for name, column in zip(names, found.T, strict=True) if column.any()}
        energy = float(values @ values)
        shares = [max(float(path.subset(size).residual) / energy, 1e-16) for size in sizes]
        fronts[target] = list(zip(sizes, shares, strict=True))
        if 0 < support.sum() <= longest:
            chosen[target] = int(support.sum())
    label = "residual of the regression, as a share"
    return {
        "path.svg": partial(coefficient_path, sizes, paths, chosen=chosen),
        "pareto.svg": partial(pareto, fronts, chosen=chosen, error=label),
    }
