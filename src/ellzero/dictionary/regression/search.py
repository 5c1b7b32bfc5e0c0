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
    is_present: Tensor
    """Columns that are not zero, bool, shape `(roots, columns)`: the others never enter."""
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

    def is_kept(self, supports: Tensor) -> Tensor:
        """Slots that hold a fixed column, bool, shape of `supports`."""
        return torch.cat([self.is_fixed, self.is_fixed.new_zeros(1)])[supports]

    def is_free(self, supports: Tensor) -> Tensor:
        """Slots that hold a column which may leave, bool, shape of `supports`."""
        return ~torch.cat([self.is_fixed, self.is_fixed.new_ones(1)])[supports]

    def fit(self, supports: Tensor) -> Fits:
        """Least squares on supports of these systems; columns without a direction of their own leave, unless fixed.

        This is where the search gets its promise from: apart from fixed ones, the columns of a support are independent,
        and those that may enter, of a variance above `DEPENDENT`, are neither zero nor in the support.
        """
        fits = evaluate(self.root, self.target, supports, ridge=self.ridge)
        fits = replace(fits, variance=fits.variance.masked_fill_(~self.is_present.unsqueeze(1), -torch.inf))
        if not bool(fits.is_idle.any()):
            return fits
        supports = fits.supports.masked_fill(fits.is_idle & self.is_free(fits.supports), self.num_columns)
        is_void = fits.is_idle | (supports == self.num_columns)
        order = torch.where(is_void, supports, -1).argsort(dim=-1, stable=True)  # void slots are all the same otherwise
        supports = supports.gather(-1, order)
        return replace(fits, supports=supports, is_idle=is_void.gather(-1, order) & (supports < self.num_columns))

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
        return replace(self, root=self.root[owners], is_present=self.is_present[owners], target=target, budget=budget)
