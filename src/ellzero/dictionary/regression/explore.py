"""Exploration by gates: a relaxed problem whose solution proposes supports, which exchanges then polish."""

__all__ = ["explore"]

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import columns_of, swap_gains
from ellzero.dictionary.regression.relaxed import Relaxed, anneal
from ellzero.dictionary.regression.search import Search
from ellzero.dictionary.regression.swaps import grow, improve

_CANDIDATES = 96  # columns that get a gate: the others are far from any exchange that helps


def explore(search: Search, supports: Tensor, *, starts: int = 4, depth: int = 2) -> tuple[Tensor, Tensor]:
    """Put gates on the most promising columns, close them down to the budget, and polish what stays open.

    Args:
        search: what the supports are for.
        supports: the best known, shape `(roots, systems, slots)`.
        starts: how many sets of gates, which begin with different log-odds.
        depth: how many terms are exchanged at once when supports are polished, 1 or 2.

    Returns:
        Supports, at least as good as the given ones, of the same shape, and their losses, `(roots, systems)`.

    Source:
        Louizos, Welling & Kingma (2018), https://arxiv.org/abs/1712.01312, for the gates; their expected loss is
        formed in closed form here instead of sampled.
    """
    fits = search.fit(supports)
    supports, loss = fits.supports, fits.loss
    candidates = _candidates(search, supports)  # (roots, systems, candidates)
    chosen = columns_of(search.root, candidates)
    problem = Relaxed(  # with room for a column at least: gates do not all shut
        products=chosen.mT @ chosen, cross=chosen.mT @ search.target, energy=search.target.square().sum((-1, -2)),
        costs=search.costs[candidates], budget=search.budget.clamp_min(float(search.costs.min())),
        is_fixed=search.is_fixed[candidates], ridge=search.ridge,
    )  # fmt: skip
    for order in anneal(problem, starts):  # (roots, systems, starts, candidates), most open first
        ranked = candidates.unsqueeze(-2).expand(order.shape).gather(-1, order)
        for start in range(starts):
            other = improve(search, grow(search, _within_budget(search, ranked[:, :, start], supports)), depth=depth)
            is_better = other.loss < loss - search.margin(loss)
            supports = torch.where(is_better.unsqueeze(-1), other.supports, supports)
            loss = torch.where(is_better, other.loss, loss)
    return supports, loss


def _candidates(search: Search, supports: Tensor) -> Tensor:
    """Fixed and chosen columns, those with the best exchanges, and those most correlated with the targets."""
    fits = search.fit(supports)
    num = search.num_columns
    size = min(_CANDIDATES, num)
    marginal = (search.root.mT.unsqueeze(1) @ search.target).square().sum(-1)  # (roots, systems, columns)
    by_exchange = swap_gains(fits).amax(-2).argsort(-1, descending=True).argsort(-1)
    by_marginal = marginal.argsort(-1, descending=True).argsort(-1)
    rank = torch.minimum(by_exchange, by_marginal)
    own = torch.zeros(*supports.shape[:2], num + 1, dtype=torch.bool, device=rank.device).scatter(-1, supports, True)
    rank = rank.masked_fill(own[..., :num] | search.is_fixed, -1)
    return rank.topk(size, -1, largest=False).indices


def _within_budget(search: Search, ranked: Tensor, supports: Tensor) -> Tensor:
    """The first columns of a ranking that the budgets and slots hold; the rest of the slots are empty."""
    num_slots = supports.shape[-1]
    fixed = search.is_fixed[ranked]
    ranked = ranked.gather(-1, (~fixed).to(torch.int8).argsort(dim=-1, stable=True))
    paid = search.costs[ranked].cumsum(-1) <= search.budget.unsqueeze(-1) * (1 + 1e-12)
    kept = torch.where(paid, ranked, search.num_columns)[..., :num_slots]
    return torch.nn.functional.pad(kept, (0, num_slots - kept.shape[-1]), value=search.num_columns)
