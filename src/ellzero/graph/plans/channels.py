"""Plain data: which stored dimensions make up the channels of a network."""

__all__ = ["Channels"]

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from ellzero.errors import TraceError, nearest
from ellzero.graph.plans.groups import Attribute, Group, Index, Member, Norm, Work


@dataclass(frozen=True)
class Channels:
    """All groups of a network, and what its costs are made of. Printable, JSON, and writable by hand.

    Attributes:
        groups: what can be gated (`reason == ""`) and what is kept.
        shapes: shape of every parameter, tied ones once.
        work: the multiply-adds of one forward pass on the example.
        norms: modules that normalise across channels which are gated all the same.
        exported: whether they are those of an exported graph, in which sizes that the forward pass fixes are corrected.

    Example:
        >>> hidden = Group("hidden", 3, (Member("0.weight", 0, "writer"), Member("2.weight", 1, "reader")))
        >>> channels = Channels((hidden,), {"0.weight": (3, 4), "2.weight": (2, 3)})
        >>> print(channels)
        hidden  3 channels  written by 0.weight  read by 2.weight
        >>> Channels.from_json(channels.to_json()) == channels
        True
    """

    groups: tuple[Group, ...]
    shapes: Mapping[str, tuple[int, ...]]
    work: tuple[Work, ...] = field(default=())
    norms: tuple[Norm, ...] = field(default=())
    exported: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.groups, (tuple, list)) or not all(isinstance(group, Group) for group in self.groups):
            raise TypeError(
                f"channels consist of a tuple of groups, got {self.groups!r}; write Channels((group,), ...)"
            )
        names = Counter(group.name for group in self.groups)
        for name, number in names.items():
            if number > 1:
                raise TraceError(f"two groups are called {name!r}; give each a name of its own")
        for group in self.groups:
            if group.parent and group.parent not in names:
                raise TraceError(f"group {group.name!r} has an unknown parent{nearest(group.parent, names)}")

    @cached_property
    def gated(self) -> tuple[Group, ...]:
        """The groups that can be gated; their gates lie one after the other in this order."""
        return tuple(group for group in self.groups if not group.reason)

    @cached_property
    def kept(self) -> tuple[Group, ...]:
        """The groups that stay whole, each with its reason."""
        return tuple(group for group in self.groups if group.reason)

    @property
    def num_gates(self) -> int:
        """How many channels and positions can be shut."""
        return sum(group.size for group in self.gated)

    def group(self, name: str) -> Group:
        """The group of that name.

        Raises:
            TraceError: if there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise TraceError(f"no group is called {name!r}{nearest(name, [group.name for group in self.groups])}")

    def keeping(self, reasons: Mapping[str, str]) -> "Channels":
        """The same channels with more groups kept, each for the reason given."""
        return replace(self, groups=tuple(
            replace(group, reason=reasons[group.name]) if group.name in reasons and not group.reason else group
            for group in self.groups
        ))  # fmt: skip

    def to_json(self) -> str:
        """One JSON object; ranges are written `{"start": 0, "stop": 20, "step": 1}`."""
        data = {key: value for key, value in asdict(self).items() if key != "exported" or value}
        return json.dumps(_plain(data), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Channels":
        """Read what `to_json` wrote.

        Raises:
            TraceError: if the text is not a description of channels; nothing in it is executed.
        """
        try:
            data = json.loads(text)
            groups = tuple(_group(entry) for entry in data["groups"])
            shapes = {str(name): tuple(int(size) for size in shape) for name, shape in data["shapes"].items()}
            work = tuple(_read_work(entry) for entry in data["work"])
            norms = tuple(
                Norm(str(n["module"]), bool(n["centred"]), str(n["tensor"]), int(n["dim"]))
                for n in data.get("norms", ())
            )
            exported = bool(data.get("exported", False))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TraceError(f"this is no JSON description of channels: {error!r}") from error
        return cls(groups, shapes, work, norms, exported)

    def __str__(self) -> str:
        return "\n".join(_line(group) for group in (*self.gated, *self.kept))


def _line(group: Group) -> str:
    parts = [group.name, f"{group.size} {'positions' if group.kind == 'positions' else 'channels'}"]
    parts += [f"written by {', '.join(group.writers)}"] if group.writers else []
    parts += [f"read by {', '.join(group.readers)}"] if group.readers else []
    parts += ["may go entirely"] if group.removable else []
    parts += [f"kept: {group.reason}"] if group.reason else []
    return "  ".join(parts)


def _plain(tree: Any) -> Any:
    if isinstance(tree, range):
        return {"start": tree.start, "stop": tree.stop, "step": tree.step}
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def _index(entry: Mapping[str, int] | Sequence[int]) -> Index:
    if isinstance(entry, Mapping):
        return range(int(entry["start"]), int(entry["stop"]), int(entry["step"]))
    return tuple(int(position) for position in entry)


def _read_work(entry: Mapping[str, Any]) -> Work:
    rows = tuple((str(tensor), int(dim)) for tensor, dim in entry.get("rows", ()))
    return Work(str(entry["module"]), entry["tensor"], int(entry["count"]), rows)


def _group(entry: Mapping[str, Any]) -> Group:
    members = tuple(
        Member(str(m["tensor"]), int(m["dim"]), m["role"], _index(m["index"])) for m in entry["members"]
    )  # fmt: skip
    return Group(
        str(entry["name"]),
        int(entry["size"]),
        members,
        entry["kind"],
        str(entry["reason"]),
        bool(entry["removable"]),
        str(entry["parent"]),
        _index(entry["parent_index"]),
        tuple(Attribute(str(a["module"]), str(a["name"]), int(a["multiple"])) for a in entry.get("attributes", ())),
    )
