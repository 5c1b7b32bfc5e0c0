"""Least squares under independent hard-concrete gates: the expected loss in closed form, and its annealing."""

__all__ = ["Relaxed", "anneal", "expected_loss"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ellzero.distributions import HardConcrete
from ellzero.noise import counters, uniform

_STEPS = 120
_RAMP = 0.6  # share of the steps in which the target falls from all gates to the budget
_PROPOSE_EVERY = 20  # steps, once the target has been reached
_RATE = 0.3  # of the log-odds per step
_PULL = 0.5  # of the multiplier, per step and unit of log(expected cost / target)
_OPEN = 6.0  # log-odds of columns that are fixed


@final
@dataclass(frozen=True)
class Relaxed:
    """Columns with gates, for a batch of systems."""

    products: Tensor
    """Gram matrices of the scaled columns, shape `(roots, systems, columns, columns)`."""
    cross: Tensor
    """Products of columns and targets, shape `(roots, systems, columns, targets)`."""
    energy: Tensor
    """Sum of squares of the targets, shape `(roots, systems)`."""
    costs: Tensor
    """Cost of each column, shape `(roots, systems, columns)`."""
    budget: Tensor
    """Largest cost, shape `(roots, systems)`."""
    is_fixed: Tensor
    """Columns whose gates stay open, bool, shape `(roots, systems, columns)`."""
    ridge: float = 0.0
    """Multiple of the squared coefficients that is added to the loss."""


def expected_loss(problem: Relaxed, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Expected sum of squares under independent gates, at the coefficients that make it least.

    .. math:: E \|t - K (z \circ w)\|^2 = \|t - K (m \circ w)\|^2 + \sum_j v_j w_j^2 \|k_j\|^2

    The coefficients are constants for autograd: at its least point the loss does not change with them.

    Args:
        problem: columns and targets.
        mean: m, mean gates, shape `(roots, systems, starts, columns)`.
        variance: v, variances of the gates, same shape.

    Returns:
        Shape `(roots, systems, starts)`.

    Source:
        Srivastava et al. (2014), "Dropout", section 9.1, for gates on the inputs of a linear regression.

    Example:
        >>> one = torch.ones(1, 1, 1, 1).double()
        >>> ones = torch.ones(1, 1).double()
        >>> problem = Relaxed(one, one, ones, one[0], ones, one[0] < 0)
        >>> expected_loss(problem, 0.5 * one, 0.25 * one)
        tensor([[[0.5000]]], dtype=torch.float64)
    """
    products, cross = problem.products.unsqueeze(2), problem.cross.unsqueeze(2)
    own = products.diagonal(dim1=-2, dim2=-1)
    with torch.no_grad():
        scaled = mean.unsqueeze(-1) * products * mean.unsqueeze(-2)
        scaled.diagonal(dim1=-2, dim2=-1).add_(variance * own + problem.ridge + 1e-10)
        factor = torch.linalg.cholesky(scaled)
        weights = torch.cholesky_solve(mean.unsqueeze(-1) * cross, factor)  # (roots, systems, starts, columns, targets)
    product = mean.unsqueeze(-1) * weights
    fitted = (product * (products @ product - 2 * cross)).sum((-1, -2))
    spread = ((variance * own + problem.ridge).unsqueeze(-1) * weights.square()).sum((-1, -2))
    return problem.energy.unsqueeze(-1) + fitted + spread


def anneal(problem: Relaxed, starts: int) -> Iterator[Tensor]:
    """Close gates down to the budget; yields columns by how open they are, again and again once it is reached.

    The multiplier of the budget grows with the logarithm of the expected cost over a falling target, as for networks.

    Args:
        problem: columns and budget.
        starts: how many sets of gates, from different log-odds.

    Yields:
        Indices of the columns, the most open first, shape `(roots, systems, starts, columns)`.
    """
    shape = (*problem.budget.shape, starts, problem.products.shape[-1])
    noise = uniform(counters(1, device=problem.products.device), shape[0] * shape[1] * shape[2] * shape[3])
    log_odds = noise.logit().view(shape).to(problem.products.dtype)
    fixed = problem.is_fixed.unsqueeze(2)
    log_odds = torch.where(fixed, _OPEN, log_odds).requires_grad_()
    optimizer = torch.optim.Adam([log_odds], lr=_RATE)
    multiplier = torch.zeros(shape[:-1], dtype=log_odds.dtype, device=log_odds.device)
    total = problem.costs.sum(-1, keepdim=True)
    budget = problem.budget.unsqueeze(-1)
    for step in range(1, _STEPS + 1):
        gates = HardConcrete(log_odds, validate_args=False)
        paid = (gates.prob_open * problem.costs.unsqueeze(2)).sum(-1)
        loss = expected_loss(problem, gates.mean, gates.variance).clamp_min(1e-300)
        objective = loss.log() + multiplier * (paid / budget).log()
        optimizer.zero_grad()
        objective.sum().backward()
        assert log_odds.grad is not None
        log_odds.grad.masked_fill_(fixed, 0.0)
        optimizer.step()
        target = budget * (total / budget).pow(max(0.0, 1 - step / (_RAMP * _STEPS)))
        multiplier = (multiplier + _PULL * (paid.detach() / target).log()).clamp_min(0)
        if step >= _RAMP * _STEPS and step % _PROPOSE_EVERY == 0:
            yield log_odds.detach().argsort(-1, descending=True)
