"""Where the gates of each group lie in one flat vector, and which of them open which index of a stored dimension."""

__all__ = ["Layout", "settle"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ellzero.errors import TraceError
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Group, Index


@dataclass(frozen=True)
class Layout:
    """The flat order of all gates of a network.

    Attributes:
        channels: what is gated.
        group: number of the group of each gate, int64, shape `(gates,)`.
        parent: gate of the channel in which a position lies, or `gates` where there is none, shape `(gates,)`.
        must_stay: whether at least one gate of the group stays open, bool, shape `(groups,)`.
        is_read_by_position: whether every reader of the gate's channel reads gated positions, bool, shape `(gates,)`.
    """

    channels: Channels
    group: Tensor
    parent: Tensor
    must_stay: Tensor
    is_read_by_position: Tensor

    @classmethod
    def of(cls, channels: Channels) -> "Layout":
        """Lay out the gated groups one after the other.

        Raises:
            TraceError: if nothing can be gated; the message lists every group with its reason.
        """
        groups = channels.gated
        if not groups:
            raise TraceError(
                f"there is nothing to gate in this network; what was found:\n{str(channels) or 'no channels'}"
            )
        offsets = dict(zip([group.name for group in groups], _offsets(groups), strict=True))
        group = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([one.size for one in groups]))
        parent = torch.full_like(group, len(group))
        by_position = torch.zeros(len(group), dtype=torch.bool)
        for one in groups:
            start = offsets[one.name]
            if one.parent in offsets:
                parent[start : start + one.size] = torch.as_tensor(one.parent_index) + offsets[one.parent]
            by_position[start : start + one.size] = _is_read_by_position(one, groups)
        must_stay = torch.tensor([not one.removable for one in groups])
        return cls(channels, group, parent, must_stay, by_position)

    @property
    def num_gates(self) -> int:
        """Length of the flat vector."""
        return len(self.group)

    @cached_property
    def has_parents(self) -> bool:
        """Whether some gates are positions within gated channels."""
        return bool((self.parent < self.num_gates).any())

    def on(self, device: torch.device) -> "Layout":
        """The same layout with its tensors on a device; they are copied there once."""
        if device == self.group.device:
            return self
        if device not in self._copies:
            names = ("group", "parent", "must_stay", "is_read_by_position")
            self._copies[device] = replace(self, **{name: getattr(self, name).to(device) for name in names})
        return self._copies[device]

    @cached_property
    def _copies(self) -> "dict[torch.device, Layout]":
        return {}

    def slices(self) -> Iterator[tuple[Group, slice]]:
        """Each gated group with its place in the flat vector."""
        for group, start in zip(self.channels.gated, _offsets(self.channels.gated), strict=True):
            yield group, slice(start, start + group.size)

    def effective(self, values: Tensor) -> Tensor:
        """Multiply the value of every position by that of the channel it lies in, shape `(gates,)`."""
        if not self.has_parents:
            return values
        return values * torch.cat([values, values.new_ones(1)]).index_select(0, self.on(values.device).parent)

    def gates_of_slots(self) -> Mapping[tuple[str, int], Tensor]:
        """For each stored dimension the gate in front of each index, or `gates` where it is always open."""
        return self._gates_of_slots

    @cached_property
    def _gates_of_slots(self) -> Mapping[tuple[str, int], Tensor]:
        found: dict[tuple[str, int], np.ndarray] = {}
        sizes = self._sizes_of_slots()
        of_positions = {
            (member.tensor, member.dim)
            for group in self.channels.gated
            for member in group.members
            if group.kind == "positions"
        }
        for group, place in self.slices():
            for member in group.members:
                slot = (member.tensor, member.dim)
                if slot in of_positions and group.kind != "positions":
                    continue
                gates = found.setdefault(slot, np.full(sizes[slot], self.num_gates))
                multiple = len(member.index) // group.size
                gates[_where(member.index)] = np.repeat(np.arange(place.start, place.stop), multiple)
        return {slot: torch.from_numpy(gates) for slot, gates in found.items()}

    def _sizes_of_slots(self) -> dict[tuple[str, int], int]:
        """The width of each stored dimension of a group; of tensors without a known shape, up to the last index."""
        sizes: dict[tuple[str, int], int] = {}
        for group in self.channels.groups:
            for member in group.members:
                known = self.channels.shapes.get(member.tensor)
                width = known[member.dim] if known else _last(member.index) + 1
                sizes[member.tensor, member.dim] = max(sizes.get((member.tensor, member.dim), 0), width)
        return sizes


def settle(layout: Layout, scores: Tensor, is_open: Tensor) -> Tensor:
    """Make a set of open gates one that can be delivered.

    A group that must stay and has no open gate gets its best one; a position is open only if its channel is; a channel
    that is only read by positions is open only if one of them is.

    Args:
        layout: the order of the gates.
        scores: larger means more worth keeping, shape `(gates,)`.
        is_open: bool, shape `(gates,)`.

    Returns:
        bool, shape `(gates,)`; settling it again changes nothing.
    """
    device, layout = scores.device, layout.on(scores.device)
    group, parent, must_stay = layout.group, layout.parent, layout.must_stay
    is_position = parent < len(parent)
    is_open = is_open | _best(group, must_stay, scores, is_open, ~is_position)
    inside = torch.cat([is_open, is_open.new_ones(1)])[parent]
    is_open = (is_open & inside) | _best(group, must_stay, scores, is_open & inside, is_position & inside)
    is_read = torch.zeros(len(parent) + 1, dtype=torch.bool, device=device)
    is_read = is_read.scatter_reduce(0, parent, is_open, "amax")[:-1]
    return is_open & (is_read | ~layout.is_read_by_position)


def _best(group: Tensor, must_stay: Tensor, scores: Tensor, is_open: Tensor, candidates: Tensor) -> Tensor:
    """The first gate of highest score among the candidates of each group that must stay and has none open."""
    num = len(must_stay)
    has_open = torch.zeros(num, dtype=torch.bool, device=scores.device).scatter_reduce(0, group, is_open, "amax")
    masked = torch.where(candidates, scores, -torch.inf)
    top = torch.full((num,), -torch.inf, device=scores.device, dtype=scores.dtype)
    top = top.scatter_reduce(0, group, masked, "amax")
    is_top = candidates & (masked == top[group]) & (must_stay & ~has_open)[group]
    order = torch.arange(len(group), device=scores.device)
    first = torch.full((num,), len(group), device=scores.device)
    first = first.scatter_reduce(0, group, torch.where(is_top, order, len(group)), "amin")
    return is_top & (order == first[group])


def _where(index: Index) -> slice | np.ndarray:
    """Positions as numpy takes them; a range that goes up is not written out."""
    if isinstance(index, range) and index.step > 0:
        return slice(index.start, index.stop, index.step)
    return np.asarray(index)


def _last(index: Index) -> int:
    """The largest position."""
    return max(index[0], index[-1]) if isinstance(index, range) else max(index)


def _offsets(groups: tuple[Group, ...]) -> list[int]:
    return [0, *np.cumsum([group.size for group in groups]).tolist()][:-1]


def _is_read_by_position(group: Group, groups: tuple[Group, ...]) -> bool:
    covered = {(m.tensor, m.dim) for other in groups if other.parent == group.name for m in other.members}
    reads = {(m.tensor, m.dim) for m in group.members if m.role == "reader"}
    return bool(covered) and reads <= covered
