"""Parametric models made exactly sparse, to a budget."""

__all__ = [
    "Budget",
    "Channels",
    "Conformance",
    "Count",
    "Gated",
    "Group",
    "Member",
    "Penalty",
    "Plan",
    "Structure",
    "check_model",
    "count",
    "load",
    "prune",
    "report",
    "save",
    "structure_of",
    "trace",
    "transfer_optimizer",
]

from ellzero.artifacts import load, save
from ellzero.budgets import Budget, Penalty
from ellzero.conformance import Conformance, check_model
from ellzero.gates import Gated
from ellzero.graph import Channels, Count, Group, Member, Plan, Structure, count, structure_of, trace
from ellzero.report import report
from ellzero.surgery import prune, transfer_optimizer
