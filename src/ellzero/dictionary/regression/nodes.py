"""Lower bounds for sets of supports: what all columns that are still allowed leave, and what must be given up."""

__all__ = ["Measured", "measure"]

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_SINGULAR = 1e-9  # diagonal of the triangle below which a column lies in the span of those before it
_SAFE = 1e10  # diagonal of the inverse Gram matrix up to which it may be updated


@final
@dataclass(frozen=True)
class Measured:
    """Least squares on all columns that a node still allows."""

    loss: Tensor
    """Sum of squares, shape `(nodes,)`: no support of the node has less."""
    drops: Tensor
    """What the loss grows by at least when a group is given up, zero for absent ones, shape `(nodes, groups)`."""
    drops_after: Tensor | None
    """The same after another group was given up first, `(nodes, given up, groups)`; None where that loses digits."""


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
    num_columns, num_targets = root.shape[1], target.shape[1]
    column_mask = _of_columns(is_present, members, num_columns)
    triangle, fitted, loss = _factor(root, target, column_mask)
    unit = torch.eye(num_columns, dtype=root.dtype, device=root.device).expand_as(triangle)
    inverse = torch.linalg.solve_triangular(triangle, unit, upper=True)
    weights = inverse @ fitted  # (nodes, columns, targets)
    inverse = inverse @ inverse.mT
    if members.shape[1] > 1:
        return Measured(loss, _block_drops(inverse, weights, members) * is_present, None)
    lengths = inverse.diagonal(dim1=-2, dim2=-1)
    drops = weights.square().sum(-1) / lengths * is_present
    if not bool((lengths < _SAFE).all()) or num_targets > 1:
        return Measured(loss, drops, None)
    own = weights.squeeze(-1)
    after_weights = own.unsqueeze(-2) - (own / lengths).unsqueeze(-1) * inverse
    after_lengths = lengths.unsqueeze(-2) - inverse.square() / lengths.unsqueeze(-1)
    after = after_weights.square() / after_lengths.clamp_min(1e-12)
    after = after.masked_fill(after_lengths < 1e-6, 0.0) * is_present.unsqueeze(-2)
    after.diagonal(dim1=-2, dim2=-1).zero_()
    return Measured(loss, drops, after)


def _of_columns(is_present: Tensor, members: Tensor, num_columns: int) -> Tensor:
    """Which columns are present, shape `(nodes, columns)`."""
    found = torch.zeros(len(is_present), num_columns + 1, dtype=torch.bool, device=is_present.device)
    found[:, members.flatten()] = is_present.repeat_interleave(members.shape[1], -1)
    return found[:, :num_columns]


def _factor(root: Tensor, target: Tensor, column_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle of the present columns (one on the diagonal of absent ones), targets in its basis, and what is left."""
    num_columns, num_targets = root.shape[1], target.shape[1]
    top = torch.cat([root * column_mask.unsqueeze(-2), target.expand(len(column_mask), -1, -1)], -1)
    low = torch.nn.functional.pad(torch.diag_embed((~column_mask).to(root.dtype)), (0, num_targets))
    both = torch.linalg.qr(torch.cat([top, low], -2), mode="r").R
    triangle, fitted = both[:, :num_columns, :num_columns], both[:, :num_columns, num_columns:]
    loss = both[:, num_columns:, num_columns:].square().sum((-1, -2))
    is_singular = triangle.diagonal(dim1=-2, dim2=-1).abs() < _SINGULAR
    if bool(is_singular.any()):
        fitted = fitted.masked_fill(is_singular.unsqueeze(-1), 0.0)
        triangle = triangle.clone()
        triangle.diagonal(dim1=-2, dim2=-1)[is_singular] = _SINGULAR
    return triangle, fitted, loss


def _block_drops(inverse: Tensor, weights: Tensor, members: Tensor) -> Tensor:
    """Drops of groups of several columns."""
    num_columns = inverse.shape[-1]
    padded = torch.nn.functional.pad(inverse, (0, 1, 0, 1))
    blocks = padded[:, members.unsqueeze(-1), members.unsqueeze(-2)]  # (nodes, groups, width, width)
    is_padding = members == num_columns
    blocks = blocks + torch.diag_embed(is_padding.to(inverse.dtype))
    gone = torch.nn.functional.pad(weights, (0, 0, 0, 1))[:, members]  # (nodes, groups, width, targets)
    return (gone * torch.linalg.solve_ex(blocks, gone).result).sum((-1, -2)).clamp_min(0)
