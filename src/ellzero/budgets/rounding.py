"""From gates that are nearly decided to widths that are allowed, within the budget."""

__all__ = ["round_widths"]

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ellzero.budgets.projection import Fit, over, slopes
from ellzero.distributions import median, prob_open
from ellzero.errors import BudgetError
from ellzero.graph import Costs, Filling, Plan, Widths, settle


class _Step(NamedTuple):
    """Make a bundle one allowed width narrower; `prob` is the mean probability of what that shuts to be open."""

    prob: float
    bundle: int
    width: int


def round_widths(costs: Costs, log_odds: Tensor, limits: Sequence[int], widths: Widths) -> Fit:
    """Round every width up, then make groups narrower, the least open steps first, until every cost is within limits.

    A gate that is opened only to fill a width up keeps the value that training gave it, zero: the network that is
    delivered computes what it did, and is as wide as asked for. What has been made too narrow in the end is given back.

    Args:
        costs: what is limited.
        log_odds: all gates, on the CPU, shape `(gates,)`.
        limits: the largest allowed exact cost of each target.
        widths: what may be delivered.

    Raises:
        BudgetError: if the narrowest widths allowed are over a limit.
    """
    layout = costs.layout
    first = settle(layout, log_odds, median(log_odds) > 0)
    search = _Search(costs, log_odds, limits, Filling(widths, first, log_odds))
    levels = search.give_back(search.narrow(search.filling.covering()))
    shape = search.filling.open(levels)
    core = settle(layout, log_odds, shape & first)
    return Fit(Plan.of(layout, shape), int((first & ~core).sum()), int((shape & ~first).sum()), Plan.of(layout, core))


class _Search:
    """Widths within limits."""

    def __init__(self, costs: Costs, log_odds: Tensor, limits: Sequence[int], filling: Filling) -> None:
        self.costs, self.log_odds, self.limits, self.filling = costs, log_odds, limits, filling
        self.allowed = filling.widths.allowed
        self.prob = prob_open(log_odds)

    def over(self, levels: Sequence[int]) -> list[int]:
        """The targets that are over their limit at these widths."""
        return over(self.costs, self.filling.open(levels), self.limits)

    def narrow(self, levels: list[int]) -> list[int]:
        """Take steps, those of lowest probability first, as few as will do."""
        while violated := self.over(levels):
            steps = self._steps(levels, violated)
            low, high = 0, len(steps)
            while low < high:
                middle = (low + high) // 2
                still = len(self.over(_after(levels, steps[:middle]))) == len(violated)
                low, high = (middle + 1, high) if still else (low, middle)
            narrower = _after(levels, steps[:low])
            if narrower == levels or len(self.over(narrower)) == len(violated):
                self._refuse()
            levels = narrower
        return levels

    def give_back(self, levels: list[int]) -> list[int]:
        """Widen again what still fits, as long as it opens gates that training had left open."""
        is_done = [False] * len(levels)
        for _, number, width in reversed(self._steps(self.filling.covering(), None)):
            if width < levels[number] or is_done[number]:
                continue
            wider = self.allowed[number][self.allowed[number].index(width) + 1]
            tried = [*levels[:number], wider, *levels[number + 1 :]]
            is_done[number] = bool(self.over(tried))
            levels = levels if is_done[number] else tried
        return levels

    def _steps(self, levels: Sequence[int], violated: list[int] | None) -> list[_Step]:
        """All steps down from these widths that touch a violated cost, the least probable first."""
        matters = slopes(self.costs, violated) > 0 if violated is not None else None
        steps = []
        for number, bundle in enumerate(self.filling.widths.bundles):
            orders = [self.filling.order[group] for group in bundle]
            if matters is not None and not any(bool(matters[order].any()) for order in orders):
                continue
            below = [width for width in self.allowed[number] if width <= levels[number]][::-1]
            prob = 0.0
            for wide, narrow in pairwise(below):
                shut = torch.cat([order[narrow:wide] for order in orders])
                prob = max(prob, self.prob[shut].mean().item())
                steps.append(_Step(prob, number, narrow))
        return sorted(steps, key=lambda step: (step.prob, -step.width))

    def _refuse(self) -> None:
        smallest = self.costs.exact(self.filling.open(self.filling.least()))
        for target, full, least, limit in zip(self.costs.targets, self.costs.full, smallest, self.limits, strict=True):
            if least > limit:
                raise BudgetError(
                    f"with widths that are {self.filling.widths}, {target} can be brought to {least / full:.4%} "
                    f"({least:,}) at best, but the target is {limit / full:.4%} ({limit:,}); round fewer groups or to "
                    "less, multiple_of={'name': 4}, or raise the target"
                )
        raise BudgetError(f"no widths that are {self.filling.widths} were found within all limits; raise a target")


def _after(levels: Sequence[int], steps: Sequence[_Step]) -> list[int]:
    found = list(levels)
    for step in steps:
        found[step.bundle] = min(found[step.bundle], step.width)
    return found
