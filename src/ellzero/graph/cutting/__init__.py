"""Make a smaller network of a network and a plan, and let norms compute beforehand what they will in it."""

__all__ = [
    "FollowsCut",
    "NoChannels",
    "OnlyBias",
    "Select",
    "cut",
    "cut_module",
    "gated_norms",
    "kept_indices",
    "normalise_all",
    "normalise_open",
]

from ellzero.graph.cutting.blank import cut_module
from ellzero.graph.cutting.cut import cut, kept_indices
from ellzero.graph.cutting.following import FollowsCut
from ellzero.graph.cutting.modules import NoChannels, OnlyBias, Select
from ellzero.graph.cutting.open_norms import gated_norms, normalise_all, normalise_open
