"""Bootstraps of a sparse regression, all in one tensor program, and the chance of each term that they give."""

__all__ = ["Bootstrap", "bootstrap"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.allocation import shares_of
from ellzero.dictionary.regression.criteria import check_criterion
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.layout import Outputs, refitted, search_of
from ellzero.dictionary.regression.options import whole
from ellzero.dictionary.regression.path import SubsetPath, subset_path
from ellzero.dictionary.regression.resamples import draw, resampled
from ellzero.dictionary.regression.rounding import rounding_of, without_rounding
from ellzero.dictionary.regression.samples import as_float64, square_roots
from ellzero.dictionary.regression.starts import choose
from ellzero.dictionary.regression.subset import Subset
from ellzero.dictionary.regression.subsets import best_subset
from ellzero.noise import counters, uniform


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
    always: Sequence[int] = (), groups: Sequence[Sequence[int]] | None = None, costs: Any = None,
    outputs: Outputs = "separate", weights: Any = None, intercept: bool = False, ridge: float = 0.0,
    max_terms: int | None = None, depth: int | None = None,
) -> Bootstrap:  # fmt: skip
    r"""Choose subsets on resampled data, all resamples at once.

    .. math:: K_b^\top K_b = R^\top (Q^\top W_b Q) R, \qquad X = Q R

    Samples are not copied: with counts W of the resamples, and an orthonormal basis of the columns, the triangular
    factors of all resamples come from one matrix product, without squaring the condition of the columns.

    A criterion is evaluated on the data themselves, never on a resample, whose repeated rows it would take for
    independent samples: each resample gets a number of terms, drawn with probability proportional to
    :math:`\exp(-c_k / 2)`, for BIC and EBIC the posterior of k that the criterion approximates.

    Args:
        features: columns to choose from, shape `(samples, columns)`.
        targets: shape `(samples, targets)` or `(samples,)`.
        terms: the budget as for `best_subset`, or the name of a criterion, "aic", "aicc", "bic", "ebic", "ebicc" or
            "knee", which then says how many terms each resample has; "knee" says the same for all, "ebicc" what "ebic"
            says: its correction is one of choices, not of chances.
        num: how many resamples.
        block: number of consecutive samples that are drawn together; more than one for time series.
        seed: the same seed gives the same resamples.
        always: indices of columns that are in every support.
        groups: as for `best_subset`; one resample after the other, and not with a criterion.
        costs: as for `best_subset`; not with a criterion.
        outputs: as for `best_subset`.
        weights: weight of each sample, shape `(samples,)`. Where all are whole numbers they count samples, which are
            drawn one by one; otherwise samples are drawn with equal chances and bring their weights along.
        intercept: whether a constant is fitted beside the columns.
        ridge: as for `best_subset`.
        max_terms: largest size when a criterion chooses.
        depth: how many terms are exchanged at once, 1 or 2; if None, 2, and 1 on the path that a criterion judges.

    Returns:
        The subsets.

    Raises:
        ValueError: if the number of resamples or the block length is out of range, and as `best_subset`.
        TypeError: if the values are not real numbers, or counts not whole ones.

    Source:
        Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapters 6 and 8; Raftery (1995), "Bayesian model
        selection in social research", section 4, for the weights of criteria.

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
    num = whole(num, "num", least=1)
    rounding = rounding_of(features)
    data = Gram.of(x, y, weights=weights, intercept=intercept, rounding=rounding)
    x = without_rounding(x, rounding, square_roots(weights, x), intercept=intercept)
    counts = draw(len(x), num, block=block, seed=seed, weights=weights).to(x.device)
    gram = replace(resampled(x, y, counts, intercept=intercept), num_rows=data.num_rows, rounding=rounding)
    if not isinstance(terms, str):
        found = best_subset(
            gram, terms=terms, always=always, groups=groups, costs=costs, outputs=outputs, ridge=ridge, depth=depth or 2
        )
    else:
        if groups is not None or costs is not None:
            raise ValueError("a criterion chooses numbers of terms only; give a number of terms with groups or costs")
        check_criterion(terms)
        path = subset_path(
            data, max_terms=max_terms, always=always, outputs=_apart(outputs), ridge=ridge, depth=depth or 1
        )
        sizes = drawn_sizes(path, terms, num, seed=seed, in_total=outputs == "total")
        found = _of_sizes(gram, sizes, always=always, outputs=_apart(outputs), ridge=ridge, depth=depth or 2)
    found = found.without_targets() if is_single else found
    return Bootstrap(found.support, found.coefficients, found.intercept)


def drawn_sizes(path: SubsetPath, by: str, num: int, *, seed: int = 0, in_total: bool = False) -> Tensor:
    """Numbers of terms, drawn by what a criterion on the data says of them.

    Args:
        path: best subsets of the data.
        by: name of the criterion, or "knee".
        num: how many to draw.
        seed: the same seed gives the same numbers.
        in_total: whether the targets share one number.

    Returns:
        Shape `(num, targets)`, or `(num, 1)` if the targets share their support.
    """
    if by == "knee":
        return (path.total_terms(by) if in_total else path.num_terms(by)).expand(num, -1)
    by = "ebic" if by == "ebicc" else by
    criterion, takes = path.total_criterion(by) if in_total else (path.criterion(by), None)
    chances = torch.softmax(-0.5 * (criterion - criterion.amin(-1, keepdim=True)), -1).cumsum(-1)
    drawn = uniform(counters(seed, step=1, device=chances.device), num * chances[..., 0].numel()).to(chances.dtype)
    drawn = drawn.view(num, *chances.shape[:-1], 1) * chances[..., -1:]
    index = (drawn > chances).sum(-1)
    return path.sizes[0] + (index if takes is None else shares_of(takes, index))


def _of_sizes(
    gram: Gram, sizes: Tensor, *, always: Sequence[int], outputs: Outputs, ridge: float, depth: int
) -> Subset:  # fmt: skip
    """Best subsets of resamples that have a number of terms each."""
    most = max(1, int(sizes.max()))
    search, num_slots = search_of(gram, most, always=always, outputs=outputs, ridge=ridge)
    search = replace(search, budget=sizes.to(search.budget.dtype))
    return refitted(gram, choose(search, num_slots, depth=depth)[0], ())


def _apart(outputs: Outputs) -> Outputs:
    """Targets that share a total have supports of their own once the total is shared out."""
    return "separate" if outputs == "total" else outputs
