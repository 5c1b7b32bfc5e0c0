"""Inclusion probabilities from gates: the hard-concrete posterior closest to that of a sparse regression."""

__all__ = ["gate_probabilities"]

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from ellzero.dictionary.regression.layout import gram_of
from ellzero.dictionary.regression.options import whole
from ellzero.dictionary.regression.relaxed import Relaxed, expected_loss
from ellzero.distributions import HardConcrete, thresholds
from ellzero.noise import counters, uniform

_STEPS = 300
_RATE = 0.1


def gate_probabilities(
    features: Any, targets: Any = None, *, expected_terms: float, weights: Any = None, intercept: bool = False,
    starts: int = 8,
) -> Tensor:  # fmt: skip
    r"""Probability of each term, as the chance that its gate is open.

    .. math:: \min_a\; \frac n2 \log E_{z \sim q_a} \|y - X (z \circ w)\|^2 + \sum_j \mathrm{KL}(q_{a_j} \| q_{a_0})

    The prior gate is open with odds (k / (p - k)) n^{-1/2}: the first factor says how many terms are expected, the
    second is what a coefficient that is fitted must earn, as in BIC. Gates are independent under q: of columns that
    replace each other, the sum of the probabilities says more than each of them.

    Args:
        features: columns to choose from, shape `(*batch, samples, columns)`, or a `Gram`.
        targets: shape `(*batch, samples, targets)` or `(*batch, samples)`; None with a `Gram`.
        expected_terms: k, how many terms are expected before seeing the data, above 0 and below the number of columns.
        weights: weight of each sample.
        intercept: whether a constant is fitted beside the columns.
        starts: how many sets of gates, from different log-odds; each counts by its evidence, exp(-objective).

    Returns:
        Probabilities, float64, shape `(*batch, targets, columns)`, without the targets if they had no dimension.

    Raises:
        ValueError: if the expected number of terms is out of range, and as `Gram.of`.

    Source:
        Louizos, Welling & Kingma (2018), https://arxiv.org/abs/1712.01312; Carbonetto & Stephens (2012), "Scalable
        variational inference for Bayesian variable selection in regression", for the independent posterior.

    Example:
        >>> x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> y = x[:, 1] - 2 * x[:, 4] + 0.1 * x[:, 5]
        >>> gate_probabilities(x[:, :5], y, expected_terms=2) > 0.5
        tensor([False,  True, False, False,  True])
    """
    starts = whole(starts, "starts", least=1)
    gram, is_single = gram_of(features, targets, weights=weights, intercept=intercept)
    num, num_targets = gram.num_columns, gram.num_targets
    if not 0 < expected_terms < num:
        raise ValueError(f"expected_terms must lie between 0 and the {num} columns, got {expected_terms}; try 1.0")
    root = gram.root.reshape(-1, *gram.root.shape[-2:])
    target = gram.target.reshape(len(root), -1, num_targets)
    cross = (root.mT @ target).mT.unsqueeze(-1)  # (roots, targets, columns, 1)
    energy = gram.energy.reshape(len(root), num_targets)
    ones = torch.ones(len(root), num_targets, num, dtype=root.dtype, device=root.device)
    products = (root.mT @ root).unsqueeze(1).expand(-1, num_targets, -1, -1)
    problem = Relaxed(products, cross, energy, ones, ones[..., 0], ones < 0)
    prior = math.log(expected_terms / (num - expected_terms)) - 0.5 * math.log(gram.num_samples)
    found = _fit(problem, prior + thresholds()[0], gram.num_samples, starts).view(*gram.batch_shape, num_targets, num)
    return found.squeeze(-2) if is_single else found


def _fit(problem: Relaxed, prior: float, num_samples: int, starts: int) -> Tensor:
    """Chances to be open, the starts weighted by their evidence, shape `(roots, targets, columns)`."""
    num_roots, num_targets, num = problem.costs.shape
    shape = (num_roots, num_targets, starts, num)
    noise = uniform(counters(2, device=problem.costs.device), num_roots * num_targets * starts * num)
    log_odds = noise.logit().view(shape).to(torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([log_odds], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS, eta_min=_RATE / 20)
    before = HardConcrete(torch.full_like(log_odds, prior, requires_grad=False))
    for _ in range(_STEPS):
        gates = HardConcrete(log_odds, validate_args=False)
        loss = expected_loss(problem, gates.mean, gates.variance)
        loss = torch.maximum(loss, 1e-24 * problem.energy.unsqueeze(-1)).clamp_min(1e-300)
        objective = 0.5 * num_samples * loss.log() + kl_divergence(gates, before).sum(-1)
        optimizer.zero_grad()
        objective.sum().backward()
        optimizer.step()
        schedule.step()
    share = torch.softmax(-objective.detach(), -1).unsqueeze(-1)  # what each optimum weighs in the evidence
    return (share * HardConcrete(log_odds.detach()).prob_open).sum(-2)
