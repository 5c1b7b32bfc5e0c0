"""Reasons to keep channels, in words that say what would help."""

__all__ = ["advise", "explain_views"]

from collections.abc import Collection
from dataclasses import replace

from ellzero.graph.labelling.movement import TORN
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Group
from ellzero.graph.tracing.confirm import FIXED_IN_FORWARD

Slot = tuple[str, int]


def advise(channels: Channels, other: Channels, option: str) -> Channels:
    """Add to the reasons of what is kept that an option may help, where it does as far as labels can tell.

    Args:
        channels: traced without it.
        other: what the labels say with it.
        option: how it is written.
    """
    gated = {slot for group in other.gated for slot in _slots(group)}
    groups = (
        replace(group, reason=f"{group.reason}; {option} may help") if group.reason and _slots(group) & gated else group
        for group in channels.groups
    )
    return replace(channels, groups=tuple(groups))


def explain_views(channels: Channels, other: Channels, slots: Collection[Slot]) -> Channels:
    """Where a view can be understood in several ways and all fail, say that it fixes a width, if it does.

    Args:
        channels: the best that was found; there a view is followed by a cut at fixed places.
        other: what was found when channels are told apart along another dimension of the view.
        slots: stored dimensions that are spread by it.
    """
    fixed = [group for group in other.kept if group.reason.startswith(FIXED_IN_FORWARD) and _slots(group) & {*slots}]
    if not fixed:
        return channels
    groups = (
        replace(group, reason=fixed[0].reason) if group.reason.startswith(TORN) and _slots(group) & {*slots} else group
        for group in channels.groups
    )
    return replace(channels, groups=tuple(groups))


def _slots(group: Group) -> set[Slot]:
    return {(member.tensor, member.dim) for member in group.members}
