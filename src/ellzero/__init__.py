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
    "cut_checkpoint",
    "cut_module",
    "load",
    "make_plan",
    "prune",
    "report",
    "save",
    "structure_of",
    "trace",
    "transfer_optimizer",
]

from ellzero.artifacts import cut_checkpoint, load, save
from ellzero.budgets import Budget, Penalty, make_plan
from ellzero.conformance import Conformance, check_model
from ellzero.gates import Gated
from ellzero.graph import Channels, Count, Group, Member, Plan, Structure, count, cut_module, structure_of, trace
from ellzero.report import report
from ellzero.surgery import prune, transfer_optimizer
