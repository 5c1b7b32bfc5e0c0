"""What supports are searched for: columns, targets, costs and budgets of a batch of systems."""

__all__ = ["Search"]

from dataclasses import dataclass, replace
from typing import Self, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import Fits, evaluate

_RELATIVE = 1e-9
_ABSOLUTE = 1e-14  # of the target's energy


@final
@dataclass(frozen=True)
class Search:
    """What supports are chosen for: systems that share a root, under one budget each."""

    root: Tensor
    """Scaled columns, shape `(roots, rows, columns)`."""
    target: Tensor
    """Shape `(roots, systems, rows, targets)`."""
    budget: Tensor
    """Largest cost of each support, shape `(roots, systems)`."""
    costs: Tensor
    """Cost of each column, shape `(columns,)`."""
    is_fixed: Tensor
    """Columns that every support keeps, bool, shape `(columns,)`."""
    ridge: float = 0.0
    """Multiple of the squared coefficients of the scaled columns that is added to the loss."""

    @property
    def num_columns(self) -> int:
        """How many columns there are."""
        return self.root.shape[-1]

    def margin(self, loss: Tensor | float) -> Tensor:
        """What a loss, shape `(roots, systems)`, must fall by at least: less is taken for a rounding error."""
        return _ABSOLUTE * self.target.square().sum((-1, -2)) + _RELATIVE * loss

    def padded_costs(self) -> Tensor:
        """Costs, and zero for an empty slot."""
        return torch.cat([self.costs, self.costs.new_zeros(1)])

    def room(self, supports: Tensor) -> Tensor:
        """What is left of the budgets, shape `(roots, systems)`, with a margin for rounding."""
        return self.budget * (1 + 1e-12) - self.padded_costs()[supports].sum(-1)

    def fit(self, supports: Tensor) -> Fits:
        """Least squares on supports of these systems."""
        return evaluate(self.root, self.target, supports, ridge=self.ridge)

    def of_systems(self, is_wanted: Tensor) -> Self:
        """The same search on some systems: beside one another if there is one root, else each with a root of its own.

        Args:
            is_wanted: bool, shape `(roots, systems)`.

        Returns:
            A search whose systems, in order, are the wanted ones.
        """
        if len(self.root) == 1:
            return replace(self, target=self.target[:, is_wanted[0]], budget=self.budget[:, is_wanted[0]])
        owners = is_wanted.nonzero()[:, 0]
        target, budget = self.target[is_wanted].unsqueeze(1), self.budget[is_wanted].unsqueeze(1)
        return replace(self, root=self.root[owners], target=target, budget=budget)
