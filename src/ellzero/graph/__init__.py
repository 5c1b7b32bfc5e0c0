"""Networks as plain data: channels, costs, plans, and the cutting of a network to a plan."""

__all__ = [
    "COUNTED",
    "KINDS",
    "Call",
    "Channels",
    "Costs",
    "Count",
    "Example",
    "Filling",
    "FollowsCut",
    "Group",
    "Labels",
    "Layout",
    "Member",
    "Multiples",
    "NoChannels",
    "OnlyBias",
    "Plan",
    "Rule",
    "Select",
    "Structure",
    "Target",
    "Uniform",
    "Value",
    "Widths",
    "Work",
    "arguments",
    "check_fit",
    "count",
    "cut",
    "cut_module",
    "eagerly",
    "forward",
    "gated_norms",
    "kept_indices",
    "mixes",
    "moves",
    "normalise_all",
    "normalise_open",
    "place_of",
    "pointwise",
    "settle",
    "structure_of",
    "tensors_in",
    "trace",
]

from ellzero.graph.blank import cut_module
from ellzero.graph.channels import Channels, Group, Member, Work
from ellzero.graph.cost import COUNTED, KINDS, Costs, Target
from ellzero.graph.count import Count, count
from ellzero.graph.cut import cut, kept_indices
from ellzero.graph.fill import Filling
from ellzero.graph.fit import check_fit
from ellzero.graph.following import FollowsCut
from ellzero.graph.labels import Labels
from ellzero.graph.layout import Layout, settle
from ellzero.graph.modules import NoChannels, OnlyBias, Select
from ellzero.graph.movement import moves
from ellzero.graph.norms import gated_norms, normalise_all, normalise_open
from ellzero.graph.outputs import tensors_in
from ellzero.graph.plan import Plan
from ellzero.graph.record import Call, Value
from ellzero.graph.rules import Rule, mixes, pointwise
from ellzero.graph.shadow import Example, arguments, eagerly, forward
from ellzero.graph.structure import Structure, structure_of
from ellzero.graph.trace import trace
from ellzero.graph.where import place_of
from ellzero.graph.widths import Multiples, Uniform, Widths
