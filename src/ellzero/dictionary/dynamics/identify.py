"""From trajectories to equations: first a linear regression, then the likelihood of the trajectories themselves."""

__all__ = ["DIFFERENTIATIONS", "Fit", "Settings", "identify"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.coupled import Limit, search_support
from ellzero.dictionary.dynamics.differences import METHODS, best_window, differentiate, local_values
from ellzero.dictionary.dynamics.doubts import of_estimate, of_motion, of_small_terms, of_terms
from ellzero.dictionary.dynamics.estimate import Estimate, estimate, price
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.flow import rates, substeps_for
from ellzero.dictionary.dynamics.likelihood import Measured
from ellzero.dictionary.dynamics.noise_level import noise_level
from ellzero.dictionary.dynamics.regress import Rows, strong_evidence, weak_evidence
from ellzero.dictionary.dynamics.trajectories import Trajectory, split, split_at_gaps
from ellzero.dictionary.dynamics.weak import WeakForm, choose_radius, weak_form
from ellzero.dictionary.terms.dictionary import Dictionary

DIFFERENTIATIONS = ("weak", *METHODS)

WEAK_SAMPLES, FOLLOWED_SAMPLES = 1500, 6000
"""Longest pieces of a trajectory, in samples: for dense covariances of windows, and for following it in time."""

SWEEPS = 4
"""How often the covariance of the weak residuals and the support are brought into agreement."""

ACCURACY, FINE_ACCURACY = 0.01, 1e-4
"""Error of the integration over one interval that is allowed, as a share of the noise; the second where the noise is
as small as the resolution: what is systematic would then look like a term."""

CLEAN = 1.5
"""Multiple of the resolution up to which data count as without noise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How equations are looked for; see `Dynamics`."""

    limit: Limit
    differentiation: str = "weak"
    is_map: bool = False
    refine: bool = True
    criterion: str = "ebic"
    resolution: float = 1e-4
    order: int = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found.

    Attributes:
        coefficients: shape `(states, terms)`.
        evidence: of the stage that the coefficients come from.
        regression: evidence of the linear regression.
        noise: standard deviation of the measurements, shape `(states,)`.
        estimate: of the likelihood of the trajectories; None if it was not asked for or could not be had.
        rows: the windows or samples of the regression, whitened: features `(rows, terms)` and targets `(rows,)` of each
            equation.
        doubts: what speaks against the equations, one sentence each.
    """

    coefficients: Tensor
    evidence: Evidence
    regression: Evidence
    noise: Tensor
    estimate: Estimate | None
    rows: Rows
    doubts: tuple[str, ...]


def identify(runs: Sequence[Trajectory], dictionary: Dictionary, settings: Settings) -> Fit:
    """Find sparse equations.

    Args:
        runs: the trajectories, checked.
        dictionary: candidate terms of states and controls.
        settings: how to look.

    Returns:
        The equations and what they rest on.

    Raises:
        NonFiniteError: if a term overflows on the data; it is named.
        ValueError: if the trajectories are too short for the method or hold fewer rows than there are terms.
    """
    inputs = torch.cat([run.inputs for run in runs])
    dictionary.evaluate(inputs)
    if not settings.is_map:
        runs = [piece for run in runs for piece in split_at_gaps(run)]
    spread = _spread(torch.cat([run.states for run in runs]))
    floor = settings.resolution * spread
    noise = spread if settings.is_map else _pooled_noise(runs).maximum(floor)
    if settings.differentiation == "weak" and not settings.is_map and runs[0].rates is None:
        regression, coefficients, rows = _from_windows(runs, dictionary, noise, settings)
    else:
        regression, coefficients, rows = _from_samples(runs, dictionary, settings)
        if settings.is_map:
            noise = _left_over(runs, dictionary, coefficients).maximum(floor)
    fit = Fit(coefficients, regression, regression, noise, None, rows, ())
    if settings.refine and runs[0].rates is None:
        fit = _refined(fit, runs, dictionary, floor, settings)
    doubts = of_terms(dictionary, fit.coefficients, inputs) + of_motion(fit.coefficients, runs)
    if fit.estimate is not None and not settings.is_map and bool((fit.noise <= CLEAN * floor).all()):
        doubts += of_small_terms(dictionary, fit.coefficients, inputs)
    return replace(fit, doubts=fit.doubts + doubts)


def _spread(states: Tensor) -> Tensor:
    """Standard deviation of each state; of a state that stands still its size, or one where that is zero."""
    spread, size = states.std(0, correction=0), states.abs().amax(0)
    stands = spread <= 1e-12 * size
    return torch.where(stands, torch.where(size > 0, size, 1.0), spread)


def _pooled_noise(runs: Sequence[Trajectory]) -> Tensor:
    squares = torch.stack([noise_level(run.states).square() for run in runs])
    weights = torch.tensor([float(len(run.time)) for run in runs], dtype=squares.dtype)
    return (weights @ squares / weights.sum()).sqrt()


def _left_over(runs: Sequence[Trajectory], dictionary: Dictionary, coefficients: Tensor) -> Tensor:
    """Noise of a map, whose samples need not be smooth: what the regression leaves of the next states."""
    rests = [run.states[1:] - rates(dictionary, coefficients, run.inputs[:-1]) for run in runs if run.rates is None]
    return torch.cat(rests).square().mean(0).sqrt() if rests else torch.zeros(len(coefficients), dtype=torch.float64)


def _chosen(evidence: Evidence, num_rows: int, start: Tensor, settings: Settings, states: int) -> Tensor:
    cost = price(num_rows * states, len(evidence.origin), settings.criterion)
    return search_support(evidence, start, penalty=cost, num_equations=states, limit=settings.limit)


def _from_windows(
    runs: Sequence[Trajectory], dictionary: Dictionary, noise: Tensor, settings: Settings
) -> tuple[Evidence, Tensor, Rows]:
    """The weak form, its covariance following the coefficients."""
    pieces = [piece for run in runs for piece in split(run, WEAK_SAMPLES)]
    forms = _windows(pieces, dictionary, noise)
    rows = sum(len(form.targets) for form in forms)
    states, terms = len(noise), len(dictionary)
    coefficients, support = None, torch.zeros(0, dtype=torch.long)
    for _ in range(SWEEPS):
        evidence, whitened = weak_evidence(
            forms, pieces, dictionary, noise=noise, coefficients=coefficients, resolution=settings.resolution
        )
        before, support = support, _chosen(evidence, rows, support, settings, states)
        coefficients = evidence.refit(support).reshape(states, terms)
        if torch.equal(before, support):
            break
    assert coefficients is not None
    return evidence, coefficients, whitened


def _windows(pieces: Sequence[Trajectory], dictionary: Dictionary, noise: Tensor) -> list[WeakForm]:
    """Windows of a common width; more of them where few would fit."""
    radius = min(choose_radius(piece, noise) for piece in pieces)
    forms = [weak_form(piece, dictionary, radius) for piece in pieces]
    if sum(len(form.targets) for form in forms) < 2 * len(dictionary):
        places = sum(len(piece.time) - 2 * radius for piece in pieces)
        stride = max(1, places // (2 * len(dictionary)))
        forms = [weak_form(piece, dictionary, radius, stride=stride) for piece in pieces]
    _check_rows(sum(len(form.targets) for form in forms), len(dictionary), "windows")
    return forms


def _from_samples(
    runs: Sequence[Trajectory], dictionary: Dictionary, settings: Settings
) -> tuple[Evidence, Tensor, Rows]:
    """Derivatives (of a map: next states) at the samples."""
    inputs, targets = [], []
    for run in runs:
        if run.rates is not None:
            inputs.append(run.inputs)
            targets.append(run.rates)
        elif settings.is_map:
            inputs.append(run.inputs[:-1])
            targets.append(run.states[1:])
        else:
            inputs.append(run.inputs)
            targets.append(differentiate(run.states, run.time, settings.differentiation, order=settings.order))
    features, target = dictionary(torch.cat(inputs)), torch.cat(targets)
    _check_rows(len(features), len(dictionary), "samples")
    evidence, whitened = strong_evidence(features, target, settings.resolution)
    states = target.shape[1]
    support = _chosen(evidence, len(target), torch.zeros(0, dtype=torch.long), settings, states)
    return evidence, evidence.refit(support).reshape(states, len(dictionary)), whitened


def _check_rows(rows: int, terms: int, what: str) -> None:
    if rows < terms:
        raise ValueError(
            f"there are {rows} {what} for {terms} candidate terms; record more samples or use a smaller dictionary"
        )


def _refined(fit: Fit, runs: Sequence[Trajectory], dictionary: Dictionary, floor: Tensor, settings: Settings) -> Fit:
    """Continue with the likelihood of the trajectories, from the regression."""
    pieces = [piece for run in runs for piece in split(run, FOLLOWED_SAMPLES)]
    substeps = 1
    share = torch.where(fit.noise > 10 * floor, ACCURACY, FINE_ACCURACY)
    if not settings.is_map:
        substeps = max(
            substeps_for(
                dictionary, fit.coefficients, piece.states[:-1], piece.lengths,
                (piece.controls[:-1], piece.controls[1:]), tolerance=share * fit.noise,
            )
            for piece in pieces
        )  # fmt: skip
    measured = Measured(pieces, dictionary, settings.is_map, substeps)
    candidates = len(fit.noise) * len(dictionary)
    found = estimate(
        measured,
        fit.noise,
        fit.coefficients,
        [_smoothed(piece, settings.is_map) for piece in pieces],
        floor=floor,
        penalty=price(measured.num_values, candidates, settings.criterion),
        limit=settings.limit,
    )
    if found is None:
        return replace(fit, doubts=of_estimate(None, runs))
    return replace(
        fit,
        doubts=of_estimate(found, runs),
        coefficients=found.coefficients,
        evidence=found.evidence,
        noise=found.noise.measurement,
        estimate=found,
    )


def _smoothed(run: Trajectory, is_map: bool) -> Tensor:
    """First guess of the true states: local polynomials; of a map, which need not be smooth, the measurements."""
    if is_map or len(run.time) < 12:
        return run.states
    return local_values(run.states, run.time, best_window(run.states, run.time), 4)
