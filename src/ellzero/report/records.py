"""Plain data of a report, and how it becomes a dictionary, JSON and text."""

__all__ = ["SCHEMA", "Kept", "Promise", "Report", "Size", "Width"]

import json
from dataclasses import asdict, dataclass
from typing import Any

from ellzero.report.latency import Latency
from ellzero.report.table import number, percent, table

SCHEMA = 2
"""Version of `Report.to_dict`; it changes when a name or a meaning does."""


@dataclass(frozen=True)
class Size:
    """One cost of the whole network.

    Attributes:
        name: what is counted.
        before: counted in the network without gates.
        expected: mean over the gates' noise, or None if nothing was traced to compute it from.
        after: counted in the pruned network.
    """

    name: str
    before: int
    expected: float | None
    after: int

    @property
    def share(self) -> float:
        """The share that stays; 1 of nothing."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True)
class Promise:
    """A target of the budget and what was delivered; shares are of the full cost.

    Attributes:
        name: the target.
        allowed: share that may stay.
        expected: mean share over the gates' noise, before gates were shut to keep the budget.
        delivered: share that the pruned network has.
        is_met: whether its cost is within the limit.
    """

    name: str
    allowed: float
    expected: float
    delivered: float
    is_met: bool


@dataclass(frozen=True)
class Width:
    """A gated group: how wide it was, is expected to be, and is. `kind` is as in `Group`."""

    name: str
    kind: str
    before: int
    expected: float
    after: int


@dataclass(frozen=True)
class Kept:
    """A group that was not gated, and why."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True)
class Report:
    """What became of a network. `print` it, or take it as plain data.

    Attributes:
        network: class of the pruned network.
        sizes: parameters, multiply-adds and open gates.
        targets: of the budget; empty if none was given.
        groups: what was gated, in the order of the network.
        kept: what was not.
        num_gates: how many gates there are.
        undecided: share of gates whose median is strictly between 0 and 1.
        num_shut: gates that training had left open and that were shut to keep the budget.
        num_indices: indices of kept inputs and positions; they are stored beside the parameters.
        difference: the largest difference of outputs between the gated and the pruned network on the example.
        error: of the pruned network, if it was given.
        num_opened: gates that training had shut and that only fill a width up; they read zeros.
        latency: before and after, if it was asked for.
    """

    network: str
    sizes: tuple[Size, ...]
    targets: tuple[Promise, ...]
    groups: tuple[Width, ...]
    kept: tuple[Kept, ...]
    num_gates: int
    undecided: float
    num_shut: int
    num_indices: int
    difference: float
    error: float | None
    num_opened: int = 0
    latency: Latency | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: dictionaries, lists, strings and numbers, with the version of the schema."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"schema": SCHEMA, **plain}

    def to_json(self) -> str:
        """One JSON object, as `to_dict`."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def __str__(self) -> str:
        parts = [self._sizes(), self._targets(), self._groups(), self._kept(), self._latency(), self._notes()]
        return "\n\n".join(part for part in parts if part)

    def _sizes(self) -> str:
        head = [(self.network, "before", "expected", "after", "stays", "smaller")]
        rows = [
            (
                size.name,
                number(size.before),
                "-" if size.expected is None else number(round(size.expected)),
                number(size.after),
                percent(size.share),
                f"{1 / size.share:.1f}x" if size.share else "gone",
            )
            for size in self.sizes
        ]
        return table(head + rows)

    def _targets(self) -> str:
        head = [("target", "allowed", "expected", "delivered", "met")]
        rows = [
            (
                target.name,
                percent(target.allowed),
                percent(target.expected),
                percent(target.delivered),
                "yes" if target.is_met else "NO",
            )
            for target in self.targets
        ]
        return table(head + rows) if rows else ""

    def _groups(self) -> str:
        head = [("group", "kind", "before", "expected", "after", "stays")]
        rows = [
            (
                group.name,
                group.kind,
                number(group.before),
                f"{group.expected:,.1f}",
                number(group.after),
                percent(group.after / group.before),
            )
            for group in self.groups
        ]
        return table(head + rows, left=2)

    def _kept(self) -> str:
        reasons = dict.fromkeys(group.reason for group in self.kept)
        rows = [("kept whole", "channels", "because it")]
        for reason in reasons:
            alike = [group for group in self.kept if group.reason == reason]
            rows.append((_names(alike), number(sum(group.size for group in alike)), reason))
        return table(rows, last_left=True) if self.kept else ""

    def _latency(self) -> str:
        if self.latency is None:
            return ""
        found = self.latency
        spreads = (("before, ms", found.before), ("after, ms", found.after), ("times faster", found.measured))
        head = [("forward pass", "quartile", "median", "quartile", "multiply-adds predict")]
        predicted = "" if found.predicted is None else f"{found.predicted:.2f}"
        rows = [
            (name, f"{spread.low:.3g}", f"{spread.median:.3g}", f"{spread.high:.3g}", last)
            for (name, spread), last in zip(spreads, ("", "", predicted), strict=True)
        ]
        threads = f", {found.threads} threads" if found.threads > 1 else ", 1 thread" if found.device == "cpu" else ""
        return f"{table(head + rows)}\n(on {found.device}{threads}, {found.rounds} measurements of each in turns)"

    def _notes(self) -> str:
        notes = [
            f"{percent(self.undecided)} of {number(self.num_gates)} gates are undecided: median between 0 and 1",
            f"{number(self.num_shut)} open gates were shut to keep the budget" if self.num_shut else "",
            f"{number(self.num_opened)} gates that training had shut stay as zeros, to fill widths up"
            if self.num_opened
            else "",
            f"{number(self.num_indices)} indices of what is read are stored beside the parameters"
            if self.num_indices
            else "",
            f"largest difference of outputs {self.difference:.2g}",
            "" if self.error is None else f"error {self.error:.4g}",
            "(expected: mean over the gates' noise; after: counted in the pruned network)",
        ]
        return "\n".join(note for note in notes if note)


def _names(groups: list[Kept], shown: int = 3) -> str:
    names = ", ".join(group.name for group in groups[:shown])
    return f"{names} and {len(groups) - shown} more" if len(groups) > shown else names
