"""Numbers that modules remember and that must go down with the width of a group, such as the number of heads."""

__all__ = ["Signature", "candidates", "signature"]

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

from torch import nn

from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Attribute, Group
from ellzero.graph.plans.names import built_alike
from ellzero.graph.recording.record import Recording
from ellzero.graph.tracing.removable import Carries

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
    return built_alike(attribute.module), attribute.name, attribute.multiple


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
    remembered = {name: _numbers(module) for name, module in model.named_modules()}
    found = {}
    for number, group in enumerate(channels.groups):
        if not group.reason and group.size > 1:
            found[group.name] = tuple(_multiples(group, {name: remembered[name] for name in sorted(modules[number])}))
    return found


def _numbers(module: nn.Module) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if type(value) is int and value > 0}


def _multiples(group: Group, remembered: Mapping[str, Mapping[str, int]]) -> list[Attribute]:
    """Ratios between the places that a channel takes in different tensors count as multiples, too."""
    places = {1, *(len(member.index) // group.size for member in group.members)}
    multiples = {one // other for one in places for other in places if one % other == 0}
    return [
        Attribute(name, key, value // group.size)
        for name, numbers in remembered.items()
        for key, value in numbers.items()
        if value % group.size == 0 and value // group.size in multiples
    ]
