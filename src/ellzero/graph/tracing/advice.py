"""Reasons to keep channels, in words that say what would help."""

__all__ = ["advise", "can_be_advised", "explain_views", "free_slots"]

from collections.abc import Collection, Set
from dataclasses import replace

import numpy as np

from ellzero.graph.labelling.labels import Labels
from ellzero.graph.labelling.movement import TORN
from ellzero.graph.labelling.run import IS_OUTPUT
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Group
from ellzero.graph.tracing.confirm import FIXED_IN_FORWARD
from ellzero.graph.tracing.grouping import FROM_INPUT

Slot = tuple[str, int]

_FINAL = (FROM_INPUT, IS_OUTPUT)


def can_be_advised(channels: Channels) -> bool:
    """Whether anything is kept for a reason that an option could take away.

    Args:
        channels: traced.
    """
    return any(not group.reason.startswith(_FINAL) for group in channels.kept)


def free_slots(labels: Labels) -> set[Slot]:
    """Stored dimensions with channels that are written and read, and that nothing keeps, as far as labels can tell.

    Args:
        labels: after the network has run on them, with an option.
    """
    classes, slot = labels.classes(), labels.slot_of(np.arange(labels.total))
    is_read, is_stored, is_given = (
        np.array(flags, dtype=bool)[slot]
        for flags in (
            [one in labels.reads for one in labels.slots],
            [name in labels.sizes for name, _ in labels.slots],
            [not name for name, _ in labels.slots],
        )
    )
    has_reader, has_writer, is_kept = (np.zeros(labels.total, dtype=bool) for _ in range(3))
    has_reader[classes[is_read]] = True
    has_writer[classes[is_stored & ~is_read]] = True
    is_kept[classes[is_given]] = True
    for pinned, _ in labels.pins:
        is_kept[classes[pinned]] = True
    is_free = (has_reader & has_writer & ~is_kept)[classes] & is_stored
    return {labels.slots[number] for number in np.unique(slot[is_free]).tolist()}


def advise(channels: Channels, free: Set[Slot], option: str) -> Channels:
    """Add to the reasons of what is kept that an option may help, where it does as far as labels can tell.

    Args:
        channels: traced without it.
        free: stored dimensions whose channels nothing keeps with it.
        option: how it is written.
    """
    groups = (
        replace(group, reason=f"{group.reason}; {option} may help")
        if group.reason and not group.reason.startswith(_FINAL) and _slots(group) & free
        else group
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
