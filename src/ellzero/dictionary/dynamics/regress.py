"""Evidence about coefficients from linear systems: derivatives at samples, or averages over windows."""

__all__ = ["Rows", "combined", "strong_evidence", "weak_evidence", "whitened"]

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.flow import Library, jacobian_of
from ellzero.dictionary.dynamics.trajectories import Trajectory
from ellzero.dictionary.dynamics.weak import WeakForm

Rows: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""For each equation its features, shape `(rows, terms)`, and its target, shape `(rows,)`."""


def strong_evidence(features: Tensor, targets: Tensor, resolution: float) -> tuple[Evidence, Rows]:
    """Ordinary least squares, each equation weighted by the variance that the whole dictionary leaves.

    Args:
        features: shape `(rows, terms)`.
        targets: derivatives or next states, shape `(rows, states)`.
        resolution: smallest relative error that the targets are believed to have.

    Returns:
        The least squares problem (equations do not mix), and the rows of each equation, of unit variance.
    """
    return combined([[(features, target) for target in targets.mT]], resolution)


def weak_evidence(
    forms: Sequence[WeakForm],
    runs: Sequence[Trajectory],
    library: Library,
    *,
    noise: Tensor,
    coefficients: Tensor | None,
    resolution: float,
) -> tuple[Evidence, Rows]:
    """Generalised least squares on the weak form.

    Args:
        forms: the weak form of each run.
        runs: the trajectories.
        library: the candidate terms.
        noise: standard deviation of each state, shape `(states,)`.
        coefficients: present estimate, through which noise in the terms is followed; None leaves that out.
        resolution: smallest relative error that the data are believed to have.

    Returns:
        The least squares problem (equations do not mix), and the rows of each equation, of unit variance.
    """
    systems = []
    for form, run in zip(forms, runs, strict=True):
        size = len(noise)
        change = torch.zeros(len(run.time), size, size, dtype=noise.dtype)
        if coefficients is not None:
            _, change = jacobian_of(library, coefficients, run.inputs)
        covariance = form.covariance(change, noise)
        pairs = zip(covariance, form.targets.mT, strict=True)
        systems.append([whitened(one, form.features, target) for one, target in pairs])
    return combined(systems, resolution, at_least=1.0)


def whitened(covariance: Tensor, features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose residuals are uncorrelated and of unit variance.

    Args:
        covariance: of the residuals, shape `(rows, rows)`; nearly singular where windows overlap much.
        features: shape `(rows, terms)`.
        target: shape `(rows,)`.

    Returns:
        Features and target of the same shapes.
    """
    ridge = 1e-9 * covariance.diagonal().mean()
    factor = torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype))
    table = torch.linalg.solve_triangular(factor, torch.cat([features, target[:, None]], 1), upper=False)
    return table[:, :-1], table[:, -1]


def combined(
    systems: Sequence[Sequence[tuple[Tensor, Tensor]]], resolution: float, at_least: float = 0.0
) -> tuple[Evidence, Rows]:
    """One least squares problem from the systems of each run and equation, every equation scaled to unit variance.

    Args:
        systems: for each run, for each equation, features and target.
        resolution: smallest relative error that the targets are believed to have.
        at_least: smallest variance believed.

    Returns:
        The least squares problem, and the rows of each equation.
    """
    rows = []
    for equation in zip(*systems, strict=True):
        features = torch.cat([one[0] for one in equation])
        target = torch.cat([one[1] for one in equation])
        square = float(target @ target)
        variance = max(_left_over(features, target), at_least, resolution**2 * square / len(target), 1e-300)
        rows.append((features / variance**0.5, target / variance**0.5))
    return Evidence.side_by_side([Evidence.from_rows(*pair) for pair in rows]), rows


def _left_over(features: Tensor, target: Tensor) -> float:
    """Variance that least squares on all terms leaves; zero when there are too few rows to tell."""
    scale = features.square().sum(0).clamp_min(1e-300).rsqrt()
    left, values, _ = torch.linalg.svd(features * scale, full_matrices=False)
    left = left[:, values > 1e-11 * values[:1]]
    spare = len(target) - left.shape[1]
    if spare < 5:
        return 0.0
    rest = target - left @ (left.T @ target)
    return float(rest @ rest) / spare
