"""What budgets and penalties have in common: costs of a gated network, expected, real and as delivered."""

__all__ = ["Sizer"]

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.budgets.projection import Fit, gates_of, project
from ellzero.budgets.rounding import round_widths
from ellzero.budgets.steps import StepGuard
from ellzero.budgets.targets import GatedNetwork
from ellzero.graph import Costs, Multiples, Plan, Target, Uniform, Widths


class Sizer(ABC):
    """Keeps a network small: `penalty()` goes into the loss, `step()` follows every optimizer step.

    Args:
        gated: the gated network.
        targets: what is counted.

    Raises:
        TypeError: if the network is not gated.
    """

    def __init__(self, gated: GatedNetwork, targets: Sequence[Target]) -> None:
        if not hasattr(gated, "layout"):
            hint = "give what it wraps, .module" if hasattr(gated, "module") else "wrap it first: Gated(model, example)"
            raise TypeError(f"expected a gated network, got {type(gated).__name__}, which has no gates; {hint}")
        self.gated = gated
        self.costs = Costs(gated.layout, targets)
        self._guard = StepGuard(gated)

    @property
    @abstractmethod
    def limits(self) -> Sequence[int]:
        """The largest size of each target that may be delivered."""

    @abstractmethod
    def penalty(self) -> Tensor:
        """What to add to the loss; a scalar, differentiable in the gates."""

    @abstractmethod
    def step(self) -> None:
        """What is to be done after every optimizer step."""

    def expected(self) -> dict[str, float]:
        """The expected share of each target that stays."""
        with torch.no_grad():
            return self.costs.named(self._expected().tolist())

    def real(self, plan: Plan) -> dict[str, float]:
        """The share of each target that a network cut to this plan has."""
        return self.costs.real(plan.open_gates(self.gated.layout))

    def fit(self, gated: GatedNetwork | None = None, *, multiple_of: Multiples = 1, uniform: Uniform = False) -> Fit:
        """The plan of the gates' medians; if it is over a limit, the least open gates are shut until it fits.

        Widths that are asked for are rounded up, where the limits allow it: gates that only fill up are zero and change
        nothing. Otherwise they are rounded down, where the gates are least open.

        Args:
            gated: a copy of the gated network (an average of its weights, say), if not the network itself.
            multiple_of: widths are multiples of it, or the full size; a mapping from patterns of group names to numbers
                rounds only these.
            uniform: groups of equal size whose names differ in the numbers of layers only get the same width; patterns
                of group names choose among them.

        Raises:
            BudgetError: if that network is gated in another way, or widths of this kind are over a limit.
            ValueError: if a pattern fits no group, or a multiple is not a positive whole number.
        """
        log_odds = gates_of(self.gated if gated is None else gated, self.gated.layout)
        widths = Widths.of(self.gated.layout, multiple_of, uniform)
        if widths.is_free:
            return project(self.costs, log_odds, self.limits)
        return round_widths(self.costs, log_odds, self.limits, widths)

    def _expected(self) -> Tensor:
        return self.costs.expected(self.gated.prob_open())
