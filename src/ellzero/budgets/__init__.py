"""Budgets: how much of a network may stay open, and what drives it there."""

__all__ = ["CONTROLLERS", "Amounts", "Budget", "Fit", "Penalty", "Sizer", "make_plan"]

from ellzero.budgets.budget import Budget
from ellzero.budgets.controller import CONTROLLERS
from ellzero.budgets.penalty import Penalty
from ellzero.budgets.planning import make_plan
from ellzero.budgets.projection import Fit
from ellzero.budgets.sizer import Sizer
from ellzero.budgets.targets import Amounts
