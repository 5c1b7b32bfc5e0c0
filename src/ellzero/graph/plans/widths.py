"""Which widths may be delivered: multiples of a number, or the same in every layer of a kind."""

__all__ = ["Multiples", "Uniform", "Widths"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from math import gcd, lcm
from typing import TypeAlias

from ellzero.errors import nearest
from ellzero.graph.plans.groups import Group
from ellzero.graph.plans.layout import Layout

Multiples: TypeAlias = int | Mapping[str, int]
"""One number for every group, or one for each pattern of group names; the first that fits counts."""

Uniform: TypeAlias = bool | str | Sequence[str]
"""Whether groups that differ by a layer's number only have one width; or patterns of group names where they do."""


@dataclass(frozen=True)
class Widths:
    """The widths that each group may have; groups in one bundle always have the same.

    Attributes:
        layout: the order of the gates.
        bundles: numbers of the gated groups, in the order of their first.
        multiples: of each bundle.

    Example:
        >>> from ellzero.graph.plans.channels import Channels
        >>> from ellzero.graph.plans.groups import Group, Member
        >>> pair = (Member("0.weight", 0, "writer"), Member("2.weight", 1, "reader"))
        >>> layout = Layout.of(Channels((Group("hidden", 20, pair),), {}))
        >>> Widths.of(layout, multiple_of=8).allowed
        ((8, 16, 20),)
    """

    layout: Layout
    bundles: tuple[tuple[int, ...], ...]
    multiples: tuple[int, ...]

    @classmethod
    def of(cls, layout: Layout, multiple_of: Multiples = 1, uniform: Uniform = False) -> "Widths":
        """Read what the user asked for.

        Args:
            layout: the order of the gates.
            multiple_of: widths are multiples of it, or the full size. They are counted in stored entries: a channel
                that has several of them everywhere, as an attention head, counts as many.
            uniform: groups of equal size and kind whose names differ in the numbers of layers only (`layers.0.mlp` and
                `layers.1.mlp`) get one width: all such groups, or those whose names match a pattern.

        Raises:
            ValueError: if a multiple is not a positive whole number, a pattern fits no group (the nearest name is
                offered), or `uniform` brings no two groups together.
        """
        groups = layout.channels.gated
        multiples = _multiples(groups, multiple_of)
        bundles = _bundles(groups, uniform)
        return cls(layout, bundles, tuple(lcm(*(multiples[number] for number in bundle)) for bundle in bundles))

    @property
    def is_free(self) -> bool:
        """Whether every width will do."""
        return all(len(bundle) == 1 for bundle in self.bundles) and set(self.multiples) <= {1}

    @cached_property
    def allowed(self) -> tuple[tuple[int, ...], ...]:
        """For each bundle the widths that it may have, ascending: multiples, the full size, and 0 if all may go."""
        groups = self.layout.channels.gated
        found = []
        for bundle, multiple in zip(self.bundles, self.multiples, strict=True):
            size = groups[bundle[0]].size
            start = 0 if all(groups[number].removable for number in bundle) else multiple
            found.append(tuple(sorted({*range(start, size + 1, multiple), size})))
        return tuple(found)

    def __str__(self) -> str:
        rounded = sorted({multiple for multiple in self.multiples if multiple > 1})
        parts = [f"multiples of {', '.join(map(str, rounded))}"] if rounded else []
        if any(len(bundle) > 1 for bundle in self.bundles):
            parts.append("the same in every layer of a kind")
        return " and ".join(parts) or "free"


def _multiples(groups: tuple[Group, ...], multiple_of: Multiples) -> list[int]:
    by_pattern = multiple_of if isinstance(multiple_of, Mapping) else {"*": multiple_of}
    for pattern, multiple in by_pattern.items():
        if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
            raise ValueError(f"widths are multiples of a positive whole number, got {multiple!r}; try multiple_of=8")
        _check_pattern(groups, pattern, "multiple_of")
    return [_multiple(group, by_pattern) for group in groups]


def _multiple(group: Group, by_pattern: Mapping[str, int]) -> int:
    """In channels: if each has 64 entries wherever it is stored, as an attention head has, any number will do."""
    entries = gcd(*(len(member.index) // group.size for member in group.members))
    found = [multiple for pattern, multiple in by_pattern.items() if fnmatchcase(group.name, pattern)]
    return found[0] // gcd(found[0], entries) if found else 1


def _bundles(groups: tuple[Group, ...], uniform: Uniform) -> tuple[tuple[int, ...], ...]:
    if isinstance(uniform, bool):
        patterns: Sequence[str] = ["*"] if uniform else []
    else:
        patterns = [uniform] if isinstance(uniform, str) else uniform
    for pattern in patterns:
        _check_pattern(groups, pattern, "uniform")
    found: dict[object, list[int]] = {}
    for number, group in enumerate(groups):
        is_chosen = any(fnmatchcase(group.name, pattern) for pattern in patterns)
        key = (_without_layers(group.name), group.size, group.kind) if is_chosen else number
        found.setdefault(key, []).append(number)
    if patterns and all(len(bundle) == 1 for bundle in found.values()):
        raise ValueError(
            f"uniform={uniform!r} brings no two groups together: they must have the same size, and names that differ "
            f"in the numbers of layers only, but there are {', '.join(f'{g.name!r} of {g.size}' for g in groups[:8])}; "
            "leave uniform out"
        )
    return tuple(tuple(bundle) for bundle in found.values())


def _without_layers(name: str) -> str:
    """`layers.3.mlp` becomes `layers.*.mlp`; `conv1` stays, as layers of one block may well differ in width."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def _check_pattern(groups: tuple[Group, ...], pattern: object, what: str) -> None:
    if not isinstance(pattern, str):
        raise TypeError(f"{what} takes patterns of group names, got {pattern!r}; try 'layers.*'")
    if not any(fnmatchcase(group.name, pattern) for group in groups):
        hint = nearest(pattern, [group.name for group in groups])
        raise ValueError(f"{what} names {pattern!r}, but no gated group is called so{hint}")
