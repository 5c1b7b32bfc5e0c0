"""Lengths of columns, and the triangular factor that keeps them while the rows go."""

__all__ = ["lengths_of", "triangle", "unit_columns", "varying"]

import torch
from torch import Tensor

_CHUNK = 2**16  # rows that are factorised at once: memory follows the columns, not the samples
_CONSTANT = 1e-12  # a centred column that is shorter than this part of the plain one is a constant


def triangle(x: Tensor, y: Tensor, root_weights: Tensor | None, intercept: bool) -> Tensor:
    """Triangular factor of the weighted columns `[1, features, targets]`, chunk by chunk.

    Args:
        x: features, shape `(*batch, samples, columns)`.
        y: targets, shape `(*batch, samples, targets)`.
        root_weights: square roots of the weights, a column, or None.
        intercept: whether the column of ones is there.

    Returns:
        The factor, upper triangular.
    """
    factor: Tensor | None = None
    for start in range(0, x.shape[-2], _CHUNK):
        rows = slice(start, start + _CHUNK)
        ones = [torch.ones_like(y[..., rows, :1])] if intercept else []
        part = torch.cat([*ones, x[..., rows, :], y[..., rows, :]], -1)
        part = part if root_weights is None else part * root_weights[..., rows, :]
        factor = torch.linalg.qr(part if factor is None else torch.cat([factor, part], -2), mode="r").R
    assert factor is not None
    return factor


def unit_columns(root: Tensor, shift: Tensor, *, in_place: bool = False) -> tuple[Tensor, Tensor]:
    """Columns of length one and the lengths; what is left of a constant after the `shift` by centring becomes zero.

    Args:
        root: columns, shape `(*batch, rows, columns)`.
        shift: lengths of what centring took away.
        in_place: whether the columns may be overwritten.

    Returns:
        Columns and lengths; one where there is nothing.
    """
    length = lengths_of(root)
    is_present = length > _CONSTANT * torch.hypot(length, shift)
    scale = torch.where(is_present, length, torch.ones_like(length))
    factor = (is_present / scale).unsqueeze(-2)
    return root.mul_(factor) if in_place else root * factor, scale


def varying(target: Tensor, rest: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and what no column explains; what centring, by the `shift`, leaves of a constant becomes zero.

    Args:
        target: shape `(*batch, rows, targets)`.
        rest: energy that no column explains, shape `(*batch, targets)`.
        shift: lengths of what centring took away.

    Returns:
        Both, corrected.
    """
    length = (target.square().sum(-2) + rest).sqrt()
    is_constant = length <= _CONSTANT * torch.hypot(length, shift)
    return target.masked_fill(is_constant.unsqueeze(-2), 0.0), rest.masked_fill(is_constant, 0.0)


def lengths_of(columns: Tensor) -> Tensor:
    """Euclidean lengths of the columns; torch's own norm is several times slower along this dimension."""
    return columns.square().sum(-2).sqrt()
