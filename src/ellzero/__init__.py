"""Parametric models made exactly sparse, to a budget."""

__all__ = ["Budget", "Channels", "Count", "Gated", "Group", "Member", "Penalty", "Plan", "count", "prune", "trace"]

from ellzero.budgets import Budget, Penalty
from ellzero.gates import Gated
from ellzero.graph import Channels, Count, Group, Member, Plan, count, trace
from ellzero.surgery import prune
