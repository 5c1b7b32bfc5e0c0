"""What speaks against equations that were found: equal ones on the same data, trajectories that they do not explain."""

__all__ = ["of_estimate", "of_motion", "of_small_terms", "of_terms"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.estimate import LOOSE, Estimate
from ellzero.dictionary.dynamics.thinning import remainder
from ellzero.dictionary.dynamics.trajectories import Trajectory
from ellzero.dictionary.terms.dictionary import Dictionary

TOLERANCE = 1e-10
"""Relative distance to the span of others below which a column depends on them."""

SMALL = 0.005
"""Share of a rate, root mean squares, below which a term of clean data may stand for the error of an integration."""

FAR = 6.0
"""Standard deviations of the noise at which a sample is an outlier: white noise gets there once in 500 million."""


def of_terms(dictionary: Dictionary, coefficients: Tensor, inputs: Tensor) -> tuple[str, ...]:
    """Whether other equations with as many terms fit the data exactly as well.

    Args:
        dictionary: the candidate terms.
        coefficients: of the equations found, shape `(states, terms)`.
        inputs: all samples, shape `(samples, inputs)`.

    Returns:
        One sentence, or nothing.

    Example:
        >>> from ellzero.dictionary import identity
        >>> same = torch.arange(1.0, 5.0, dtype=torch.float64)
        >>> of_terms(identity("x y"), torch.tensor([[2.0, 0.0]]), torch.stack([same, 3 * same], 1))[0].split(";")[0]
        "on these data 'y' would do as well as what was chosen"
    """
    columns = dictionary(inputs)
    columns = columns / columns.square().sum(0).sqrt().clamp_min(1e-300)
    equal: list[str] = []
    for row in coefficients:
        chosen = row != 0
        rest = remainder(columns, torch.linalg.qr(columns[:, chosen])[0])
        replaces = ~chosen & (rest.square().sum(0).sqrt() <= TOLERANCE) & (columns != 0).any(0)
        equal += [dictionary.names[index] for index in replaces.nonzero()[:, 0].tolist()]
    if not equal:
        return ()
    names = ", ".join(repr(name) for name in sorted(set(equal), key=equal.index))
    return (
        f"on these data {names} would do as well as what was chosen; look at `identifiability(dictionary, samples)`, "
        "use its `canonical` dictionary, or data in which the states move independently",
    )


def of_small_terms(dictionary: Dictionary, coefficients: Tensor, inputs: Tensor) -> tuple[str, ...]:
    """Whether equations of clean data hold terms as small as the errors of a coarse integration.

    Args:
        dictionary: the candidate terms.
        coefficients: of the equations found, shape `(states, terms)`.
        inputs: all samples, shape `(samples, inputs)`.

    Returns:
        One sentence, or nothing.

    Example:
        >>> from ellzero.dictionary import identity
        >>> samples = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
        >>> of_small_terms(identity("x y"), torch.tensor([[2.0, 1e-3]], dtype=torch.float64), samples)[0].split(":")[0]
        "'y' explains less than 0.5 % of a rate"
    """
    columns = dictionary(inputs)
    sizes = coefficients.abs() * columns.square().mean(0).sqrt()
    rates = (columns @ coefficients.mT).square().mean(0).sqrt()
    small = ((coefficients != 0) & (sizes < SMALL * rates[:, None])).any(0)
    if not bool(small.any()):
        return ()
    names = [repr(dictionary.names[index]) for index in small.nonzero()[:, 0].tolist()]
    verb = "explains" if len(names) == 1 else "explain"
    return (
        f"{', '.join(names)} {verb} less than {100 * SMALL:g} % of a rate: the errors of a coarse integration, or of "
        "inputs that are not linear between samples, need such terms; raise resolution= to see what stays, or take "
        "smaller steps",
    )


def of_estimate(estimate: Estimate | None, runs: Sequence[Trajectory]) -> tuple[str, ...]:
    """Whether the equations, followed in time, explain the measured trajectories up to white noise.

    Args:
        estimate: of the likelihood; None if the equations ran away.
        runs: what was measured.

    Returns:
        One sentence, or nothing.
    """
    advice = (
        "the dictionary may lack a term or the budget be too small, the samples may be too far apart, or the data may "
        "hold errors that are not white noise, such as those of a coarse integration: raise resolution= to their size"
    )
    if estimate is None:
        return (f"the equations of the regression run away between samples and were not refined; {advice}",)
    if estimate.misfit > LOOSE or bool((estimate.noise.model > 0).any()):
        return (f"the equations found do not explain the trajectories up to white noise; {advice}",)
    return _outlier(estimate, runs)


def of_motion(coefficients: Tensor, runs: Sequence[Trajectory]) -> tuple[str, ...]:
    """Whether anything of a motion is explained.

    Args:
        coefficients: of the equations found, shape `(states, terms)`.
        runs: what was measured.

    Returns:
        One sentence, or nothing.
    """
    moves = any(bool((run.states.std(0, correction=0) > 1e-12 * run.states.abs().amax(0)).any()) for run in runs)
    if bool(coefficients.any()) or not moves:
        return ()
    return (
        "no term was found: all motion was taken for noise; if it is none, the samples are too far apart, or the "
        "dictionary lacks a term",
    )


def _outlier(estimate: Estimate, runs: Sequence[Trajectory]) -> tuple[str, ...]:
    rest = torch.cat([run.states for run in runs]) - torch.cat(estimate.states)
    far = rest.abs() / estimate.noise.measurement
    sample, state = divmod(int(far.argmax()), far.shape[1])
    if float(far.max()) <= FAR:
        return ()
    return (
        f"sample {sample} of state {state} is {float(far.max()):.0f} standard deviations of the noise away from the "
        "motion: leave outliers out, giving the pieces between them as several trajectories",
    )
