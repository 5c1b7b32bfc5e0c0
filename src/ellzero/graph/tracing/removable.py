"""Which groups may go entirely: those whose absence leaves a path from the inputs to every output."""

__all__ = ["Carries", "carried", "mark_removable"]

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch.torch_version import TorchVersion

from ellzero.graph.labelling.attention import ATTENTION
from ellzero.graph.labelling.labels import NONE, Labels
from ellzero.graph.plans.channels import Channels
from ellzero.graph.recording.record import Call, Recording

Carries: TypeAlias = Mapping[int, tuple[frozenset[int], ...]]

# Before that, attention on the CPU divides by the number of heads and ends the process where there are none
# (https://github.com/pytorch/pytorch/issues/141219); to be removed with the support of older versions.
_DIVIDES_BY_HEADS = TorchVersion(torch.__version__) < "2.13"

_IMAGES = (
    "aten.upsample_linear1d aten.upsample_bilinear2d aten.upsample_bicubic2d aten.upsample_trilinear3d"
    " aten.upsample_nearest1d aten.upsample_nearest2d aten.upsample_nearest3d aten._upsample_nearest_exact1d"
    " aten._upsample_nearest_exact2d aten._upsample_nearest_exact3d aten._upsample_bilinear2d_aa"
    " aten._upsample_bicubic2d_aa"
)
"""Their kernels refuse images without channels, which tensors of shape only do not show."""

_ALWAYS = -1
"""Stands for values that belong to no gated group."""


def mark_removable(channels: Channels, recording: Recording, carries: Carries) -> Channels:
    """Mark groups that can be emptied, all of them at once, without cutting an output off from the inputs.

    Args:
        channels: the groups.
        recording: the order of the calls.
        carries: what every value carries; see `carried`.

    Returns:
        The same groups, `removable` set. Of several parallel branches without a direct path, the last one stays.
    """
    steps = list(_steps(recording, carries))
    reached = _reached(recording, steps, 0)
    last = _at(_IMAGES.split(), recording, carries)
    last = last | _at(ATTENTION, recording, carries) if _DIVIDES_BY_HEADS else last
    candidates = [
        number
        for number, group in enumerate(channels.groups)
        if not group.reason and group.kind == "channels" and number not in last
    ]

    def emptied_with(before: frozenset[int], block: list[int]) -> frozenset[int]:
        """One after the other, in order; emptying more never reaches more, so that a block may be tried as a whole."""
        if _reached(recording, steps, _bits(before | frozenset(block))) == reached:
            return before | frozenset(block)
        if len(block) == 1:
            return before
        middle = len(block) // 2
        return emptied_with(emptied_with(before, block[:middle]), block[middle:])

    emptied = emptied_with(frozenset(), candidates) if candidates else frozenset()
    groups = [replace(group, removable=number in emptied) for number, group in enumerate(channels.groups)]
    return replace(channels, groups=tuple(groups))


def _at(names: Iterable[str], recording: Recording, carries: Carries) -> frozenset[int]:
    """The groups that are in what some operations return."""
    calls = [call for call in recording.calls if str(call.op.overloadpacket) in names]
    return frozenset().union(*(place for call in calls for place in carries[call.targets[0].number]))


def carried(channels: Channels, labels: Labels, recording: Recording) -> dict[int, tuple[frozenset[int], ...]]:
    """For each value that is computed, and each of its dimensions, the numbers of the gated groups there, or -1."""
    classes = labels.classes()
    group_of_class = np.full(labels.total, _ALWAYS)
    starts = dict(zip(labels.slots, labels.starts, strict=True))
    for number, group in enumerate(channels.groups):
        if not group.reason and group.kind == "channels":
            for member in group.members:
                group_of_class[classes[starts[member.tensor, member.dim] + np.asarray(member.index)]] = number
    group_of = group_of_class[classes]  # constants that are united with a group belong to it, too
    found = {}
    for call in recording.calls:
        for value in call.targets:
            places = [np.unique(group_of[vector[vector != NONE]]).tolist() for vector in labels.of(value).values()]
            found[value.number] = tuple(map(frozenset, places)) or (frozenset({_ALWAYS}),)
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """One computed value: its number, those of what it is computed from, and the groups along its dimensions.

    Sets of groups are whole numbers whose bit `n + 1` stands for group `n`, and the first for no gated group.
    """

    number: int
    sources: tuple[int, ...]
    places: tuple[int, ...]
    groups: int


def _bits(groups: Iterable[int]) -> int:
    return sum(1 << (number - _ALWAYS) for number in groups)


def _steps(recording: Recording, carries: Carries) -> Iterator[_Step]:
    """The computed values that depend on an input; places that are never empty are left out."""
    fed = {value.number for value in recording.inputs}
    views: dict[int, set[int]] = {}  # values that share their numbers with each other
    for call in recording.calls:
        sources = tuple(value.number for value in call.sources if value.number in fed)
        if _returns_view(call) and call.sources:
            shared = views.setdefault(call.sources[0].number, {call.sources[0].number})
            shared.update(value.number for value in call.targets)
            views.update((value.number, shared) for value in call.targets)
        for value in call.targets if sources else ():
            fed.add(value.number)
            yield _step(value.number, sources, carries[value.number])
            if value in call.sources:  # which was written in place
                for other in sorted(views.get(value.number, set()) & carries.keys() - {value.number}):
                    fed.add(other)
                    yield _step(other, (value.number,), carries[other])


def _step(number: int, sources: tuple[int, ...], places: tuple[frozenset[int], ...]) -> _Step:
    may_empty = tuple(_bits(place) for place in places if _ALWAYS not in place)
    return _Step(number, sources, may_empty, _bits(frozenset().union(*places)))


def _returns_view(call: Call) -> bool:
    """Whether what it returns shares its numbers with what it is given, and nothing is written."""
    found = [one.alias_info for one in call.op._schema.returns]
    return any(one is not None and not one.is_write for one in found)


def _reached(recording: Recording, steps: Sequence[_Step], emptied: int) -> frozenset[int]:
    """The outputs that still depend on an input when some groups are empty."""
    alive = {value.number: _bits([_ALWAYS]) for value in recording.inputs}
    kept = ~emptied
    for step in steps:
        incoming = 0
        for number in step.sources:
            incoming |= alive.get(number, 0)
        if incoming and all(map(kept.__and__, step.places)):
            alive[step.number] = alive.get(step.number, 0) | ((incoming & step.groups) or step.groups) & kept
    return frozenset(value.number for value in recording.outputs if alive.get(value.number))
