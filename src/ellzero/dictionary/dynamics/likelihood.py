"""The likelihood of coefficients given noisy trajectories: the unknown true states are estimated along with them."""

__all__ = ["Measured", "Noise", "evidence", "smooth"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.blocks import solve_tridiagonal, whiten_tridiagonal
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.flow import Library, Step, advance
from ellzero.dictionary.dynamics.trajectories import Trajectory

MAX_NUMBERS = 4_000_000
"""Numbers that one derivative in the coefficients may hold; longer runs are followed in pieces."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured and how it is followed in time.

    Attributes:
        trajectories: the runs, at least two samples each.
        library: the candidate terms.
        is_map: whether samples follow each other as in a discrete map.
        substeps: integration steps between two samples.
    """

    trajectories: Sequence[Trajectory]
    library: Library
    is_map: bool = False
    substeps: int = 1

    @property
    def num_values(self) -> int:
        """Measured numbers that the equations explain."""
        return sum((len(run.time) - 1) * run.states.shape[1] for run in self.trajectories)

    def step(self, run: Trajectory, states: Tensor, coefficients: Tensor, *, by_coefficient: bool) -> Step:
        """Follow the equations over all intervals of a run."""
        return advance(
            self.library,
            coefficients,
            states[:-1],
            None if self.is_map else run.lengths,
            (run.controls[:-1], run.controls[1:]),
            substeps=self.substeps,
            by_state=True,
            by_coefficient=by_coefficient,
        )


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations, shape `(states,)` each: of the measurements, and of what the equations do not explain."""

    measurement: Tensor
    model: Tensor


def smooth(
    measured: Measured, noise: Noise, coefficients: Tensor, states: Sequence[Tensor]
) -> tuple[list[Tensor], float]:
    r"""One Gauss-Newton step towards the true states, at fixed coefficients.

    .. math:: \min_{x, \eta} \sum_i |(y_i - x_i) / \sigma|^2 + |\eta_i / q|^2, \quad x_{i+1} = \Phi(x_i) + \eta_i

    Args:
        measured: the runs.
        noise: sigma and q; q may be zero, and the equations then hold exactly.
        coefficients: shape `(states, terms)`.
        states: the present estimate of the true states, one tensor per run.

    Returns:
        The new estimate, and the sum of squares that it leaves.
    """
    found, total = [], 0.0
    for run, now in zip(measured.trajectories, states, strict=True):
        step = measured.step(run, now, coefficients, by_coefficient=False)
        defect, diagonal, below = _linearised(run, now, step, noise)
        weighted = solve_tridiagonal(diagonal, below, defect[..., None])[..., 0]
        error = torch.zeros_like(now)
        error[1:] += weighted
        error[:-1] -= (_by_state(step).mT @ weighted[..., None])[..., 0]
        found.append(run.states - error * noise.measurement**2)
        total += float((weighted * defect).sum())
    return found, total


def evidence(measured: Measured, noise: Noise, coefficients: Tensor, states: Sequence[Tensor]) -> Evidence:
    r"""What the runs say about every candidate coefficient, the true states having been eliminated.

    The defects of the measured states, linearised at the present estimate, are

    .. math:: r = G \varepsilon + \eta + B\,\delta\xi, \quad
              \operatorname{cov} r = G \Sigma G^\top + Q =: S, \quad H = B^\top S^{-1} B

    with G holding identities and the derivatives :math:`-\partial\Phi/\partial x`: generalised least squares with the
    full covariance along the trajectory, which is block tridiagonal.

    Args:
        measured: the runs.
        noise: standard deviations.
        coefficients: where to linearise, shape `(states, terms)`.
        states: where to linearise, one tensor per run.

    Returns:
        The least squares problem in all coefficients.
    """
    rows = []
    for run, now in zip(measured.trajectories, states, strict=True):
        step = _chunked(measured, run, now, coefficients)
        defect, diagonal, below = _linearised(run, now, step, noise)
        assert step.by_coefficient is not None
        white = whiten_tridiagonal(diagonal, below, torch.cat([step.by_coefficient, defect[..., None]], 2))
        rows.append(torch.linalg.qr(white.flatten(0, 1), mode="r").R)
    table = torch.cat(rows)
    return Evidence.from_rows(table[:, :-1], table[:, -1], coefficients.reshape(-1))


def _linearised(run: Trajectory, now: Tensor, step: Step, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
    """Defects of the measurements and the blocks of their covariance."""
    by_state = _by_state(step)
    error = run.states - now
    defect = now[1:] - step.end + error[1:] - (by_state @ error[:-1, :, None])[..., 0]
    variance = torch.diag(noise.measurement**2)
    diagonal = variance + by_state @ variance @ by_state.mT + torch.diag(noise.model**2)
    return defect, diagonal, -by_state[1:] @ variance


def _by_state(step: Step) -> Tensor:
    assert step.by_state is not None
    return step.by_state


def _chunked(measured: Measured, run: Trajectory, now: Tensor, coefficients: Tensor) -> Step:
    """Follow a run piece by piece, so that the stages of the integration do not all lie in memory."""
    longest = max(64, MAX_NUMBERS // (coefficients.numel() * now.shape[1]))
    steps = []
    for first in range(0, len(now) - 1, longest):
        end = min(first + longest, len(now) - 1) + 1
        steps.append(measured.step(run.part(first, end), now[first:end], coefficients, by_coefficient=True))
    parts = zip(*((one.end, one.by_state, one.by_coefficient) for one in steps), strict=True)
    return Step(*(torch.cat([tensor for tensor in part if tensor is not None]) for part in parts))
