"""Bootstraps of a sparse regression, all in one tensor program, and the chance of each term that they give."""

__all__ = ["Bootstrap", "bootstrap", "resampled"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.gram import Gram, as_float64
from ellzero.dictionary.regression.layout import Outputs
from ellzero.dictionary.regression.path import subset_path
from ellzero.dictionary.regression.subset import Subset
from ellzero.dictionary.regression.subsets import best_subset
from ellzero.noise import counters, uniform

_ELEMENTS = 2**22  # products, or weighted rows, that are formed in one piece
_JITTER = 1e-13  # of the identity: a sample that was not drawn may leave a direction without energy


@final
@dataclass(frozen=True)
class Bootstrap:
    """Subsets chosen on resampled data; the dimension of the targets is missing where targets had none."""

    support: Tensor
    """Which columns were chosen, bool, shape `(bootstraps, targets, columns)`."""
    coefficients: Tensor
    """Least squares on the support, zero elsewhere, float64, shape `(bootstraps, targets, columns)`."""
    intercept: Tensor
    """Shape `(bootstraps, targets)`."""

    @property
    def inclusion_probability(self) -> Tensor:
        """How often each column was chosen, between 0 and 1, shape `(targets, columns)`."""
        return self.support.to(torch.float64).mean(0)

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Quantiles of the coefficients, zeros included: two tensors of shape `(targets, columns)`.

        Raises:
            ValueError: if the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"the level of an interval must lie between 0 and 1, got {level}; try 0.95")
        tail = (1 - level) / 2
        return self.coefficients.quantile(tail, 0), self.coefficients.quantile(1 - tail, 0)


def bootstrap(
    features: Any, targets: Any, terms: Any, *, num: int = 100, block: int = 1, seed: int = 0,
    always: Sequence[int] = (), outputs: Outputs = "separate", intercept: bool = False, ridge: float = 0.0,
    max_terms: int | None = None, depth: int | None = None,
) -> Bootstrap:  # fmt: skip
    r"""Choose subsets on resampled data, all resamples at once.

    .. math:: K_b^\top K_b = R^\top (Q^\top W_b Q) R, \qquad X = Q R

    Samples are not copied: with counts W of the resamples, and an orthonormal basis of the columns, the triangular
    factors of all resamples come from one matrix product, without squaring the condition of the columns.

    Args:
        features: columns to choose from, shape `(samples, columns)`.
        targets: shape `(samples, targets)` or `(samples,)`.
        terms: the budget as for `best_subset`, or the name of a criterion, "aic", "aicc", "bic", "ebic" or "knee",
            which then chooses the number of terms on every resample.
        num: how many resamples.
        block: number of consecutive samples that are drawn together; more than one for time series.
        seed: the same seed gives the same resamples.
        always: indices of columns that are in every support.
        outputs: as for `best_subset`.
        intercept: whether a constant is fitted beside the columns.
        ridge: as for `best_subset`.
        max_terms: largest size when a criterion chooses.
        depth: how many terms are exchanged at once, 1 or 2; 2 if None, or 1 when a criterion chooses.

    Returns:
        The subsets.

    Raises:
        ValueError: if the number of resamples or the block length is out of range, and as `best_subset`.
        TypeError: if the values are not real numbers.

    Source:
        Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapters 6 and 8.

    Example:
        >>> x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> found = bootstrap(x, x[:, 1] - 2 * x[:, 4] + 0.1 * x[:, 0], 2)
        >>> found.inclusion_probability
        tensor([0., 1., 0., 0., 1.], dtype=torch.float64)
    """
    x, y = as_float64(features, "features"), as_float64(targets, "targets")
    is_single = y.dim() == 1
    y = y.unsqueeze(-1) if is_single else y
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y):
        raise ValueError(
            f"features {tuple(x.shape)} and targets {tuple(y.shape)} do not fit; expected (samples, columns) and"
            " (samples, targets)"
        )
    gram = resampled(x, y, draw(len(x), num, block=block, seed=seed).to(x.device), intercept=intercept)
    found = _choose(gram, terms, max_terms, always=always, outputs=outputs, ridge=ridge, depth=depth)
    found = found.without_targets() if is_single else found
    return Bootstrap(found.support, found.coefficients, found.intercept)


def draw(num_samples: int, num: int, *, block: int = 1, seed: int = 0) -> Tensor:
    """Count how often each sample is drawn.

    Args:
        num_samples: how many there are.
        num: how many resamples.
        block: consecutive samples that are drawn together, around the end where necessary.
        seed: the same seed gives the same counts.

    Returns:
        Counts, float64, shape `(num, num_samples)`.

    Raises:
        ValueError: if `num` or `block` is out of range.

    Source:
        Politis & Romano (1992), "A circular block-resampling procedure for stationary data".
    """
    if num < 1 or not 1 <= block <= num_samples:
        raise ValueError(
            f"expected at least one resample and blocks of 1 to {num_samples} samples, got num={num}, block={block}"
        )
    num_blocks = -(-num_samples // block)
    starts = (uniform(counters(seed), num * num_blocks).double() * num_samples).long().view(num, num_blocks, 1)
    rows = (starts + torch.arange(block)).flatten(1)[:, :num_samples] % num_samples
    return torch.zeros(num, num_samples, dtype=torch.float64).scatter_add_(1, rows, torch.ones_like(rows).double())


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
    whole = Gram.of(x, y, intercept=intercept)  # checks the data
    if len(x) < 2 * (x.shape[1] + y.shape[1] + 1):
        shape = (len(counts), -1, -1)
        return Gram.of(x.expand(shape), y.expand(shape), weights=counts, intercept=intercept)
    units = torch.cat([whole.scale, whole.energy.sqrt().clamp_min(1e-300)])
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


def _choose(
    gram: Gram,
    terms: Any,
    max_terms: int | None,
    *,
    always: Sequence[int],
    outputs: Outputs,
    ridge: float,
    depth: int | None,
) -> Subset:
    if not isinstance(terms, str):
        return best_subset(gram, terms=terms, always=always, outputs=outputs, ridge=ridge, depth=depth or 2)
    path = subset_path(gram, max_terms=max_terms, always=always, outputs=outputs, ridge=ridge, depth=depth or 1)
    return path.subset(path.num_terms(terms))
