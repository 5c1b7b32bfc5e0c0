"""Numbers that modules remember and that must go down with the width of a group, such as the number of heads."""

__all__ = ["Signature", "candidates", "signature"]

import re
from collections import defaultdict
from typing import TypeAlias

from torch import nn

from ellzero.graph.channels import Attribute, Channels, Group
from ellzero.graph.record import Recording
from ellzero.graph.removable import Carries

Signature: TypeAlias = tuple[str, str, int]
"""What an attribute is in all blocks that are built alike: module without numbers, name, multiple."""

USUAL = frozenset(
    [
        "num_heads",
        "num_attention_heads",
        "n_head",
        "n_heads",
        "nhead",
        "heads",
        "num_key_value_heads",
        "num_kv_heads",
        "n_kv_heads",
        "kv_heads",
        "all_head_size",
        "inner_dim",
        "intermediate_size",
    ]
)
"""Names that speak of heads and inner widths only; they are kept true even where the forward pass does not use them."""


def signature(attribute: Attribute) -> Signature:
    """The same for the same attribute of repeated blocks."""
    return re.sub("[0-9]+", "*", attribute.module), attribute.name, attribute.multiple


def candidates(
    model: nn.Module, channels: Channels, recording: Recording, carries: Carries
) -> dict[str, tuple[Attribute, ...]]:
    """For each gated group the attributes that are a multiple of its size, in modules that see its channels.

    Args:
        model: whose attributes are looked at.
        channels: the groups.
        recording: in which module every operation ran.
        carries: what every value carries.
    """
    modules: dict[int, set[str]] = defaultdict(set)
    for call in recording.calls:
        for value in [*call.sources, *call.targets]:
            for number in frozenset().union(*carries.get(value.number, ())):
                modules[number].add(call.module)
    found = {}
    for number, group in enumerate(channels.groups):
        if not group.reason and group.size > 1:
            names = sorted(modules[number])
            found[group.name] = tuple(one for name in names for one in _of_module(model, name, group))
    return found


def _of_module(model: nn.Module, name: str, group: Group) -> list[Attribute]:
    """Ratios between the places that a channel takes in different tensors count as multiples, too."""
    places = {1, *(len(member.index) // group.size for member in group.members)}
    multiples = {one // other for one in places for other in places if one % other == 0}
    return [
        Attribute(name, key, value // group.size)
        for key, value in vars(model.get_submodule(name)).items()
        if type(value) is int and value > 0 and value % group.size == 0 and value // group.size in multiples
    ]
