"""Exchanges of two terms at once, exact for the most promising slots and columns."""

__all__ = ["best_pairs"]

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import DEPENDENT, Fits, columns_of, swap_gains
from ellzero.dictionary.regression.search import Search

_COLUMNS = 24  # that may enter, those with the best exchanges of one term
_SLOTS = 16  # that may be emptied, those that are missed least
_ELEMENTS = 4_000_000  # exchanges that are scored in one piece
_PARALLEL = 1e-13  # squared sine below which the two that enter count as one
_NO_ENERGY = 1e-300  # keeps masked entries finite


def best_pairs(search: Search, fits: Fits) -> tuple[Tensor, Tensor]:
    r"""The best exchange of two terms for two others, or for one, in every system.

    .. math:: \begin{pmatrix} r_x \\ r_z \end{pmatrix}^\top \begin{pmatrix} S_{xx} & S_{xz} \\ S_{xz} & S_{zz}
        \end{pmatrix}^{-1} \begin{pmatrix} r_x \\ r_z \end{pmatrix} - w_{ab}^\top (H_{ab})^{-1} w_{ab}

    with r and S of the columns x and z after the terms a and b have left.

    Args:
        search: what the supports are for.
        fits: of the supports.

    Returns:
        Supports after the exchange, shape `(roots, systems, slots)`, and where it promises to help: gains are formed
        with cancellation, so that only a fit of what comes back can tell.

    Source:
        Miller (2002), "Subset Selection in Regression", section 3.4, replacing two variables at a time.
    """
    num_slots, num_columns = fits.supports.shape[-1], search.num_columns
    if num_slots < 2 or num_columns < 2:
        return fits.supports, torch.zeros_like(fits.loss, dtype=torch.bool)
    entering, can_enter = _entering(fits)
    slots = _leaving(search, fits)  # (roots, systems, chosen slots)
    first, second = torch.triu_indices(slots.shape[-1], slots.shape[-1], 1, device=slots.device)
    leaving = torch.stack([slots[..., first], slots[..., second]], -1)  # (roots, systems, pairs, 2)
    parts = _flat(search, fits, entering, can_enter, leaving)
    gains, step = [], max(1, _ELEMENTS // max(1, leaving.shape[-2] * (entering.shape[-1] + 1) ** 2))
    for start in range(0, parts[0].shape[0], step):
        gains.append(_best(*(part[start : start + step] for part in parts)))
    gain, pair, x, z = (torch.cat(part).view(fits.loss.shape) for part in zip(*gains, strict=True))
    where = leaving.gather(-2, pair[..., None, None].expand(*pair.shape, 1, 2)).squeeze(-2)
    padded = torch.cat([entering, torch.full_like(entering[..., :1], num_columns)], -1)
    what = padded.gather(-1, torch.stack([x, z], -1))
    helps = gain > search.margin(fits.loss)  # where no exchange is allowed the gain is minus infinity
    return torch.where(helps.unsqueeze(-1), fits.supports.scatter(-1, where, what), fits.supports), helps


def _entering(fits: Fits) -> tuple[Tensor, Tensor]:
    """Columns whose exchange with some single term gains most, shape `(roots, systems, columns)`; which ones can be."""
    best = swap_gains(fits).amax(-2).topk(min(_COLUMNS, fits.variance.shape[-1]), -1)
    return best.indices, best.values > -torch.inf


def _leaving(search: Search, fits: Fits) -> Tensor:
    """Slots that may be emptied, those that are missed least."""
    drops = fits.drops.masked_fill(search.is_kept(fits.supports), torch.inf)
    return drops.topk(min(_SLOTS, drops.shape[-1]), -1, largest=False).indices


def _flat(search: Search, fits: Fits, entering: Tensor, can_enter: Tensor, leaving: Tensor) -> list[Tensor]:
    """What scoring needs, one row per system; columns that cannot enter are beyond every budget."""
    wide = entering.unsqueeze(-2)
    cross = fits.cross.gather(-1, wide.expand(*fits.cross.shape[:-1], -1))
    correlation = fits.correlation.gather(-1, wide.expand(*fits.correlation.shape[:-1], -1))
    columns = fits.supports.gather(-1, leaving.flatten(-2)).view(leaving.shape)
    budget = search.room(fits.supports).unsqueeze(-1) + search.padded_costs()[columns].sum(-1)
    budget = budget.masked_fill(search.is_kept(columns).any(-1), -torch.inf)
    costs = search.costs[entering].masked_fill(~can_enter, torch.inf)
    inverse, block = fits.inverse @ fits.inverse.mT, _outside(search, fits, entering)
    parts = (inverse, fits.weights, cross, correlation, block, costs, leaving, budget)
    return [part.flatten(0, 1) for part in parts]


def _outside(search: Search, fits: Fits, entering: Tensor) -> Tensor:
    """Products of columns outside the span of the support, shape `(roots, systems, columns, columns)`."""
    chosen = columns_of(search.root, entering)
    inside = fits.basis.mT @ chosen
    if search.ridge > 0:  # the basis is orthonormal with its rows of the ridge only
        block = chosen.mT @ chosen - inside.mT @ inside
        block.diagonal(dim1=-2, dim2=-1).add_(search.ridge)
        return block
    outside = chosen - fits.basis @ inside
    return outside.mT @ outside


def _best(  # noqa: PLR0917  # chunks of the parts, in the order of _flat
    inverse: Tensor, weights: Tensor, cross: Tensor, correlation: Tensor, block: Tensor, costs: Tensor,
    leaving: Tensor, budget: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Best gain, pair of slots and two columns (the number of columns stands for none), one of each per system."""
    rows = torch.arange(len(inverse), device=inverse.device)[:, None, None]
    pair = inverse[rows.unsqueeze(-1), leaving.unsqueeze(-1), leaving.unsqueeze(-2)]  # (systems, pairs, 2, 2)
    gone = weights[rows, leaving]  # (systems, pairs, 2, targets)
    turned = torch.linalg.solve_ex(pair, gone).result
    loss = (gone * turned).sum((-1, -2))
    across = _with_none(cross[rows, leaving], 0.0)  # (systems, pairs, 2, columns)
    left = _with_none(correlation, 0.0).unsqueeze(1) + turned.mT @ across  # (systems, pairs, targets, columns)
    inner = torch.linalg.solve_ex(pair, across).result
    block = torch.nn.functional.pad(block, (0, 1, 0, 1))
    block[:, -1, -1] = 1.0
    square = block.unsqueeze(1) + across.mT @ inner  # (systems, pairs, columns, columns)
    own = square.diagonal(dim1=-2, dim2=-1)
    is_dependent = own <= DEPENDENT
    own = own.clamp_min(_NO_ENERGY)
    # Of x and z scaled to unit length: (a^2 + b^2 - 2 a b c) / (1 - c^2), c their cosine.
    unit = left / own.sqrt().unsqueeze(-2)
    cosine = square / (own.unsqueeze(-1) * own.unsqueeze(-2)).sqrt()
    energy = unit.square().sum(-2)
    sine = 1 - cosine.square()
    gains = (energy.unsqueeze(-1) + energy.unsqueeze(-2) - 2 * cosine * (unit.mT @ unit)) / sine
    is_dependent = is_dependent.unsqueeze(-1) | is_dependent.unsqueeze(-2) | (sine < _PARALLEL)
    gains = gains.masked_fill(is_dependent, -torch.inf) - loss[..., None, None]
    paid = _with_none(costs, 0.0)
    gains = gains.masked_fill(
        (paid.unsqueeze(-1) + paid.unsqueeze(-2)).unsqueeze(1) > budget[..., None, None], -torch.inf
    )
    best, num = gains.flatten(1).max(-1), gains.shape[-1]
    pair_of, rest = best.indices // (num * num), best.indices % (num * num)
    return best.values, pair_of, rest // num, rest % num


def _with_none(values: Tensor, fill: float) -> Tensor:
    """One more column, for none."""
    return torch.nn.functional.pad(values, (0, 1), value=fill)
