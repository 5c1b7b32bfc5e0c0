"""Plain data: the dimensions of stored tensors that one channel takes up, and what it costs."""

__all__ = ["Attribute", "Group", "Index", "Kind", "Member", "Norm", "Role", "Work"]

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from ellzero.errors import TraceError

Role: TypeAlias = Literal["writer", "reader", "carrier"]
"""Writers produce a channel, readers sum over it, carriers (biases, norms) travel with it."""

Kind: TypeAlias = Literal["channels", "input", "positions"]
"""Channels are cut where written and read; inputs and positions are only read."""

Index: TypeAlias = range | tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """One dimension of a stored tensor that belongs to a group.

    `index[k * c : k * (c + 1)]` are the positions of channel `c` along the dimension, where `k` positions belong to
    each channel. Left out, it is the whole dimension.
    """

    tensor: str
    dim: int
    role: Role = "carrier"
    index: Index = range(0)


@dataclass(frozen=True)
class Attribute:
    """A number that a module remembers and that is `multiple` times the number of channels: heads, a width."""

    module: str
    name: str
    multiple: int = 1


@dataclass(frozen=True)
class Work:
    """Multiply-adds of one contraction.

    There are `count` for each entry of `tensor` (if any), times the width of each stored dimension in `rows`: of the
    channels that an activation carries through the contraction, or those of a slice of a tensor.
    """

    module: str
    tensor: str | None
    count: int
    rows: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Norm:
    """A module that normalises across gated channels; with gates, its statistics are those of the open ones.

    Attributes:
        module: its name; it takes the values first, and normalises their last dimension.
        centred: whether the mean is subtracted (layer norm) or not (root mean square).
        tensor: a stored tensor whose dimension `dim` consists of the same channels.
        dim: that dimension.
    """

    module: str
    centred: bool
    tensor: str
    dim: int


@dataclass(frozen=True)
class Group:
    """Channels that stand in the same places; each can be removed on its own.

    Attributes:
        name: unique; where the channels are written.
        size: how many channels.
        members: the dimensions that are cut with them.
        kind: `"channels"` are cut where written and read; `"input"` and `"positions"` are only read, so a
            `Select` is put before the reader.
        reason: why the group is kept whole; empty if it can be gated.
        removable: whether all channels may go (a residual path carries on); otherwise one stays.
        parent: for positions, the group that writes them, or empty.
        parent_index: for each position its channel in the parent.
        attributes: numbers in modules that go down with the width.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    kind: Kind = "channels"
    reason: str = ""
    removable: bool = False
    parent: str = ""
    parent_index: Index = ()
    attributes: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        _check_types(self)
        if self.size < 1:
            raise TraceError(f"group {self.name!r} has size {self.size}; a group has at least one channel")
        if bool(self.parent) != bool(len(self.parent_index)):
            raise TraceError(f"group {self.name!r}: parent and parent_index go together")
        filled = tuple(replace(m, index=range(self.size)) if not len(m.index) else m for m in self.members)
        object.__setattr__(self, "members", filled)
        for member in self.members:
            if len(member.index) % self.size:
                raise TraceError(
                    f"group {self.name!r} has {self.size} channels but {member.tensor!r} dimension {member.dim} lists "
                    f"{len(member.index)} positions; give the same number for every channel"
                )

    @property
    def writers(self) -> list[str]:
        """Names of the tensors that write these channels."""
        return [member.tensor for member in self.members if member.role == "writer"]

    @property
    def readers(self) -> list[str]:
        """Names of the tensors that read these channels."""
        return [member.tensor for member in self.members if member.role == "reader"]


def _check_types(group: Group) -> None:
    """A description may be written by hand; what is wrong in it is said before anything is computed with it."""
    whole = (int, np.integer)
    if not isinstance(group.size, whole):
        raise TypeError(f"group {group.name!r} has size {group.size!r}, expected a whole number of channels")
    if not isinstance(group.members, (tuple, list)):
        raise TypeError(f"group {group.name!r} has members {group.members!r}, expected a tuple; write (member,)")
    for member in group.members:
        if not isinstance(member, Member):
            raise TypeError(f"group {group.name!r} has {member!r} as a member, expected Member(tensor, dim, role)")
        if not isinstance(member.tensor, str) or not isinstance(member.dim, whole):
            raise TypeError(
                f"group {group.name!r} lies along dimension {member.dim!r} of {member.tensor!r}, expected the name of "
                "a tensor and the number of one of its dimensions, from 0"
            )
        if not isinstance(member.index, (range, tuple, list)):
            raise TypeError(
                f"group {group.name!r} has index {member.index!r} along {member.tensor!r}, expected a range or a tuple "
                "of positions"
            )
