"""Lower bounds for sets of supports: what all columns that are still allowed leave, and what must be given up."""

__all__ = ["Measured", "measure"]

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_SINGULAR = 1e-9  # diagonal of the triangle below which a column lies in the span of those before it
_SAFE = 1e6  # diagonal of the inverse Gram matrix up to which it may be updated
_ROUNDING = 1 - 1e-6  # what such an update loses at most


@final
@dataclass(frozen=True)
class Measured:
    """Least squares on all columns that a node still allows."""

    loss: Tensor
    """Sum of squares, shape `(nodes,)`: no support of the node has less."""
    drops: Tensor
    """What the loss grows by at least when a group is given up, zero for absent ones, shape `(nodes, groups)`."""
    drops_after: Tensor | None
    """The same after another one was given up first, `(nodes, given up, groups)`, zero where that would lose digits;
    None for groups of several columns, or several targets."""


def measure(root: Tensor, target: Tensor, is_present: Tensor, members: Tensor) -> Measured:
    r"""Fit all columns that nodes allow, and find what giving up each group costs.

    .. math:: \mathrm{RSS}(S \setminus g) - \mathrm{RSS}(S) = w_g^\top (H_{gg})^{-1} w_g, \qquad H = (K_S^\top K_S)^{-1}

    Args:
        root: scaled columns, shape `(rows, columns)`.
        target: shape `(rows, targets)`.
        is_present: which groups are still allowed, bool, shape `(nodes, groups)`.
        members: columns of each group, the number of columns where there are no more, shape `(groups, width)`.

    Returns:
        The measures. Columns that depend on others cost nothing: all figures stay lower bounds.

    Source:
        Furnival & Wilson (1974), "Regressions by leaps and bounds", Technometrics 16.

    Example:
        >>> unit = torch.eye(2).double()
        >>> target, present = torch.tensor([[3.0], [4.0]]).double(), torch.ones(1, 2).bool()
        >>> found = measure(unit, target, present, torch.arange(2)[:, None])
        >>> found.loss, found.drops
        (tensor([0.], dtype=torch.float64), tensor([[ 9., 16.]], dtype=torch.float64))
    """
    column_mask = _of_columns(is_present, members, root.shape[1])
    inverse, weights, loss, is_spanned = _fit(root, target, column_mask)
    lengths = inverse.diagonal(dim1=-2, dim2=-1)
    singles = (weights.square().sum(-1) / lengths).masked_fill(is_spanned, 0.0)
    is_safe = (lengths < _SAFE).all(-1)
    if members.shape[1] > 1:
        own = torch.nn.functional.pad(singles * column_mask, (0, 1))[:, members].amax(-1)
        drops = torch.where(is_safe.unsqueeze(-1), _block_drops(inverse, weights, members), own)
        return Measured(loss, drops * is_present, None)
    if target.shape[1] > 1:
        return Measured(loss, singles * is_present, None)
    after = _drops_after(inverse, weights.squeeze(-1)) * (is_safe[:, None] & is_present).unsqueeze(-2)
    return Measured(loss, singles * is_present, after)


def _of_columns(is_present: Tensor, members: Tensor, num_columns: int) -> Tensor:
    """Which columns are present, shape `(nodes, columns)`."""
    found = torch.zeros(len(is_present), num_columns + 1, dtype=torch.bool, device=is_present.device)
    found[:, members.flatten()] = is_present.repeat_interleave(members.shape[1], -1)
    return found[:, :num_columns]


def _fit(root: Tensor, target: Tensor, column_mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inverse Gram matrices, coefficients, losses, and which present columns lie in the span of others before them."""
    num_columns = root.shape[1]
    factor, order, is_last = _factor(root, target, column_mask)
    triangle, fitted = factor[:, :num_columns, :num_columns], factor[:, :num_columns, num_columns:]
    loss = factor[:, num_columns:, num_columns:].square().sum((-1, -2))
    if bool(is_last.any()):
        either = is_last.unsqueeze(-1) & is_last.unsqueeze(-2)
        triangle = torch.where(
            either, _SINGULAR * torch.eye(num_columns, dtype=root.dtype, device=root.device), triangle
        )
        loss = loss + (fitted.square().sum(-1) * is_last).sum(-1)  # their directions are rounding errors
        fitted = fitted.masked_fill(is_last.unsqueeze(-1), 0.0)
    unit = torch.eye(num_columns, dtype=root.dtype, device=root.device).expand_as(triangle)
    inverse = torch.linalg.solve_triangular(triangle, unit, upper=True)
    back = order.argsort(-1)
    inverse = inverse.gather(-2, back.unsqueeze(-1).expand_as(inverse))  # rows in the order of the columns
    return inverse @ inverse.mT, inverse @ fitted, loss, is_last.gather(-1, back)


def _factor(root: Tensor, target: Tensor, column_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Triangles of the present columns and the targets, the order of the columns in them, and which ones are last.

    Invariant: columns that depend on those before them come last, so that the arbitrary directions that a reflection
    gives them take nothing from the others. The first one found follows independent columns only, and is trusted.
    """
    is_last = column_mask & ~root.any(-2)
    order = is_last.to(torch.int8).argsort(dim=-1, stable=True)
    factor = _triangle(root, target, column_mask, order)
    while True:
        last = is_last.gather(-1, order)
        diagonal = factor.diagonal(dim1=-2, dim2=-1)[:, : root.shape[1]]
        is_small = (diagonal.abs() < _SINGULAR) & ~last
        if not bool(is_small.any()):
            return factor, order, last
        is_first = is_small & (is_small.cumsum(-1) == 1)
        is_last = is_last.scatter(-1, order, last | is_first)
        nodes = is_first.any(-1).nonzero().flatten()
        order[nodes] = is_last[nodes].to(torch.int8).argsort(dim=-1, stable=True)
        factor[nodes] = _triangle(root, target, column_mask[nodes], order[nodes])


def _triangle(root: Tensor, target: Tensor, column_mask: Tensor, order: Tensor) -> Tensor:
    """Factor of the columns in an order, and the targets; one on the diagonal of absent columns."""
    mask = column_mask.gather(-1, order)
    columns = root.T[order].mT * mask.unsqueeze(-2)  # (nodes, rows, columns)
    top = torch.cat([columns, target.expand(len(mask), -1, -1)], -1)
    low = torch.nn.functional.pad(torch.diag_embed((~mask).to(root.dtype)), (0, target.shape[1]))
    return torch.linalg.qr(torch.cat([top, low], -2), mode="r").R


def _drops_after(inverse: Tensor, weights: Tensor) -> Tensor:
    """What giving up a column costs after another one was given up, shape `(nodes, given up first, columns)`."""
    lengths = inverse.diagonal(dim1=-2, dim2=-1)
    after_weights = weights.unsqueeze(-2) - (weights / lengths).unsqueeze(-1) * inverse
    after_lengths = lengths.unsqueeze(-2) - inverse.square() / lengths.unsqueeze(-1)
    after = after_weights.square() / after_lengths.clamp_min(1e-12)
    after = after.masked_fill(after_lengths < 1e-6, 0.0) * _ROUNDING
    after.diagonal(dim1=-2, dim2=-1).zero_()
    return after


def _block_drops(inverse: Tensor, weights: Tensor, members: Tensor) -> Tensor:
    """Drops of groups of several columns."""
    num_columns = inverse.shape[-1]
    padded = torch.nn.functional.pad(inverse, (0, 1, 0, 1))
    blocks = padded[:, members.unsqueeze(-1), members.unsqueeze(-2)]  # (nodes, groups, width, width)
    is_padding = members == num_columns
    blocks = blocks + torch.diag_embed(is_padding.to(inverse.dtype))
    gone = torch.nn.functional.pad(weights, (0, 0, 0, 1))[:, members]  # (nodes, groups, width, targets)
    return (gone * torch.linalg.solve_ex(blocks, gone).result).sum((-1, -2)).clamp_min(0)
