"""Evidence about coefficients from linear systems: derivatives at samples, or averages over windows."""

__all__ = ["Rows", "jacobian", "strong_evidence", "weak_evidence"]

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ellzero.dictionary.flow import Library
from ellzero.dictionary.likelihood import Evidence
from ellzero.dictionary.trajectories import Trajectory
from ellzero.dictionary.weak import WeakForm

Rows: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""For each equation its features, shape `(rows, terms)`, and its target, shape `(rows,)`."""


def jacobian(library: Library, coefficients: Tensor, run: Trajectory) -> Tensor:
    """Derivatives of the right-hand sides in the states, shape `(samples, states, states)`."""
    inputs = run.inputs
    columns = []
    for index in range(run.states.shape[1]):
        direction = torch.zeros_like(inputs)
        direction[:, index] = 1
        columns.append(torch.func.jvp(library, (inputs,), (direction,))[1] @ coefficients.mT)
    return torch.stack(columns, 2)


def strong_evidence(features: Tensor, targets: Tensor, resolution: float) -> tuple[Evidence, Rows]:
    """Ordinary least squares, each equation weighted by the variance that the whole dictionary leaves.

    Args:
        features: shape `(rows, terms)`.
        targets: derivatives or next states, shape `(rows, states)`.
        resolution: smallest relative error that the targets are believed to have.

    Returns:
        The quadratic in all coefficients (equations do not mix), and the rows of each equation, of unit variance.
    """
    return _combined([[(features, target) for target in targets.mT]], resolution)


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
        The quadratic in all coefficients (equations do not mix), and the rows of each equation, of unit variance.
    """
    systems = []
    for form, run in zip(forms, runs, strict=True):
        size = len(noise)
        change = torch.zeros(len(run.time), size, size, dtype=noise.dtype)
        if coefficients is not None:
            change = jacobian(library, coefficients, run)
        covariance = form.covariance(change, noise)
        ridge = 1e-9 * covariance.diagonal(dim1=1, dim2=2).mean(1)
        eye = torch.eye(covariance.shape[1], dtype=noise.dtype)
        factor = torch.linalg.cholesky(covariance + ridge[:, None, None] * eye)
        features = torch.linalg.solve_triangular(factor, form.features.expand(size, -1, -1), upper=False)
        targets = torch.linalg.solve_triangular(factor, form.targets.mT[..., None], upper=False)[..., 0]
        systems.append(list(zip(features, targets, strict=True)))
    return _combined(systems, resolution, at_least=1.0)


def _combined(
    systems: Sequence[Sequence[tuple[Tensor, Tensor]]], resolution: float, at_least: float = 0.0
) -> tuple[Evidence, Rows]:
    """One quadratic from the systems of each run and equation, every equation scaled to unit variance."""
    rows, energy = [], 0.0
    for equation in zip(*systems, strict=True):
        features = torch.cat([one[0] for one in equation])
        target = torch.cat([one[1] for one in equation])
        square = float(target @ target)
        variance = max(_left_over(features, target), at_least, resolution**2 * square / len(target), 1e-300)
        rows.append((features / variance**0.5, target / variance**0.5))
        energy += square / variance
    score = torch.cat([features.T @ target for features, target in rows])
    information = torch.block_diag(*(features.T @ features for features, _ in rows))
    return Evidence(information, score, energy, torch.zeros_like(score)), rows


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
