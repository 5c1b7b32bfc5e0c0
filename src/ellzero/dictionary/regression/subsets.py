"""Best subsets of columns within a budget, for a batch of systems at once."""

__all__ = ["best_subset"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ellzero.dictionary.regression.explore import explore
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.groups import members_of
from ellzero.dictionary.regression.layout import Outputs, gram_of, put_together, refitted, search_of, taken_apart
from ellzero.dictionary.regression.options import check_effort
from ellzero.dictionary.regression.path import subset_path
from ellzero.dictionary.regression.proofs import prove_all
from ellzero.dictionary.regression.starts import choose
from ellzero.dictionary.regression.subset import Optimality, Subset
from ellzero.dictionary.regression.swaps import empty_supports


def best_subset(
    features: Any, targets: Any = None, terms: Any = None, *, always: Sequence[int] = (),
    groups: Sequence[Sequence[int]] | None = None, costs: Any = None, outputs: Outputs = "separate",
    weights: Any = None, intercept: bool = False, ridge: float = 0.0, starts: int = 1, depth: int = 2,
    gates: int = 0, seconds: float = 0.0,
) -> Subset:  # fmt: skip
    r"""Choose the columns, at most `terms` of them, that explain the targets with the least sum of squares.

    .. math:: \min_w \|y - X w\|_W^2 \quad \text{subject to} \quad \sum_{j: w_j \ne 0} c_j \le k

    Args:
        features: columns to choose from, shape `(*batch, samples, columns)`, or a `Gram`.
        targets: shape `(*batch, samples, targets)` or `(*batch, samples)`; None with a `Gram`.
        terms: k, the budget: one number, or one per target. It counts terms, or costs where they are given; 0 leaves
            the intercept alone, or zero.
        always: indices of columns that are in every support; they count.
        groups: lists of columns that are chosen together or not at all; a column stands in one group at most, and
            columns that no group names are chosen alone. A group costs what its columns cost together.
        costs: cost of each column, positive, shape `(columns,)`; all one if None.
        outputs: `separate`: each target has a support, and the budget, of its own. `shared`: one support for all.
            `total`: supports of their own, and one budget for all together, spent where it lowers the sum of the
            residuals, as parts of the targets' energies, most; `certificate` has one entry then, in these units.
        weights: weight of each sample, shape `(*batch, samples)`.
        intercept: whether a constant is fitted beside the columns, outside the budget.
        ridge: multiple of the squared coefficients, of columns scaled to unit length, that is added to the sum of
            squares while supports are compared; the coefficients returned are plain least squares all the same.
        starts: how many local searches, each from the best support so far with a part of it exchanged at random.
        depth: 1 to exchange one term at a time, 2 for two at once as well.
        gates: how many sets of hard-concrete gates explore, besides the local searches: they find columns that explain
            something together but nothing alone, at the cost of some ten local searches.
        seconds: time to look for a proof, by branch and bound, that no other support is better: `certificate` says what
            came of it. For dictionaries of up to 256 columns with clearly more samples than columns; 0 for none.

    Returns:
        The subset. Of columns that are equal one is chosen, unless a ridge makes both worth having; a column of zeros,
        or a constant beside an intercept, is chosen only if `always` or its group says so, with a coefficient of zero;
        where fewer columns help than the budget allows, fewer are chosen.

    Raises:
        ValueError: if shapes do not fit, values are not finite, the budget is negative, is larger than the number
            of columns or of samples, or does not hold the columns of `always`; if a coefficient is beyond the range of
            float64.
        TypeError: if the values are not real numbers, or counts not whole ones.

    Source:
        Miller (2002), "Subset Selection in Regression", chapter 3.

    Example:
        >>> import torch
        >>> x = torch.eye(4).double()
        >>> best_subset(x, x @ torch.tensor([3.0, 0.0, -2.0, 0.1]).double(), 2).coefficients
        tensor([ 3.,  0., -2.,  0.], dtype=torch.float64)
    """
    check_effort(depth=depth, starts=starts, gates=gates, seconds=seconds)
    gram, is_single = gram_of(features, targets, weights=weights, intercept=intercept)
    search, num_slots = search_of(gram, terms, always=always, costs=costs, outputs=outputs, ridge=ridge)
    if groups is not None:
        supports = empty_supports(search, num_slots)
    elif outputs == "total" and costs is None:
        supports = _shared_out(gram, int(search.budget.max()), always=always, ridge=ridge, depth=depth)
    else:
        supports, _ = choose(search, num_slots, starts=starts, depth=depth)
    if groups is None and gates > 0:
        supports, _ = explore(search, supports, starts=gates, depth=depth)
    known = (Optimality("local"),) * (supports.shape[0] * supports.shape[1])
    if groups is not None or seconds > 0:
        everywhere = _for_all_targets(groups, gram) if outputs == "total" else groups
        supports, known = prove_all(search, supports, _rest(gram, outputs), groups=everywhere, seconds=seconds)
    supports = taken_apart(supports, gram.num_columns, gram.num_targets) if outputs == "total" else supports
    found = refitted(gram, supports, known)
    return found.without_targets() if is_single else found


def _shared_out(gram: Gram, terms: int, *, always: Sequence[int], ridge: float, depth: int) -> Tensor:
    """The best sharing of a budget among paths of all targets, as a support of the system of all targets."""
    most = min(max(1, terms), gram.num_columns, gram.num_rows - gram.has_intercept)
    path = subset_path(gram, max_terms=most, always=always, ridge=ridge, depth=depth)
    support = path.total(terms).support.view(-1, gram.num_targets, gram.num_columns)
    indices = torch.arange(gram.num_columns, device=support.device)
    return put_together(torch.where(support, indices, gram.num_columns), gram.num_columns)


def _for_all_targets(groups: Sequence[Sequence[int]] | None, gram: Gram) -> list[list[int]] | None:
    """Groups of the columns of each target, in a system of all targets."""
    if groups is None:
        return None
    num = gram.num_columns
    members_of(groups, num)  # refuses what is wrong, by the caller's numbers
    return [[int(i) % num + num * copy for i in group] for copy in range(gram.num_targets) for group in groups]


def _rest(gram: Gram, outputs: Outputs) -> Tensor:
    """Energy that no column explains, shape `(roots, systems)`, in the units of the search."""
    rest = gram.rest.reshape(-1, gram.num_targets)
    if outputs == "total":
        rest = rest / gram.energy.reshape(-1, gram.num_targets).clamp_min(1e-300)
    return rest if outputs == "separate" else rest.sum(-1, keepdim=True)
