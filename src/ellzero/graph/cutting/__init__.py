"""Make a smaller network of a network and a plan."""

__all__ = [
    "FollowsCut",
    "NoChannels",
    "OnlyBias",
    "Select",
    "cut",
    "cut_module",
    "kept_indices",
]

from ellzero.graph.cutting.blank import cut_module
from ellzero.graph.cutting.cut import cut, kept_indices
from ellzero.graph.cutting.following import FollowsCut
from ellzero.graph.cutting.modules import NoChannels, OnlyBias, Select
