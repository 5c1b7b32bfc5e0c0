"""Branch and bound over supports: proves that none is better, or says by how much one could be."""

__all__ = ["Proof", "prove"]

import heapq
import time
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import DEPENDENT, evaluate, losses_of
from ellzero.dictionary.regression.nodes import Measured, measure
from ellzero.dictionary.regression.subset import Optimality

_WIDTH = 64  # nodes that are examined together
_TOLERANCE = 1e-9  # relative difference of residuals that counts as none

_Node = tuple[float, int, Tensor, Tensor]  # bound, number, groups that are in, groups that are still allowed


@final
@dataclass
class Proof:
    """The best support known, and the nodes that may hold a better one."""

    root: Tensor
    """Columns of unit length, shape `(rows, columns)`."""
    target: Tensor
    """Shape `(rows, targets)`."""
    members: Tensor
    """Columns of each group, the number of columns where there are no more, shape `(groups, width)`."""
    costs: Tensor
    """Cost of each group, shape `(groups,)`."""
    budget: float
    """Largest cost."""
    loss: float
    """Sum of squares that the best support known leaves."""
    chosen: Tensor
    """Its groups, bool, shape `(groups,)`."""
    rest: float = 0.0
    """Energy that no column explains."""
    nodes: int = 0
    """Sets of supports examined so far."""

    def limit(self) -> float:
        """Bound from which on a node cannot hold a better support."""
        return self.loss - _TOLERANCE * (self.loss + self.rest) - 1e-15 * float(self.target.square().sum())

    def offer(self, loss: float, chosen: Tensor) -> None:
        """Take a support if it is better; where columns depend on each other, the loss given is only a lower bound."""
        if loss < self.limit():
            true = float(losses_of(self.root, self.target, self.members[chosen].flatten()[None])[0])
            if true < self.limit():
                self.loss, self.chosen = true, chosen.clone()


def prove(proof: Proof, is_fixed: Tensor, seconds: float) -> Optimality:
    r"""Examine sets of supports, the most promising first, until none is left or the time is over.

    A node fixes some groups and has given up others. Groups that it still allows are ordered by what giving them up
    costs; its children are the first of them that is given up, with all before it fixed. The least residual of a node
    is at least

    .. math:: \mathrm{RSS}(S) + \Delta_{(m + 1)}

    where at most m of the groups that are not fixed fit the budget, and Delta are the costs of giving up, falling.

    Args:
        proof: columns, budget and the best support known; better ones are put into it.
        is_fixed: groups that every support holds, bool, shape `(groups,)`.
        seconds: when to stop.

    Returns:
        What is proven.

    Source:
        Furnival & Wilson (1974), "Regressions by leaps and bounds", Technometrics 16.
    """
    begin, number = time.perf_counter(), 0
    heap: list[_Node] = [(0.0, 0, is_fixed, torch.ones_like(is_fixed))]
    while heap and heap[0][0] < proof.limit() and time.perf_counter() - begin < seconds:
        taken = [heapq.heappop(heap) for _ in range(min(_WIDTH, len(heap)))]
        taken = [node for node in taken if node[0] < proof.limit()]
        proof.nodes += len(taken)
        fixed = torch.stack([node[2] for node in taken])
        present = torch.stack([node[3] for node in taken])
        for bound, child_fixed, child_present in _children(proof, fixed, present):
            number += 1
            heapq.heappush(heap, (bound, number, child_fixed, child_present))
    elapsed = time.perf_counter() - begin
    total = proof.loss + proof.rest
    if not heap or heap[0][0] >= proof.limit():
        return Optimality("optimal", total, 0.0, proof.nodes, elapsed)
    bound = heap[0][0] + proof.rest
    gap = 1 - bound / total if total > 0 else 0.0
    return Optimality("gap", bound, gap, proof.nodes, elapsed)


def _children(proof: Proof, fixed: Tensor, present: Tensor) -> list[tuple[float, Tensor, Tensor]]:
    """What is left to examine of nodes; supports that are met on the way are offered."""
    found = measure(proof.root, proof.target, present, proof.members)
    fits = (present * proof.costs).sum(-1) <= proof.budget * (1 + 1e-12)
    for index in fits.nonzero().flatten().tolist():
        proof.offer(float(found.loss[index]), present[index])
    _offer_greedy(proof, fixed, present, found)
    bounds, room, child_fixed, child_present = _branch(proof, found, fixed, present)
    is_left = (room >= 0) & (bounds < proof.limit()) & ~fits.unsqueeze(-1)
    if proof.members.shape[1] == 1:  # one more at most: the best one has a closed form
        is_last = is_left & (room < 2 * proof.costs.min())
        _finish(proof, child_fixed[is_last], child_present[is_last], room[is_last])
        is_left &= ~is_last & (bounds < proof.limit())
    rows = zip(bounds[is_left].tolist(), child_fixed[is_left], child_present[is_left], strict=True)
    return list(rows)


def _branch(proof: Proof, found: Measured, fixed: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Children of nodes: each gives up one group and fixes those that would cost more to give up.

    Returns bounds and what is left of the budget, `(nodes, children)`, and which groups they fix and allow.
    """
    free = present & ~fixed
    drops = found.drops.masked_fill(~free, -1.0)
    order = drops.argsort(-1, descending=True)
    rank = order.argsort(-1)
    price = proof.costs[order].masked_fill(~free.gather(-1, order), torch.inf)
    left = proof.budget * (1 + 1e-12) - (fixed * proof.costs).sum(-1, keepdim=True)
    room = left - torch.nn.functional.pad(price.cumsum(-1), (1, 0))[:, :-1]
    room = room.masked_fill(price == torch.inf, -1.0)
    num_children = max(1, int((room >= 0).sum(-1).max()))
    order, room = order[:, :num_children], room[:, :num_children]
    place = torch.arange(num_children, device=rank.device).view(1, -1, 1)
    child_fixed = fixed.unsqueeze(1) | (free.unsqueeze(1) & (rank.unsqueeze(1) < place))
    child_present = present.unsqueeze(1) & (rank.unsqueeze(1) != place)
    bounds = found.loss.unsqueeze(-1) + drops.gather(-1, order)
    later = free.unsqueeze(1) & (rank.unsqueeze(1) > place)  # what a child may still give up
    most = (room / proof.costs.min() + 1e-9).clamp_min(0).long()  # more than this cannot be kept
    width = found.drops.shape[-1]
    if found.drops_after is not None:
        rows = torch.arange(len(order), device=order.device).unsqueeze(-1)
        after = found.drops_after[rows, order].masked_fill(~later, 0.0).sort(-1, descending=True).values
        further = after.gather(-1, most.clamp(max=width - 1).unsqueeze(-1)).squeeze(-1)
        bounds = bounds + further.clamp_min(0).masked_fill(later.sum(-1) <= most, 0.0)
    return bounds, room, child_fixed, child_present


def _finish(proof: Proof, fixed: Tensor, present: Tensor, room: Tensor) -> None:
    """Offer the best support of nodes that have room for one more column at most."""
    if not len(fixed):
        return
    num_slots = max(1, int(fixed.sum(-1).max()))
    num_columns = proof.root.shape[1]
    column = torch.arange(num_columns, device=fixed.device)
    supports = torch.where(fixed, column, num_columns).sort(-1).values[:, :num_slots]
    fits = evaluate(proof.root[None], proof.target.expand(1, len(fixed), -1, -1), supports[None])
    gains = fits.correlation[0].square().sum(-2) / fits.variance[0]
    is_open = present & ~fixed & (proof.costs <= room.unsqueeze(-1)) & (fits.variance[0] > DEPENDENT)
    best = gains.masked_fill(~is_open, 0.0).max(-1)
    losses = fits.loss[0] - best.values
    winner = int(losses.argmin())
    chosen = fixed[winner].clone()
    if float(best.values[winner]) > 0:
        chosen[best.indices[winner]] = True
    proof.offer(float(losses[winner]), chosen)


def _offer_greedy(proof: Proof, fixed: Tensor, present: Tensor, found: Measured) -> None:
    """Offer the fixed groups with those that cost most to give up, while they fit."""
    free = present & ~fixed
    order = found.drops.masked_fill(~free, -1.0).argsort(-1, descending=True)
    price = proof.costs[order].masked_fill(~free.gather(-1, order), torch.inf)
    left = proof.budget - (fixed * proof.costs).sum(-1, keepdim=True)
    taken = fixed.scatter(-1, order, price.cumsum(-1) <= left * (1 + 1e-12)) | fixed
    losses = measure(proof.root, proof.target, taken, proof.members).loss
    best = int(losses.argmin())
    proof.offer(float(losses[best]), taken[best])
