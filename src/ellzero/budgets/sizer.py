"""What budgets and penalties have in common: costs of a gated network, expected, real and as delivered."""

__all__ = ["Sizer"]

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.budgets.projection import Fit, gates_of, project
from ellzero.budgets.steps import StepGuard
from ellzero.budgets.targets import GatedNetwork
from ellzero.graph import Costs, Plan, Target


class Sizer(ABC):
    """Keeps a network small: `penalty()` goes into the loss, `step()` follows every optimizer step.

    Args:
        gated: the gated network.
        targets: what is counted.
    """

    def __init__(self, gated: GatedNetwork, targets: Sequence[Target]) -> None:
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

    def fit(self, gated: GatedNetwork | None = None) -> Fit:
        """The plan of the gates' medians; if it is over a limit, the least open gates are shut until it fits.

        Args:
            gated: a copy of the gated network (an average of its weights, say), if not the network itself.

        Raises:
            BudgetError: if that network is gated in another way.
        """
        log_odds = gates_of(self.gated if gated is None else gated, self.gated.layout)
        return project(self.costs, log_odds, self.limits)

    def _expected(self) -> Tensor:
        return self.costs.expected(self.gated.prob_open())
