"""Best subsets of columns within a budget, for a batch of systems at once."""

__all__ = ["Outputs", "best_subset", "gram_of", "refitted", "search_of"]

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ellzero.dictionary.gram import Gram, as_float64
from ellzero.dictionary.search import Search
from ellzero.dictionary.starts import choose
from ellzero.dictionary.subset import Optimality, Subset, as_subset

Outputs = Literal["separate", "shared"]


def best_subset(
    features: Any, targets: Any = None, terms: Any = None, *, always: Sequence[int] = (), costs: Any = None,
    outputs: Outputs = "separate", weights: Any = None, intercept: bool = False, ridge: float = 0.0, starts: int = 1,
    depth: int = 2,
) -> Subset:  # fmt: skip
    r"""Choose the columns, at most `terms` of them, that explain the targets with the least sum of squares.

    .. math:: \min_w \|y - X w\|_W^2 \quad \text{subject to} \quad \sum_{j: w_j \ne 0} c_j \le k

    Args:
        features: columns to choose from, shape `(*batch, samples, columns)`, or a `Gram`.
        targets: shape `(*batch, samples, targets)` or `(*batch, samples)`; None with a `Gram`.
        terms: k, the budget: one number, or one per target. It counts terms, or costs where they are given.
        always: indices of columns that are in every support; they count.
        costs: cost of each column, positive, shape `(columns,)`; all one if None.
        outputs: `separate`: each target has a support, and the budget, of its own. `shared`: one support for all.
        weights: weight of each sample, shape `(*batch, samples)`.
        intercept: whether a constant is fitted beside the columns, outside the budget.
        ridge: multiple of the squared coefficients, of columns scaled to unit length, that is added to the sum of
            squares while supports are compared; the coefficients returned are plain least squares all the same.
        starts: how many local searches, each from the best support so far with a part of it exchanged at random.
        depth: 1 to exchange one term at a time, 2 for two at once as well.

    Returns:
        The subset. Of columns that are equal, one is chosen; a column of zeros, or a constant beside an intercept,
        never is; where fewer columns help than the budget allows, fewer are chosen.

    Raises:
        ValueError: if shapes do not fit, values are not finite, the budget is not positive, is larger than the number
            of columns or of samples, or does not hold the columns of `always`.
        TypeError: if the values are not real numbers.

    Source:
        Miller (2002), "Subset Selection in Regression", chapter 3.

    Example:
        >>> x = torch.eye(4).double()
        >>> best_subset(x, x @ torch.tensor([3.0, 0.0, -2.0, 0.1]).double(), 2).coefficients
        tensor([ 3.,  0., -2.,  0.], dtype=torch.float64)
    """
    gram, is_single = gram_of(features, targets, weights=weights, intercept=intercept)
    search, num_slots = search_of(gram, terms, always=always, costs=costs, outputs=outputs, ridge=ridge)
    supports, loss = choose(search, num_slots, starts=starts, depth=depth)
    found = refitted(gram, supports, (Optimality("local"),) * loss.numel())
    return found.without_targets() if is_single else found


def gram_of(features: Any, targets: Any, *, weights: Any = None, intercept: bool = False) -> tuple[Gram, bool]:
    """Statistics of what a caller gives, and whether the targets had no dimension of their own.

    Raises:
        ValueError: if targets are missing beside features, or given beside a `Gram`.
    """
    if isinstance(features, Gram):
        if targets is not None or weights is not None or intercept:
            raise ValueError("a Gram holds targets, weights and intercept already; leave them out, or give the data")
        return features, False
    if targets is None:
        raise ValueError("targets are missing; give best_subset(features, targets, terms=...) or a Gram of both")
    x, y = as_float64(features, "features"), as_float64(targets, "targets")
    is_single = y.dim() == x.dim() - 1
    return Gram.of(x, y.unsqueeze(-1) if is_single else y, weights=weights, intercept=intercept), is_single


def search_of(
    gram: Gram, terms: Any, *, always: Sequence[int] = (), costs: Any = None, outputs: Outputs = "separate",
    ridge: float = 0.0,
) -> tuple[Search, int]:  # fmt: skip
    """Lay out systems and budgets, checked; see `best_subset` for the arguments.

    Returns:
        The search, and the most columns that a support can hold.

    Raises:
        ValueError: if a budget, a cost, an index or the ridge is out of range.

    Example:
        >>> search, num_slots = search_of(Gram.of(torch.eye(4), torch.ones(4, 2)), 3)
        >>> search.budget, num_slots
        (tensor([[3., 3.]], dtype=torch.float64), 3)
    """
    if outputs not in ("separate", "shared"):
        raise ValueError(f"outputs must be 'separate' or 'shared', got {outputs!r}")
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"the ridge must be finite and not negative, got {ridge}; try ridge=0.0")
    num, device = gram.num_columns, gram.root.device
    root = gram.root.reshape(-1, *gram.root.shape[-2:])
    target = gram.target.reshape(len(root), -1, gram.num_targets)
    target = target.mT.unsqueeze(-1) if outputs == "separate" else target.unsqueeze(1)
    price = _costs(costs, num).to(device)
    is_fixed = _fixed(always, num).to(device)
    budget = _budget(terms, target.shape[1]).to(device)
    most = int((price.sort().values.cumsum(0) <= float(budget.max()) * (1 + 1e-12)).sum())
    _check_budget(budget, price, is_fixed, gram)
    search = Search(root, target.contiguous(), budget.expand(len(root), -1), price, is_fixed, ridge)
    return search, max(most, int(is_fixed.sum()))


def refitted(gram: Gram, supports: Tensor, certificate: tuple[Optimality, ...]) -> Subset:
    """The subset of supports `(roots, systems, slots)`, one per target or one for all."""
    one_each = supports.expand(-1, gram.num_targets, -1)
    return as_subset(gram, one_each.reshape(*gram.batch_shape, gram.num_targets, -1), certificate)


def _costs(costs: Any, num: int) -> Tensor:
    if costs is None:
        return torch.ones(num, dtype=torch.float64)
    price = as_float64(costs, "costs")
    if price.shape != (num,) or not bool(((price > 0) & torch.isfinite(price)).all()):
        raise ValueError(
            f"costs must be {num} positive finite numbers, one per column, got shape {tuple(price.shape)};"
            " name columns that are always in by always=[...]"
        )
    return price


def _fixed(always: Sequence[int], num: int) -> Tensor:
    is_fixed = torch.zeros(num, dtype=torch.bool)
    for index in always:
        if not -num <= int(index) < num:
            raise ValueError(f"always names column {index}, but there are {num} columns, 0 to {num - 1}")
        is_fixed[int(index)] = True
    return is_fixed


def _budget(terms: Any, num_systems: int) -> Tensor:
    if terms is None:
        raise ValueError("the budget is missing; give terms=7, say, or look at subset_path for all budgets at once")
    budget = as_float64(terms, "terms").reshape(-1)
    if len(budget) not in (1, num_systems) or not bool((torch.isfinite(budget) & (budget > 0)).all()):
        raise ValueError(f"terms must be one positive number or one for each of {num_systems} supports, got {terms!r}")
    return budget.expand(num_systems)


def _check_budget(budget: Tensor, price: Tensor, is_fixed: Tensor, gram: Gram) -> None:
    least, most = float(budget.min()), float(budget.max())
    total, needed = float(price.sum()), float(price[is_fixed].sum())
    if most > total * (1 + 1e-12):
        raise ValueError(
            f"a budget of {most:g} is larger than the dictionary, which has {gram.num_columns} columns at a total cost"
            f" of {total:g}; ask for fewer terms"
        )
    if needed > least * (1 + 1e-12):
        raise ValueError(f"the columns of always cost {needed:g}, the budget is {least:g}; raise it or drop some")
    if least < float(price.min()):
        raise ValueError(f"a budget of {least:g} does not hold the cheapest column, which costs {float(price.min()):g}")
    most_terms = int((price.sort().values.cumsum(0) <= most * (1 + 1e-12)).sum())
    if most_terms > gram.num_samples - gram.has_intercept:
        raise ValueError(
            f"{most_terms} terms{' and an intercept' if gram.has_intercept else ''} cannot be determined from"
            f" {gram.num_samples} samples; ask for fewer terms or bring more samples"
        )
