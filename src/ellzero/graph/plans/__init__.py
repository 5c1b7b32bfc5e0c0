"""Networks as plain data: which channels there are, what they cost, and what is to be shut."""

__all__ = [
    "COUNTED",
    "KINDS",
    "Channels",
    "Costs",
    "Filling",
    "Group",
    "Layout",
    "Member",
    "Multiples",
    "Plan",
    "Structure",
    "Target",
    "Uniform",
    "Widths",
    "Work",
    "settle",
    "structure_of",
]

from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.cost import COUNTED, KINDS, Costs, Target
from ellzero.graph.plans.fill import Filling
from ellzero.graph.plans.groups import Group, Member, Work
from ellzero.graph.plans.layout import Layout, settle
from ellzero.graph.plans.plan import Plan
from ellzero.graph.plans.structure import Structure, structure_of
from ellzero.graph.plans.widths import Multiples, Uniform, Widths
