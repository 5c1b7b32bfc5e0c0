"""Groups of columns that are chosen together or not at all: local search on one system."""

__all__ = ["choose_groups", "members_of"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.dictionary.regression.bounds import Proof
from ellzero.dictionary.regression.fits import losses_of
from ellzero.dictionary.regression.options import column_number

_CHUNK = 512  # supports that are fitted together
_RELATIVE = 1e-9


def members_of(groups: Sequence[Sequence[int]] | None, num_columns: int) -> Tensor:
    """Columns of each group; columns that stand alone are groups of their own, in order, after the others.

    Args:
        groups: indices of the columns of each group.
        num_columns: how many columns there are.

    Returns:
        Indices, the number of columns where a group has no more, shape `(groups, width)`.

    Raises:
        ValueError: if a column is named twice or does not exist, or a group is empty.
        TypeError: if a column is not named by a whole number.

    Example:
        >>> members_of([[0, 2]], 3)
        tensor([[0, 2],
                [1, 3]])
    """
    named = [[column_number(index, "groups") for index in group] for group in groups or ()]
    flat = [index for group in named for index in group]
    if any(not 0 <= index < num_columns for index in flat) or len(set(flat)) < len(flat) or not all(named):
        raise ValueError(
            f"groups must name columns 0 to {num_columns - 1}, none twice, and none may be empty; got {named}"
        )
    named = [group for group in named if len(group) > 1]  # where all stand alone, group and column are one number
    together = {index for group in named for index in group}
    named += [[index] for index in range(num_columns) if index not in together]
    width = max(map(len, named))
    return torch.tensor([group + [num_columns] * (width - len(group)) for group in named])


def choose_groups(proof: Proof, is_fixed: Tensor) -> None:
    """Grow a support group by group, then exchange, add and drop groups while it helps; the best goes into `proof`.

    Args:
        proof: columns, groups and budget; what is found is offered to it.
        is_fixed: groups that every support holds, bool, shape `(groups,)`.
    """
    proof.loss = float(_losses(proof, is_fixed[None])[0])
    proof.chosen = is_fixed.clone()
    while True:
        free = proof.budget * (1 + 1e-12) - float(proof.costs[proof.chosen].sum())
        adds = _with(proof.chosen, (~proof.chosen & (proof.costs <= free)).nonzero().flatten())
        if not _step(proof, adds, per_cost=True) and not _step(proof, _exchanges(proof, is_fixed), per_cost=False):
            return


def _step(proof: Proof, candidates: Tensor, *, per_cost: bool) -> bool:
    """Go to the best candidate, if it is better."""
    if not len(candidates):
        return False
    gains = proof.loss - torch.cat([_losses(proof, part) for part in candidates.split(_CHUNK)])
    added = ((candidates & ~proof.chosen) * proof.costs).sum(-1)
    best = int((gains / added if per_cost else gains).argmax())
    before = proof.loss
    proof.offer(before - float(gains[best]), candidates[best])
    return proof.loss < before


def _losses(proof: Proof, chosen: Tensor) -> Tensor:
    num_columns = proof.root.shape[1]
    columns = torch.where(chosen.unsqueeze(-1), proof.members, num_columns).flatten(1).sort(-1).values
    num_slots = max(1, int((columns < num_columns).sum(-1).max()))
    return losses_of(proof.root, proof.target, columns[:, :num_slots])


def _with(chosen: Tensor, new: Tensor) -> Tensor:
    """The chosen groups and one more, once for every new one."""
    return chosen.expand(len(new), -1).scatter(1, new.unsqueeze(1), True)


def _exchanges(proof: Proof, is_fixed: Tensor) -> Tensor:
    """All exchanges of one group for another that the budget allows."""
    parts = []
    new = (~proof.chosen).nonzero().flatten()
    for old in (proof.chosen & ~is_fixed).nonzero().flatten().tolist():
        others = _with(proof.chosen, new)
        others[:, old] = False
        parts.append(others[(others * proof.costs).sum(-1) <= proof.budget * (1 + 1e-12)])
    return torch.cat(parts) if parts else proof.chosen[None][:0]
