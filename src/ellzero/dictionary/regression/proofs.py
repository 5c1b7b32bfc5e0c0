"""Certificates for the supports of a search, and supports of groups: one system after the other."""

__all__ = ["prove_all"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.dictionary.regression.bounds import Proof, prove
from ellzero.dictionary.regression.groups import choose_groups, members_of
from ellzero.dictionary.regression.search import Search
from ellzero.dictionary.regression.subset import Optimality

_MOST = 256  # columns that a proof can be hoped for


def prove_all(
    search: Search, supports: Tensor, rest: Tensor, *, groups: Sequence[Sequence[int]] | None, seconds: float
) -> tuple[Tensor, tuple[Optimality, ...]]:
    """Find supports of groups, where there are groups, and prove supports optimal, where there is time.

    Args:
        search: columns, targets and budgets.
        supports: the best known, shape `(roots, systems, slots)`; not used with groups.
        rest: energy that no column explains, shape `(roots, systems)`.
        groups: columns that are chosen together.
        seconds: time for all proofs.

    Returns:
        Supports, shape `(roots, systems, slots)`, and what is known of each.

    Raises:
        ValueError: if a proof is asked for with too many columns, or a group is wrong.
    """
    num = search.num_columns
    if seconds > 0 and num > _MOST:
        raise ValueError(
            f"a proof is out of reach for {num} columns, {_MOST} are the most; leave seconds=0, or screen them first"
        )
    members = members_of(groups, num).to(search.root.device)
    costs = torch.nn.functional.pad(search.costs, (0, 1))[members].sum(-1)
    is_fixed = torch.nn.functional.pad(search.is_fixed, (0, 1))[members].any(-1)
    found, known = [], []
    losses = search.fit(supports).loss
    places = [(root, system) for root in range(supports.shape[0]) for system in range(supports.shape[1])]
    for position, (root, system) in enumerate(places):
        columns, target = _rows(search, root, system)
        start = supports[root, system]
        chosen = (start.unsqueeze(-1) == members[:, 0]).any(0)
        budget = float(search.budget[root, system])
        _check_fixed(float(costs[is_fixed].sum()), budget)
        proof = Proof(columns, target, members, costs, budget, 0.0, chosen, float(rest[root, system]))
        if groups is not None:
            choose_groups(proof, is_fixed)
        else:
            proof.loss = float(losses[root, system])
        share = seconds / (len(places) - position)
        known.append(prove(proof, is_fixed, share) if seconds > 0 else Optimality("local"))
        seconds = max(0.0, seconds - known[-1].seconds)
        found.append(torch.cat([members[proof.chosen].flatten(), torch.tensor([num], device=members.device)]))
    proven = _padded(found, num).view(*supports.shape[:2], -1)
    return proven if groups is not None else search.fit(proven).supports, tuple(known)  # columns that add nothing leave


def _check_fixed(needed: float, budget: float) -> None:
    if needed > budget * (1 + 1e-12):
        raise ValueError(f"the groups of always cost {needed:g}, the budget is {budget:g}; raise it or drop some")


def _rows(search: Search, root: int, system: int) -> tuple[Tensor, Tensor]:
    """Columns and targets of one system, the ridge as further rows, brought to few rows."""
    columns, target = search.root[root], search.target[root, system]
    if search.ridge > 0:
        ridge = search.ridge**0.5 * torch.eye(search.num_columns, dtype=columns.dtype, device=columns.device)
        columns = torch.cat([columns, ridge]) / (1 + search.ridge) ** 0.5  # of unit length again
        target = torch.nn.functional.pad(target, (0, 0, 0, search.num_columns))
    return columns, target


def _padded(supports: list[Tensor], num_columns: int) -> Tensor:
    """Supports of different lengths as one tensor, empty slots last."""
    rows = [support.sort().values for support in supports]
    length = max(map(len, rows))
    return torch.stack([torch.nn.functional.pad(row, (0, length - len(row)), value=num_columns) for row in rows])
