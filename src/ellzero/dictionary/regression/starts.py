"""Other places to start a local search from: supports of which a part is exchanged at random."""

__all__ = ["choose", "kicked"]

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import swap_gains
from ellzero.dictionary.regression.search import Search
from ellzero.dictionary.regression.swaps import empty_supports, grow, improve
from ellzero.noise import counters, uniform

_SHARES = (1 / 3, 1 / 2, 2 / 3)  # of the terms leave, in turn
_CANDIDATES = 16  # that one random term enters from


def choose(search: Search, num_slots: int, *, starts: int = 1, depth: int = 2) -> tuple[Tensor, Tensor]:
    """Search for the best supports: greedy growth, exchanges, and exchanges again after random kicks.

    Args:
        search: what the supports are for.
        num_slots: most columns that a support can hold.
        starts: local searches altogether; each after the first starts near the best support so far.
        depth: how many terms are exchanged at once, 1 or 2.

    Returns:
        Supports, shape `(roots, systems, slots)`, and their losses, shape `(roots, systems)`.

    Source:
        Lourenco, Martin & Stutzle (2003), "Iterated local search", for the kicks.
    """
    fits = improve(search, grow(search, empty_supports(search, num_slots)), depth=depth)
    supports, loss = fits.supports, fits.loss
    for start in range(1, starts):
        grown = grow(search, kicked(search, supports, start), per_cost=start % 2 == 0)
        fits = improve(search, grown, depth=depth)
        is_better = fits.loss < loss - search.margin(loss)
        supports = torch.where(is_better.unsqueeze(-1), fits.supports, supports)
        loss = torch.where(is_better, fits.loss, loss)
    return supports, loss


def kicked(search: Search, supports: Tensor, start: int) -> Tensor:
    """Empty a third to two thirds of the slots, and put a random promising column in the place of one term.

    Args:
        search: what the supports are for.
        supports: indices, shape `(roots, systems, slots)`.
        start: number of the kick; the same number always gives the same kick.

    Returns:
        Supports of the same shape, some slots empty, within the budgets.
    """
    fits = search.fit(supports)
    supports, num_slots = fits.supports, supports.shape[-1]
    kept = ~search.is_free(supports)
    noise = uniform(counters(0, step=start, device=supports.device), supports.numel() + fits.loss.numel())
    keys = noise[: supports.numel()].view(supports.shape).masked_fill(kept, 2.0)
    leaving = keys.topk(max(1, round(num_slots * _SHARES[start % len(_SHARES)])), -1, largest=False).indices
    leaves = torch.zeros_like(kept).scatter(-1, leaving, True) & ~kept
    emptied = supports.masked_fill(leaves, search.num_columns)
    gains = swap_gains(fits).amax(-2)
    candidates = gains.topk(min(_CANDIDATES, search.num_columns), -1)
    draw = (noise[supports.numel() :].view(fits.loss.shape) * candidates.indices.shape[-1]).long().unsqueeze(-1)
    column = candidates.indices.gather(-1, draw)
    filled = emptied.scatter(-1, leaving[..., :1], column)
    can_enter = (candidates.values.gather(-1, draw) > -torch.inf) & ~kept.gather(-1, leaving[..., :1])
    fits_in = (search.room(filled) >= 0) & can_enter.squeeze(-1)
    return torch.where(fits_in.unsqueeze(-1), filled, emptied)
