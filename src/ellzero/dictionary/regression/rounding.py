"""Columns that depend on each other but for the rounding of single-precision data."""

__all__ = ["rounding_of", "without_rounding"]

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.regression.lengths import lengths_of

_MARGIN = 4.0  # roundings: features are often products of values that were rounded before
_MOST = 1e-2  # of a column: what is larger is never taken for rounding


def rounding_of(values: Any) -> float:
    """Relative rounding error of the numbers of a tensor or an array; zero for float64 and for whole numbers.

    Example:
        >>> rounding_of(torch.zeros(1)) == torch.finfo(torch.float32).eps, rounding_of([0.1])
        (True, 0.0)
    """
    dtype = values.dtype if isinstance(values, Tensor) else np.asarray(values).dtype
    if isinstance(dtype, torch.dtype):
        return torch.finfo(dtype).eps if dtype.is_floating_point and dtype.itemsize < 8 else 0.0
    return float(np.finfo(dtype).eps) if dtype.kind == "f" and dtype.itemsize < 8 else 0.0


def without_rounding(x: Tensor, rounding: float, root_weights: Tensor | None, *, intercept: bool) -> Tensor:
    r"""Features of which those that depend on others up to their rounding depend exactly.

    .. math:: \Big\|k_j - \sum_i d_i k_i\Big\| \le 4 \varepsilon \Big(r_j^2 + \sum_i d_i^2 r_i^2\Big)^{1/2},
        \qquad r_j = \|x_j\| / \|x_j - \bar x_j\|

    for columns k of unit length, centred beside an intercept: the column is then replaced by a sum of few terms. In
    single precision c^2 + s^2 is 1 but for rounding: fitted, the two columns would get huge coefficients that cancel.

    Args:
        x: features, float64, shape `(*batch, samples, columns)`.
        rounding: epsilon, as `rounding_of` the data says; zero changes nothing.
        root_weights: square roots of the weights, a column, or None.
        intercept: whether a constant is fitted beside the columns.

    Returns:
        The features, changed by no more than rounding. With no more samples than columns they are as before.

    Source:
        Golub & Van Loan (2013), "Matrix Computations", section 5.2, for Gram-Schmidt; Pati, Rezaiifar & Krishnaprasad
        (1993), "Orthogonal matching pursuit", for the few terms.
    """
    if rounding == 0.0 or x.shape[-2] <= x.shape[-1] or not bool(torch.isfinite(x).all()):
        return x
    roots = torch.ones_like(x[..., :1]) if root_weights is None else root_weights
    weights = roots.square()
    mean = (weights * x).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True) if intercept else 0.0
    length = lengths_of((x - mean) * roots).unsqueeze(-2)
    length = torch.where(length > 0, length, torch.ones_like(length))
    unit = (x - mean) / length
    factor = torch.linalg.qr(unit * roots, mode="r").R
    errors = (rounding * lengths_of(x * roots).unsqueeze(-2) / length).flatten(0, -2)
    systems = zip(factor.reshape(-1, *factor.shape[-2:]), errors, strict=True)
    sums = torch.stack([_sums(columns, error) for columns, error in systems]).view_as(factor)
    is_sum = (sums.diagonal(dim1=-2, dim2=-1) == 0).unsqueeze(-2)
    return torch.where(is_sum, mean + unit @ sums * length, x) if bool(is_sum.any()) else x


def _sums(columns: Tensor, errors: Tensor) -> Tensor:
    """For each column what it is a sum of: of itself, or, with a zero on the diagonal, of others within the errors."""
    found = torch.eye(len(errors), dtype=columns.dtype, device=columns.device)
    order = errors.argsort(stable=True)  # the least rounded ones first: the others may be sums of them
    if bool((torch.linalg.qr(columns[:, order], mode="r").R.diagonal().abs() >= _MOST).all()):
        return found
    basis, kept = columns[:, :0], order[:0]
    seen = kept
    for number in order:
        column = columns[:, number]
        if not bool(column.any()):
            continue
        rest = column - basis @ (basis.mT @ column)
        rest = rest - basis @ (basis.mT @ rest)  # twice is enough
        length = float(rest.norm())
        if length < _MOST and length <= _limit(errors, number, kept, _solved(columns[:, kept], column)):
            found[:, number] = _few(columns @ found, errors, number, seen, kept) @ found.mT
        else:
            basis, kept = torch.cat([basis, rest[:, None] / length], 1), torch.cat([kept, number[None]])
        seen = torch.cat([seen, number[None]])
    return found


def _few(columns: Tensor, errors: Tensor, number: Tensor, seen: Tensor, kept: Tensor) -> Tensor:
    """Coefficients of few of the seen columns, else of all kept ones, whose sum is a column within the errors.

    Few, because sums that are the same columns then stay the same: those of all kept ones differ by rounding.
    """
    column, rest, chosen = columns[:, number], columns[:, number], seen[:0]
    while len(chosen) < len(kept):
        chosen = torch.cat([chosen, seen[(columns[:, seen].mT @ rest).abs().argmax()][None]])
        values = _solved(columns[:, chosen], column)
        rest = column - columns[:, chosen] @ values
        if float(rest.norm()) <= _limit(errors, number, chosen, values):
            break
    else:
        chosen, values = kept, _solved(columns[:, kept], column)
    return torch.zeros_like(errors).scatter(0, chosen, values)


def _limit(errors: Tensor, number: Tensor, others: Tensor, values: Tensor) -> float:
    """What errors may leave of a column outside a sum of others."""
    squares = errors[number].square() + (values * errors[others]).square().sum()
    return min(_MOST, _MARGIN * float(squares.sqrt()))


def _solved(columns: Tensor, column: Tensor) -> Tensor:
    return torch.linalg.lstsq(columns.cpu(), column[:, None].cpu()).solution[:, 0].to(column)
