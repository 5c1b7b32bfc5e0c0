"""From gates that are nearly decided to a plan that never exceeds the budget."""

__all__ = ["Fit", "gates_of", "limits_of", "over", "project", "shut_lowest", "slopes"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.budgets.targets import GatedNetwork
from ellzero.distributions import median
from ellzero.errors import BudgetError, NonFiniteError
from ellzero.graph import Costs, Layout, Plan, settle


@dataclass(frozen=True)
class Fit:
    """A plan within the budget.

    Attributes:
        plan: what is removed.
        num_shut: gates that training left open and that it shuts.
        num_opened: gates that training shut and that stay, to fill a width up; they are zero.
        core: what the gates shut, those that only fill up included; the same as the plan if it is left out.
    """

    plan: Plan
    num_shut: int
    num_opened: int = 0
    core: Plan | None = None


def gates_of(gated: GatedNetwork, layout: Layout) -> Tensor:
    """The log-odds of a network that must be gated like another one, on the CPU, shape `(gates,)`.

    Args:
        gated: the network, or a copy of it.
        layout: of the network that the cost was made for.

    Raises:
        TypeError: if it is no gated network.
        BudgetError: if it is gated in another way.
        NonFiniteError: if a gate is NaN or infinite.
    """
    if not hasattr(gated, "layout"):
        raise TypeError(f"expected a gated network, got {type(gated).__name__}; give what it wraps, such as ema.module")
    if gated.layout.channels != layout.channels:
        raise BudgetError("this network is gated in another way than the one that the budget was made for")
    log_odds = gated.log_odds.detach().cpu()
    if not bool(log_odds.isfinite().all()):
        raise NonFiniteError("some gates are NaN or infinite; load a sound checkpoint")
    return log_odds


def limits_of(costs: Costs, shares: Sequence[float]) -> list[int]:
    """The largest exact cost that each target allows.

    Args:
        costs: what is limited.
        shares: of the full cost, one for each target.
    """
    return [math.floor(share * full + 1e-9) for share, full in zip(shares, costs.full, strict=True)]


def project(costs: Costs, log_odds: Tensor, limits: Sequence[int]) -> Fit:
    """Shut the least open gates until every cost is within its limit.

    Gates that do not touch a violated cost are left alone.

    Args:
        costs: what is limited.
        log_odds: all gates, on the CPU, shape `(gates,)`.
        limits: the largest allowed exact cost of each target.

    Raises:
        BudgetError: if even the smallest network is over a limit.
    """
    first = settle(costs.layout, log_odds, median(log_odds) > 0)
    is_open = shut_lowest(costs, log_odds, first, limits)
    return Fit(Plan.of(costs.layout, is_open), int((first & ~is_open).sum()))


def shut_lowest(
    costs: Costs, scores: Tensor, is_open: Tensor, limits: Sequence[int], *, ties_together: bool = False
) -> Tensor:
    """Shut the gates of lowest score, of those that touch a violated cost, until every cost is within its limit.

    Closing more never costs more, so the number of gates to shut until the first of the violated costs is within its
    limit is found by bisection; then the others follow.

    Args:
        costs: what is limited.
        scores: larger means more worth keeping, on the CPU, shape `(gates,)`.
        is_open: a settled set of open gates, bool, shape `(gates,)`.
        limits: the largest allowed exact cost of each target.
        ties_together: whether gates of the same score are shut together or not at all.

    Returns:
        A settled set of open gates, bool, shape `(gates,)`.

    Raises:
        BudgetError: if even the smallest network is over a limit.
    """
    while violated := over(costs, is_open, limits):
        order = _candidates(costs, scores, is_open, violated)
        ends = _ends(scores[order], ties_together)

        def shut(step: int, start: Tensor = is_open, order: Tensor = order, ends: Tensor = ends) -> Tensor:
            closed = start.clone()
            closed[order[: ends[step]]] = False
            return settle(costs.layout, scores, closed)

        low, high = 0, len(ends) - 1
        while low < high:
            middle = (low + high) // 2
            still = len(over(costs, shut(middle), limits)) == len(violated)
            low, high = (middle + 1, high) if still else (low, middle)
        smaller = shut(low)
        if torch.equal(smaller, is_open):
            raise BudgetError("no gate can be shut any more and the network is still over the budget")
        is_open = smaller
    return is_open


def over(costs: Costs, is_open: Tensor, limits: Sequence[int]) -> list[int]:
    """The numbers of the targets that are over their limit when exactly these gates are open."""
    return [row for row, (cost, limit) in enumerate(zip(costs.exact(is_open), limits, strict=True)) if cost > limit]


def slopes(costs: Costs, targets: list[int]) -> Tensor:
    """How much the sum of some expected costs depends on each gate when all are half open, shape `(gates,)`."""
    with torch.enable_grad():
        prob = torch.full((costs.layout.num_gates,), 0.5, dtype=torch.float32, requires_grad=True)
        (slope,) = torch.autograd.grad(costs.expected(prob)[targets].sum(), prob)
    return slope


def _candidates(costs: Costs, scores: Tensor, is_open: Tensor, violated: list[int]) -> Tensor:
    """Open gates that a violated cost depends on, lowest score first."""
    chosen = (is_open & (slopes(costs, violated) > 0)).nonzero().squeeze(1)
    return chosen[torch.argsort(scores[chosen], stable=True)]


def _ends(scores: Tensor, ties_together: bool) -> Tensor:
    """How many of these gates, in ascending order, may be shut: any number, or only all of the same score."""
    ends = torch.arange(len(scores) + 1)
    if not ties_together or not len(scores):
        return ends
    is_last = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
    return torch.cat([ends[:1], ends[1:][is_last]])
