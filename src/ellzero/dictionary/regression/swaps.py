"""Local search over supports: greedy growth, then exchanges of one or two terms until none helps."""

__all__ = ["empty_supports", "grow", "improve"]

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import Fits, columns_of, swap_gains
from ellzero.dictionary.regression.pairs import best_pairs
from ellzero.dictionary.regression.search import Search

_FEW = 0.5  # share of the systems that move up to which the others are set aside
_RELIABLE = 1e-11  # squared sines that are updated step by step say nothing below this; exchanges form them anew


def empty_supports(search: Search, num_slots: int) -> Tensor:
    """Supports that hold the fixed columns only.

    Args:
        search: what they are for.
        num_slots: most columns that a support can hold.

    Returns:
        Indices, shape `(roots, systems, slots)`.
    """
    fixed = search.is_fixed.nonzero().flatten()
    supports = torch.full((*search.budget.shape, num_slots), search.num_columns, device=search.root.device)
    supports[..., : len(fixed)] = fixed
    return supports


def grow(search: Search, supports: Tensor, *, per_cost: bool = True) -> Tensor:
    """Fill empty slots one after the other with the column that lowers the loss most, for its cost or altogether.

    Args:
        search: what the supports are for.
        supports: indices, shape `(roots, systems, slots)`; the number of columns where a slot is empty.
        per_cost: whether the gain is divided by the cost of the column.

    Returns:
        Supports of the same shape; slots stay empty where no column fits the budget or helps.

    Source:
        Miller (2002), "Subset Selection in Regression", section 3.2, by modified Gram-Schmidt.
    """
    supports = supports.sort(-1).values
    num_slots, num_filled = supports.shape[-1], int((supports != search.num_columns).sum(-1).max())
    fits = search.fit(supports[..., :num_filled])  # the other slots are empty in all systems
    supports[..., :num_filled] = fits.supports
    num_empty, room = int((supports == search.num_columns).sum(-1).max()), search.room(supports)
    basis = torch.nn.functional.pad(fits.basis, (0, num_slots - num_filled))
    variance, correlation = fits.variance, fits.correlation
    for slot in range(num_slots - num_empty, num_slots):
        is_open = supports[..., slot] == search.num_columns
        gains = correlation.square().sum(-2) / variance
        gains = gains.masked_fill((variance <= _RELIABLE) | (search.costs > room.unsqueeze(-1)), 0.0)
        best = (gains / search.costs if per_cost else gains).argmax(-1, keepdim=True)
        helps = (gains.gather(-1, best).squeeze(-1) > search.margin(0.0)) & is_open
        if not bool(helps.any()):
            break
        supports[..., slot] = torch.where(helps, best.squeeze(-1), supports[..., slot])
        room = room - torch.where(helps, search.costs[best.squeeze(-1)], 0.0)
        vector = _next_direction(search, basis, best, variance) * helps[..., None, None]
        basis[..., slot] = torch.where(helps.unsqueeze(-1), vector.squeeze(-1), basis[..., slot])
        along = (vector.mT.squeeze(-2) @ search.root).unsqueeze(-2)  # (roots, systems, 1, columns)
        share = correlation.gather(-1, best.unsqueeze(-2).expand(*correlation.shape[:-1], 1))
        share = share / variance.gather(-1, best).sqrt().unsqueeze(-2) * helps[..., None, None]
        correlation = correlation - share * along
        variance = variance - along.squeeze(-2).square()
        taken = best.masked_fill(~helps.unsqueeze(-1), 0)
        variance = torch.where(
            helps.unsqueeze(-1) & (torch.arange(search.num_columns, device=taken.device) == taken), torch.inf, variance
        )
    return supports


def improve(search: Search, supports: Tensor, *, depth: int = 2, max_rounds: int = 1000) -> Fits:
    """Exchange terms, the best exchange first, until no exchange of one (or two) terms lowers the loss.

    Args:
        search: what the supports are for.
        supports: where to start, shape `(roots, systems, slots)`.
        depth: 1 for exchanges of one term, 2 for two at once as well, among the most promising columns.
        max_rounds: exchanges at most.

    Returns:
        The fits of the supports that were reached.

    Source:
        Miller (2002), "Subset Selection in Regression", section 3.4; Zhu et al. (2020), "A polynomial algorithm for
        best-subset selection problem", PNAS, splice in blocks what is done here one exact exchange at a time.
    """
    fits, level, exchanges = search.fit(supports), 0, (_exchange_one, best_pairs)[:depth]
    for _ in range(max_rounds):
        moved, has_moved = exchanges[level](search, fits)
        num_moved = int(has_moved.sum())
        if num_moved > _FEW * has_moved.numel():
            fits, helped = _accepted(search, fits, search.fit(moved))
            level = 0 if helped else level + 1
        else:
            if num_moved:  # the others stay aside until these have come to rest
                part = search.of_systems(has_moved)
                few = improve(part, moved[has_moved].view(*part.budget.shape, -1), depth=depth, max_rounds=max_rounds)
                moved[has_moved] = few.supports.flatten(0, 1)
                fits, _ = _accepted(search, fits, search.fit(moved))
            level += 1
        if level == len(exchanges):
            break
    return fits


def _accepted(search: Search, before: Fits, after: Fits) -> tuple[Fits, bool]:
    """Fits after an exchange where it lowered the loss, before it elsewhere; whether there was one that did.

    What an exchange gains is formed with cancellation, a loss is not: where columns nearly depend on each other the
    promise may be wrong.
    """
    has_moved = (after.supports != before.supports).any(-1)
    helps = before.loss - after.loss > search.margin(before.loss)
    if bool((has_moved & ~helps).any()):
        after = search.fit(torch.where(helps.unsqueeze(-1), after.supports, before.supports))
    return after, bool(helps.any())


def _exchange_one(search: Search, fits: Fits) -> tuple[Tensor, Tensor]:
    """Supports after the best exchange of one term, and where there was one."""
    gains = swap_gains(fits)
    costs = search.padded_costs()
    budget = search.room(fits.supports).unsqueeze(-1) + costs[fits.supports]  # what may stand in each slot
    gains = gains.masked_fill(costs[:-1] > budget.unsqueeze(-1), -torch.inf)
    gains = gains.masked_fill(search.is_kept(fits.supports).unsqueeze(-1), -torch.inf)
    best = gains.flatten(-2).max(-1)
    slot, column = best.indices // search.num_columns, best.indices % search.num_columns
    helps = best.values > search.margin(fits.loss)
    moved = fits.supports.scatter(-1, slot.unsqueeze(-1), column.unsqueeze(-1))
    return torch.where(helps.unsqueeze(-1), moved, fits.supports), helps


def _next_direction(search: Search, basis: Tensor, best: Tensor, variance: Tensor) -> Tensor:
    """Unit vector of the new column outside the basis, shape `(roots, systems, rows, 1)`."""
    vector = columns_of(search.root, best)
    for _ in range(1 if search.ridge > 0 else 2):  # twice is enough; with a ridge the basis is not orthonormal
        vector = vector - basis @ (basis.mT @ vector)
    length = variance.gather(-1, best).sqrt().unsqueeze(-1) if search.ridge > 0 else vector.norm(dim=-2, keepdim=True)
    return vector / length.clamp_min(1e-150)
