"""A plan: which channels are shut. Plain data that can be read, edited and saved before anything is cut."""

__all__ = ["Plan"]

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.errors import TraceError
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.layout import Layout, settle


@dataclass(frozen=True)
class Plan:
    """The channels that are shut, group by group; groups that are not named stay whole.

    Example:
        >>> Plan({"conv1": (3, 7)}).to_json()
        '{"conv1": [3, 7]}'
    """

    shut: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, layout: Layout, is_open: Tensor) -> "Plan":
        """The plan that a set of open gates stands for.

        Args:
            layout: the order of the gates.
            is_open: bool, shape `(gates,)`.
        """
        shut = {group.name: (~is_open[place]).nonzero().squeeze(1).tolist() for group, place in layout.slices()}
        return cls({name: tuple(indices) for name, indices in shut.items() if indices})

    def open_gates(self, layout: Layout) -> Tensor:
        """The gates that the plan leaves open, bool, shape `(gates,)`.

        Raises:
            TraceError: if it names an unknown group or channel, or cannot be delivered: it empties a layer that carries
                the only path, or opens a position whose channel is shut.
        """
        self._check(layout.channels)
        is_open = torch.ones(layout.num_gates, dtype=torch.bool)
        for group, place in layout.slices():
            is_open[place][list(self.shut.get(group.name, ()))] = False
        settled = settle(layout, torch.zeros(layout.num_gates), is_open)
        for group, place in layout.slices():
            if (settled[place] & ~is_open[place]).any():
                raise TraceError(f"the plan shuts all of {group.name!r}, which carries the only path; leave one open")
        return settled

    def _check(self, channels: Channels) -> None:
        for name, indices in self.shut.items():
            group = channels.group(name)
            if group.reason:
                raise TraceError(f"the plan shuts channels of {name!r}, which is kept: {group.reason}")
            outside = [index for index in indices if not 0 <= index < group.size]
            if outside:
                raise TraceError(f"the plan shuts channel {outside[0]} of {name!r}, which has {group.size} channels")

    def widths(self, channels: Channels) -> dict[str, tuple[int, int]]:
        """For each gated group how many channels it has and how many stay."""
        return {g.name: (g.size, g.size - len(set(self.shut.get(g.name, ())))) for g in channels.gated}

    def show(self, channels: Channels) -> str:
        """A table of widths before and after.

        Args:
            channels: what the plan is about.
        """
        rows = [(name, str(before), str(after)) for name, (before, after) in self.widths(channels).items()]
        rows = [("group", "before", "after"), *rows]
        wide = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(f"{a:<{wide[0]}}  {b:>{wide[1]}}  {c:>{wide[2]}}" for a, b, c in rows)

    def to_json(self) -> str:
        """One JSON object: group name to list of shut channels."""
        return json.dumps({name: list(indices) for name, indices in self.shut.items()})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what `to_json` wrote.

        Raises:
            TraceError: if the text is not a plan.
        """
        try:
            return cls({str(name): tuple(int(i) for i in indices) for name, indices in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise TraceError(f"this is no JSON plan: {error!r}") from error
