"""Which indices of which value in an exported graph are left by a cut: what its sizes have to say."""

__all__ = ["Left", "left_by"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ellzero.errors import SurgeryError
from ellzero.graph.labelling.labels import NONE, Labels
from ellzero.graph.labelling.run import run_on_labels
from ellzero.graph.plans.layout import Layout
from ellzero.graph.recording.record import Value
from ellzero.graph.recording.walk import Walked

Slot = tuple[str, int]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Left:
    """The values of a graph, and what a cut leaves of them."""

    labels: Labels
    stays: Flags
    results: Mapping[str, Any]

    def flags(self, value: Value, dim: int) -> Flags:
        """For each index of a dimension whether it stays."""
        vector = self.labels.of(value).get(dim)
        if vector is None:
            return np.ones(value.shape[dim], dtype=bool)
        return np.asarray(np.where(vector == NONE, True, self.stays[vector]))

    def shape(self, value: Value) -> tuple[int, ...]:
        """The shape that a value has after the cut."""
        return tuple(int(self.flags(value, dim).sum()) for dim in range(len(value.shape)))

    def is_even(self, value: Value, dim: int) -> bool:
        """Whether each channel takes equally many places, so that a size that varies stays in proportion."""
        vector = self.labels.of(value).get(dim, np.full(1, NONE))
        counts = np.unique(self.labels.classes()[vector], return_counts=True)[1]
        return not (vector == NONE).any() and len(set(counts.tolist())) == 1


def left_by(walked: Walked, layout: Layout, kept: Mapping[Slot, Tensor]) -> Left:
    """Run a graph on labels, and see which of them a cut leaves.

    Where a view spreads channels over several dimensions, along which of them they are told apart follows from what was
    cut: all places of a channel stay, or none.

    Args:
        walked: what the graph does.
        layout: the order of the gates.
        kept: for each stored dimension the indices that stay.

    Raises:
        SurgeryError: if no choice explains the cut.
    """
    cut = {
        (member.tensor, member.dim): kept[member.tensor, member.dim].cpu().numpy()
        for group in layout.channels.gated
        for member in group.members
        if group.kind == "channels" and (member.tensor, member.dim) not in _selected(layout)
    }
    choices: dict[str, int] = {}
    left, torn = _explained(walked, cut, choices)
    for site, num_dims in dict(_sites(left.labels)).items():
        for choice in range(1, num_dims) if torn else ():
            other, still = _explained(walked, cut, choices | {site: choice})
            if still < torn:
                choices, left, torn = choices | {site: choice}, other, still
    if torn:
        raise SurgeryError(f"{torn} channels of the exported graph would be removed in part; prune what was traced")
    return left


def _selected(layout: Layout) -> set[Slot]:
    """Dimensions before which a selection stands: what arrives there is not cut."""
    gated = layout.channels.gated
    return {(member.tensor, member.dim) for group in gated if group.kind != "channels" for member in group.members}


def _sites(labels: Labels) -> Iterator[Slot]:
    for split in labels.splits:
        yield split.site, split.num_dims


def _explained(walked: Walked, cut: Mapping[Slot, Any], choices: Mapping[str, int]) -> tuple[Left, int]:
    """What is left, and how many channels would be there in part."""
    labels = Labels(choices=choices, is_wide=True, is_exported=True)
    run_on_labels(walked.recording, (), labels, MappingProxyType({}))
    classes = labels.classes()
    gone, stays = (np.zeros(labels.total, dtype=bool) for _ in range(2))
    starts = dict(zip(labels.slots, labels.starts, strict=True))
    for (tensor, dim), kept in cut.items():
        is_kept = np.zeros(labels.widths[tensor, dim], dtype=bool)
        is_kept[kept] = True
        own = classes[starts[tensor, dim] : starts[tensor, dim] + len(is_kept)]
        stays[own[is_kept]] = True
        gone[own[~is_kept]] = True
    return Left(labels, ~gone[classes], walked.results), int((gone & stays).sum())
