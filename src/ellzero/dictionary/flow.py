"""One sampling interval of known equations: where it leads, and how that depends on states and coefficients."""

__all__ = ["ERROR", "NODES", "STAGES", "WEIGHTS", "Library", "Step", "advance", "rates", "substeps_for"]

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


@dataclass(frozen=True, slots=True)
class _Point:
    """A stage: states, and their derivatives as far as they are followed."""

    state: Tensor
    by_state: Tensor | None
    by_coefficient: Tensor | None

    def moved(self, slopes: Sequence["_Point"], weights: Sequence[float], length: Tensor) -> "_Point":
        """This point plus a weighted sum of slopes times the length of the step."""
        return _Point(
            _plus(self.state, [slope.state for slope in slopes], weights, length),
            None if self.by_state is None else _plus(self.by_state, [s.by_state for s in slopes], weights, length),
            None
            if self.by_coefficient is None
            else _plus(self.by_coefficient, [s.by_coefficient for s in slopes], weights, length),
        )


def _plus(value: Tensor, slopes: Sequence[Tensor | None], weights: Sequence[float], length: Tensor) -> Tensor:
    """A value plus a weighted sum of its slopes times the length of the step."""
    lengths = length.reshape(-1, *[1] * (value.dim() - 1))
    for slope, weight in zip(slopes, weights, strict=True):
        if weight and slope is not None:
            value = value + weight * lengths * slope
    return value


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
    follow_state = by_state or by_coefficient
    point = _start(start, coefficients, by_state=follow_state, by_coefficient=by_coefficient)
    if lengths is None:
        point = _slope(library, coefficients, point, controls[0])
        return Step(point.state, point.by_state, point.by_coefficient)
    length = lengths / substeps
    for substep in range(substeps):
        slopes: list[_Point] = []
        for node, stage in zip(NODES, STAGES, strict=True):
            share = (substep + node) / substeps
            control = controls[0] + share * (controls[1] - controls[0])
            slopes.append(_slope(library, coefficients, point.moved(slopes, stage, length), control))
        point = point.moved(slopes, WEIGHTS, length)
    return Step(point.state, point.by_state, point.by_coefficient)


def _start(start: Tensor, coefficients: Tensor, *, by_state: bool, by_coefficient: bool) -> _Point:
    states = start.shape[1]
    unit = torch.eye(states, dtype=start.dtype, device=start.device).expand(len(start), -1, -1) if by_state else None
    none = start.new_zeros(len(start), states, coefficients.numel()) if by_coefficient else None
    return _Point(start, unit, none)


def _slope(library: Library, coefficients: Tensor, point: _Point, control: Tensor) -> _Point:
    """Rates at a point and their derivatives along those of the point."""
    inputs = torch.cat([point.state, control], 1)
    if point.by_state is None:
        return _Point(rates(library, coefficients, inputs), None, None)
    states = point.state.shape[1]
    columns = []
    for index in range(states):
        direction = torch.zeros_like(inputs)
        direction[:, index] = 1
        values, change = torch.func.jvp(library, (inputs,), (direction,))
        columns.append(change @ coefficients.mT)
    jacobian = torch.stack(columns, 2)
    by_coefficient = None
    if point.by_coefficient is not None:
        by_coefficient = jacobian @ point.by_coefficient
        for index, block in enumerate(by_coefficient.split(values.shape[1], 2)):
            block[:, index] += values
    return _Point(values @ coefficients.mT, jacobian @ point.by_state, by_coefficient)


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
