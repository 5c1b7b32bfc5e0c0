"""Resamples of data: how often each sample is drawn, and the statistics of all resamples from one product."""

__all__ = ["draw", "resampled"]

from typing import Any

import torch
from torch import Tensor

from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.options import whole
from ellzero.dictionary.regression.samples import as_float64
from ellzero.noise import counters, uniform

_ELEMENTS = 2**22  # products, or weighted rows, that are formed in one piece
_JITTER = 1e-13  # of the identity: a sample that was not drawn may leave a direction without energy
_MOST = 2**28  # samples that are drawn altogether


def draw(num_samples: int, num: int, *, block: int = 1, seed: int = 0, weights: Any = None) -> Tensor:
    """Count how often each sample is drawn.

    Args:
        num_samples: how many there are.
        num: how many resamples.
        block: consecutive samples that are drawn together, around the end where necessary.
        seed: the same seed gives the same counts.
        weights: of the samples, shape `(num_samples,)`, not negative. Whole numbers count samples; others are brought
            along by samples that are drawn with equal chances. Samples without weight are not drawn.

    Returns:
        Counts, or counts times weights, float64, shape `(num, num_samples)`.

    Raises:
        ValueError: if `num` or `block` is out of range, or more samples are counted than can be drawn.
        TypeError: if `num` or `block` is not a whole number.

    Source:
        Politis & Romano (1992), "A circular block-resampling procedure for stationary data".

    Example:
        >>> draw(3, 2, weights=[2.0, 0.0, 1.0]).sum(-1)
        tensor([3., 3.], dtype=torch.float64)
    """
    num, own = whole(num, "num", least=1), torch.ones(num_samples, dtype=torch.float64)
    counted = own if weights is None else as_float64(weights, "weights").cpu()
    if not bool((counted == counted.round()).all()):
        own, counted = counted, (counted > 0).to(torch.float64)
    ends = counted.cumsum(0)  # of the copies of each sample
    total = int(ends[-1])
    if total * num > _MOST:
        raise ValueError(f"weights count {total} samples, too many to draw {num} times; divide them by a number")
    block = whole(block, "block", least=1, most=total)
    num_blocks = -(-total // block)
    starts = (uniform(counters(seed), num * num_blocks).double() * total).long().view(num, num_blocks, 1)
    places = (starts + torch.arange(block)).flatten(1)[:, :total] % total
    rows = places if bool((counted == 1).all()) else torch.searchsorted(ends, places.double(), right=True)
    drawn = torch.zeros(num, num_samples, dtype=torch.float64).scatter_add_(1, rows, torch.ones_like(rows).double())
    return drawn * own


def resampled(x: Tensor, y: Tensor, counts: Tensor, *, intercept: bool = False) -> Gram:
    """Statistics of resampled data.

    Args:
        x: features, shape `(samples, columns)`.
        y: targets, shape `(samples, targets)`.
        counts: weights of the samples, shape `(resamples, samples)`.
        intercept: whether a constant is fitted beside the columns.

    Returns:
        A batch of statistics, one per resample.

    Raises:
        ValueError: as `Gram.of`.
    """
    is_drawn = (counts > 0).any(0)
    x, y, counts = x[is_drawn], y[is_drawn], counts[:, is_drawn]
    data = Gram.of(x, y, intercept=intercept)  # checks them
    if len(x) < 2 * (x.shape[1] + y.shape[1] + 1):
        shape = (len(counts), -1, -1)
        return Gram.of(x.expand(shape), y.expand(shape), weights=counts, intercept=intercept)
    units = torch.cat([data.scale, data.energy.sqrt().clamp_min(1e-300)])
    columns = torch.cat([x, y], 1) / units
    columns = torch.cat([torch.ones_like(columns[:, :1]), columns], 1) if intercept else columns
    basis, triangle = torch.linalg.qr(columns)
    products = _weighted_products(basis, counts)
    identity = torch.eye(len(triangle), dtype=x.dtype, device=x.device)
    factor = torch.linalg.cholesky(products + _JITTER * identity).mT @ triangle
    found = Gram.from_factor(factor, x.shape[1], num_samples=len(x), intercept=intercept)
    return found.in_units(units)


def _weighted_products(basis: Tensor, counts: Tensor) -> Tensor:
    """Q' W Q for all weights: the products of pairs of columns, weighted by one matrix product."""
    num = basis.shape[1]
    first, second = torch.triu_indices(num, num, device=basis.device)
    total = basis.new_zeros(len(counts), len(first))
    step = max(1, _ELEMENTS // len(first))
    for start in range(0, len(basis), step):
        rows = basis[start : start + step]
        total += counts[:, start : start + step] @ (rows[:, first] * rows[:, second])
    products = basis.new_empty(len(counts), num, num)
    products[:, first, second] = total
    products[:, second, first] = total
    return products
