"""One sampling interval of known equations: where it leads, and how that depends on states and coefficients."""

__all__ = ["ERROR", "NODES", "STAGES", "WEIGHTS", "Library", "Step", "advance", "jacobian_of", "rates", "substeps_for"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Library: TypeAlias = Callable[[Tensor], Tensor]
"""Candidate terms: inputs of shape `(..., inputs)` to values of shape `(..., terms)`, differentiable."""

STAGES: tuple[tuple[float, ...], ...] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
"""How the stages of the Dormand-Prince method of order five build on each other."""

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0)
WEIGHTS = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Weights of the difference to the embedded method of order four; the last belongs to the end of the step."""

MAX_SUBSTEPS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """Ends of sampling intervals and their derivatives.

    Attributes:
        end: states at the end, shape `(intervals, states)`.
        by_state: derivative in the states at the start, shape `(intervals, states, states)`; None if not asked for.
        by_coefficient: derivative in the coefficients, equation after equation, shape
            `(intervals, states, states * terms)`; None if not asked for.
    """

    end: Tensor
    by_state: Tensor | None = None
    by_coefficient: Tensor | None = None


def rates(library: Library, coefficients: Tensor, inputs: Tensor) -> Tensor:
    """Right-hand sides of the equations.

    Args:
        library: the candidate terms.
        coefficients: shape `(states, terms)`.
        inputs: states and controls, shape `(..., inputs)`.

    Returns:
        Time derivatives, or next states of a map, shape `(..., states)`.
    """
    return library(inputs) @ coefficients.mT


def advance(
    library: Library,
    coefficients: Tensor,
    start: Tensor,
    lengths: Tensor | None,
    controls: tuple[Tensor, Tensor],
    *,
    substeps: int = 1,
    by_state: bool = False,
    by_coefficient: bool = False,
) -> Step:
    r"""Follow the equations from each sample to the next.

    .. math:: \Phi(x) = x(t + h), \quad \dot x = \Xi\,\theta(x, u), \quad x(t) = x

    with the Dormand-Prince method of order five in steps of equal length; controls are interpolated linearly. For a
    discrete map the end is simply :math:`\Xi\,\theta(x, u)`.

    Args:
        library: the candidate terms.
        coefficients: shape `(states, terms)`.
        start: states, shape `(intervals, states)`.
        lengths: length of each interval in time, shape `(intervals,)`; None for a discrete map.
        controls: at start and end of each interval, each of shape `(intervals, controls)`, possibly no columns.
        substeps: steps per interval.
        by_state: whether to follow the derivative in the states.
        by_coefficient: whether to follow the derivative in the coefficients; needs `by_state` for its flow.

    Returns:
        The ends and the derivatives asked for.

    Example:
        >>> decay, here = torch.tensor([[-1.0]]), torch.ones(1, 1)
        >>> advance(lambda x: x, decay, here, torch.ones(1), (here[:, :0], here[:, :0]), substeps=8).end
        tensor([[0.3679]])
    """
    follow = by_state or by_coefficient
    if lengths is None:
        stage = _stage(library, coefficients, start, controls[0], follow=follow)
        unit = _unit(start)
        return Step(stage.slope, stage.jacobian, _outer([unit], [stage]) if by_coefficient else None)
    length = (lengths / substeps)[:, None]
    stages: list[list[_Stage]] = []
    state = start
    for substep in range(substeps):
        row: list[_Stage] = []
        for node, weights in zip(NODES, STAGES, strict=True):
            control = torch.lerp(controls[0], controls[1], (substep + node) / substeps)
            row.append(_stage(library, coefficients, _moved(state, row, weights, length), control, follow=follow))
        state = _moved(state, row, WEIGHTS, length)
        stages.append(row)
    if not follow:
        return Step(state)
    return _differentiated(state, stages, length, by_coefficient=by_coefficient)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Terms, slope and its derivative in the states at one stage of a step."""

    values: Tensor
    slope: Tensor
    jacobian: Tensor | None


def _stage(library: Library, coefficients: Tensor, state: Tensor, control: Tensor, *, follow: bool) -> _Stage:
    inputs = torch.cat([state, control], 1)
    if not follow:
        values = library(inputs)
        return _Stage(values, values @ coefficients.mT, None)
    values, jacobian = jacobian_of(library, coefficients, inputs)
    return _Stage(values, values @ coefficients.mT, jacobian)


def jacobian_of(library: Library, coefficients: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Terms, and the derivative of the right-hand sides in the states.

    Args:
        library: the candidate terms.
        coefficients: shape `(states, terms)`.
        inputs: states and then controls, shape `(samples, inputs)`.

    Returns:
        Terms of shape `(samples, terms)`, and derivatives of shape `(samples, states, states)`.
    """
    states = len(coefficients)
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        values = library(leaf)
        slopes = values @ coefficients.mT
        rows = [torch.zeros_like(leaf)] * states
        for index in range(states) if slopes.requires_grad else ():
            rows[index] = torch.autograd.grad(slopes[:, index].sum(), leaf, retain_graph=index + 1 < states)[0]
    return values.detach(), torch.stack(rows, 1)[:, :, :states]


def _moved(state: Tensor, stages: Sequence[_Stage], weights: Sequence[float], length: Tensor) -> Tensor:
    """States plus a weighted sum of slopes times the length of the step."""
    for stage, weight in zip(stages, weights, strict=True):
        if weight:
            state = state + weight * length * stage.slope
    return state


def _differentiated(end: Tensor, stages: list[list[_Stage]], length: Tensor, *, by_coefficient: bool) -> Step:
    r"""Derivatives of the end, from the last stage back to the first.

    .. math:: M_r = h b_r I + \sum_{s > r} h a_{sr} M_s J_s, \quad
              \frac{\partial \Phi}{\partial x} = I + \sum_s M_s J_s, \quad
              \frac{\partial \Phi}{\partial \xi_{jk}} = \sum_s M_s e_j \theta_k(x_s)

    where M is the derivative of the end in the slope of a stage; later steps multiply from the left.
    """
    unit, step = _unit(end), length[:, :, None]
    onward, weights, flat = unit, [], []
    for row in reversed(stages):
        by_slope: dict[int, Tensor] = {}
        total = onward
        for index in reversed(range(len(row))):
            found = WEIGHTS[index] * step * onward
            for later in range(index + 1, len(row)):
                if STAGES[later][index]:
                    found = found + STAGES[later][index] * step * by_slope[later]
            weights.append(found)
            flat.append(row[index])
            jacobian = row[index].jacobian
            assert jacobian is not None
            by_slope[index] = found @ jacobian
            total = total + by_slope[index]
        onward = total
    return Step(end, onward, _outer(weights, flat) if by_coefficient else None)


def _outer(weights: Sequence[Tensor], stages: Sequence[_Stage]) -> Tensor:
    """Sum over stages of weights times terms, shape `(intervals, states, states * terms)`."""
    states = weights[0].shape[1]
    stacked = torch.stack([weight.flatten(1) for weight in weights], 2)  # (intervals, states * states, stages)
    terms = torch.stack([stage.values for stage in stages], 1)  # (intervals, stages, terms)
    return (stacked @ terms).reshape(len(stacked), states, -1)


def _unit(states: Tensor) -> Tensor:
    """One unit matrix for each row of states."""
    size = states.shape[1]
    return torch.eye(size, dtype=states.dtype, device=states.device).expand(len(states), -1, -1)


def substeps_for(
    library: Library,
    coefficients: Tensor,
    start: Tensor,
    lengths: Tensor,
    controls: tuple[Tensor, Tensor],
    *,
    tolerance: Tensor,
) -> int:
    """Fewest steps per interval with which halving them changes the ends by less than a tolerance.

    Args:
        library: the candidate terms.
        coefficients: shape `(states, terms)`.
        start: states, shape `(intervals, states)`.
        lengths: shape `(intervals,)`.
        controls: at start and end of each interval.
        tolerance: root mean square allowed for each state, shape `(states,)`.

    Returns:
        A power of two, at most 16.
    """
    substeps = 1
    coarse = advance(library, coefficients, start, lengths, controls).end
    while substeps < MAX_SUBSTEPS:
        fine = advance(library, coefficients, start, lengths, controls, substeps=2 * substeps).end
        if bool(((fine - coarse).square().mean(0).sqrt() <= tolerance).all()):
            return substeps
        substeps, coarse = 2 * substeps, fine
    return substeps
