"""From gates that are nearly decided to a plan that never exceeds the budget."""

__all__ = ["Fit", "gates_of", "over", "project", "slopes"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.budgets.targets import GatedNetwork
from ellzero.distributions import median, prob_open
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


def project(costs: Costs, log_odds: Tensor, limits: Sequence[int]) -> Fit:
    """Shut the least open gates until every cost is within its limit.

    Gates that do not touch a violated cost are left alone. Closing more never costs more, so the number of gates to
    shut until the first of the violated costs is within its limit is found by bisection; then the others follow.

    Args:
        costs: what is limited.
        log_odds: all gates, on the CPU, shape `(gates,)`.
        limits: the largest allowed exact cost of each target.

    Raises:
        BudgetError: if even the smallest network is over a limit.
    """
    layout = costs.layout
    is_open = first = settle(layout, log_odds, median(log_odds) > 0)
    while violated := over(costs, is_open, limits):
        order = _candidates(costs, log_odds, is_open, violated)

        def shut(num: int, start: Tensor = is_open, order: Tensor = order) -> Tensor:
            closed = start.clone()
            closed[order[:num]] = False
            return settle(layout, log_odds, closed)

        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            still = len(over(costs, shut(middle), limits)) == len(violated)
            low, high = (middle + 1, high) if still else (low, middle)
        smaller = shut(low)
        if torch.equal(smaller, is_open):
            raise BudgetError("no gate can be shut any more and the network is still over the budget")
        is_open = smaller
    return Fit(Plan.of(layout, is_open), int((first & ~is_open).sum()))


def over(costs: Costs, is_open: Tensor, limits: Sequence[int]) -> list[int]:
    """The numbers of the targets that are over their limit when exactly these gates are open."""
    return [row for row, (cost, limit) in enumerate(zip(costs.exact(is_open), limits, strict=True)) if cost > limit]


def slopes(costs: Costs, log_odds: Tensor, targets: list[int]) -> Tensor:
    """How much the sum of some expected costs depends on each gate, shape `(gates,)`."""
    with torch.enable_grad():
        prob = prob_open(log_odds.clone()).clamp(0.01, 0.99).requires_grad_()
        (slope,) = torch.autograd.grad(costs.expected(prob)[targets].sum(), prob)
    return slope


def _candidates(costs: Costs, log_odds: Tensor, is_open: Tensor, violated: list[int]) -> Tensor:
    """Open gates that a violated cost depends on, least open first."""
    chosen = (is_open & (slopes(costs, log_odds, violated) > 0)).nonzero().squeeze(1)
    return chosen[torch.argsort(log_odds[chosen], stable=True)]
