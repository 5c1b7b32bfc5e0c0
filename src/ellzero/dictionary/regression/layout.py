"""How systems, targets and budgets are laid out for the search, and how what it finds comes back."""

__all__ = ["Outputs", "gram_of", "put_together", "refitted", "search_of", "taken_apart"]

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.options import check_flag, columns_named
from ellzero.dictionary.regression.rounding import rounding_of
from ellzero.dictionary.regression.samples import as_float64
from ellzero.dictionary.regression.search import Search
from ellzero.dictionary.regression.subset import Optimality, Subset, as_subset

Outputs = Literal["separate", "shared", "total"]


def gram_of(features: Any, targets: Any, *, weights: Any = None, intercept: bool = False) -> tuple[Gram, bool]:
    """Statistics of what a caller gives, and whether the targets had no dimension of their own.

    Raises:
        ValueError: if targets are missing beside features, or given beside a `Gram`.
        TypeError: if `intercept` is neither True nor False.
    """
    if isinstance(features, Gram):
        if targets is not None or weights is not None or intercept:
            raise ValueError("a Gram holds targets, weights and intercept already; leave them out, or give the data")
        return features, False
    if targets is None:
        raise ValueError("targets are missing; give best_subset(features, targets, terms=...) or a Gram of both")
    check_flag(intercept, "intercept")
    x, y = as_float64(features, "features"), as_float64(targets, "targets")
    is_single = y.dim() == x.dim() - 1
    y = y.unsqueeze(-1) if is_single else y
    return Gram.of(x, y, weights=weights, intercept=intercept, rounding=rounding_of(features)), is_single


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
    if outputs not in ("separate", "shared", "total"):
        raise ValueError(f"outputs must be 'separate', 'shared' or 'total', got {outputs!r}")
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"the ridge must be finite and not negative, got {ridge}; try ridge=0.0")
    num, device = gram.num_columns, gram.root.device
    root = gram.root.reshape(-1, *gram.root.shape[-2:])
    target = gram.target.reshape(len(root), -1, gram.num_targets)
    target = target.unsqueeze(1) if outputs == "shared" else target.mT.unsqueeze(-1)
    copies = gram.num_targets if outputs == "total" else 1
    if outputs == "total":
        root, target = _side_by_side(root, target, gram.energy.reshape(len(root), -1))
    price = _costs(costs, num).to(device).repeat(copies)
    is_fixed = torch.zeros(num, dtype=torch.bool)
    is_fixed[columns_named(always, num, "always")] = True
    is_fixed = is_fixed.to(device).repeat(copies)
    budget = _budget(terms, target.shape[1], counts_terms=costs is None).to(device)
    most = int((price.sort().values.cumsum(0) <= float(budget.max()) * (1 + 1e-12)).sum())
    _check_budget(budget, price, is_fixed, gram, copies)
    is_present = gram.is_present.reshape(len(root), num).repeat(1, copies)
    search = Search(root, target.contiguous(), budget.expand(len(root), -1), price, is_fixed, is_present, ridge)
    return search, max(1, most, int(is_fixed.sum()))


def _side_by_side(root: Tensor, target: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """One system of all targets, each with columns of its own, residuals counted as parts of the targets' energies."""
    num_targets = target.shape[1]
    columns = torch.stack([torch.block_diag(*([one] * num_targets)) for one in root])
    parts = target * energy.clamp_min(1e-300).rsqrt()[..., None, None]
    return columns, parts.flatten(1, 2).unsqueeze(1)


def taken_apart(supports: Tensor, num_columns: int, num_targets: int) -> Tensor:
    """Supports of a system of all targets, shape `(roots, 1, slots)`, as one for each: `(roots, targets, slots)`.

    Example:
        >>> taken_apart(torch.tensor([[[0, 2, 4, 6]]]), num_columns=3, num_targets=2)
        tensor([[[0, 2, 3, 3],
                 [1, 3, 3, 3]]])
    """
    first = num_columns * torch.arange(num_targets, device=supports.device)[:, None]
    own = supports - first
    return torch.where((own >= 0) & (own < num_columns), own, num_columns).sort(-1).values


def put_together(supports: Tensor, num_columns: int) -> Tensor:
    """The opposite: supports `(roots, targets, slots)` as one of a system of all targets, `(roots, 1, slots)`."""
    num_targets = supports.shape[1]
    first = num_columns * torch.arange(num_targets, device=supports.device)[:, None]
    together = torch.where(supports < num_columns, supports + first, num_columns * num_targets)
    return together.flatten(1).sort(-1).values.unsqueeze(1)


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


def _budget(terms: Any, num_systems: int, *, counts_terms: bool) -> Tensor:
    if terms is None:
        raise ValueError("the budget is missing; give terms=7, say, or look at subset_path for all budgets at once")
    if (terms.dtype if isinstance(terms, Tensor) else np.asarray(terms).dtype) in (torch.bool, np.bool_):
        raise TypeError(f"terms must be a number, got {terms!r}; give terms=7, say")
    budget = as_float64(terms, "terms").reshape(-1)
    if len(budget) not in (1, num_systems) or not bool((torch.isfinite(budget) & (budget >= 0)).all()):
        raise ValueError(
            f"terms must be one number, 0 or more, or one for each of {num_systems} supports, got {terms!r}; try 7"
        )
    if counts_terms and not bool((budget == budget.round()).all()):
        raise ValueError(f"terms counts terms and must be whole, got {terms!r}; give costs=... for a budget of costs")
    return budget.expand(num_systems)


def _check_budget(budget: Tensor, price: Tensor, is_fixed: Tensor, gram: Gram, copies: int) -> None:
    least, most = float(budget.min()), float(budget.max())
    total, needed = float(price.sum()), float(price[is_fixed].sum())
    if most > total * (1 + 1e-12):
        raise ValueError(
            f"a budget of {most:g} is larger than the dictionary, which has {gram.num_columns * copies} columns at a"
            f" total cost of {total:g}; ask for fewer terms"
        )
    if needed > least * (1 + 1e-12):
        raise ValueError(f"the columns of always cost {needed:g}, the budget is {least:g}; raise it or drop some")
    if bool(((budget > 0) & (budget < price.min())).any()):
        least = float(budget[budget > 0].min())
        raise ValueError(f"a budget of {least:g} does not hold the cheapest column, which costs {float(price.min()):g}")
    most_terms = int((price.sort().values.cumsum(0) <= most * (1 + 1e-12)).sum())
    if most_terms > (gram.num_rows - gram.has_intercept) * copies:
        raise ValueError(
            f"{most_terms} terms{' and an intercept' if gram.has_intercept else ''} cannot be determined from"
            f" {gram.num_rows} samples; ask for fewer terms or bring more samples"
        )
