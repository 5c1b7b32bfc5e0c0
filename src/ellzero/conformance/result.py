"""What was found out about a network: plain data, and the table that shows it."""

__all__ = ["Check", "Conformance", "Outcome", "one_line"]

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from ellzero.errors import ConformanceError, nearest
from ellzero.graph import Channels
from ellzero.report.table import number, table

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]
_LONGEST = 240


@dataclass(frozen=True)
class Check:
    """One promise, and whether it holds.

    Attributes:
        name: of the promise.
        outcome: `"passed"`, `"failed"` or `"skipped"`.
        detail: what was measured; where it failed the error, where it was skipped the reason.
        seconds: how long it took.
    """

    name: str
    outcome: Outcome
    detail: str
    seconds: float


@dataclass(frozen=True)
class Conformance:
    """What `check_model` found out; print it.

    Attributes:
        model: class of the network.
        channels: what was traced; none where the network could not be traced.
        checks: one for each promise, in the order in which they were made.

    Example:
        >>> found = Conformance("Net", None, (Check("trace", "failed", "TraceError: it does not run", 0.1),))
        >>> found.ok, found["trace"].outcome
        (False, 'failed')
        >>> found.raise_if_failed()
        Traceback (most recent call last):
        ...
        ellzero.errors.ConformanceError: 1 of 1 checks of Net failed: trace: TraceError: it does not run
    """

    model: str
    channels: Channels | None
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == "failed")

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"there is no check {name!r}{nearest(name, [check.name for check in self.checks])}")

    def raise_if_failed(self) -> None:
        """Raise if a check failed; for use in a test suite.

        Raises:
            ConformanceError: with the name of every check that failed, and why.
        """
        if self.failed:
            reasons = "; ".join(f"{check.name}: {one_line(check.detail)}" for check in self.failed)
            raise ConformanceError(f"{len(self.failed)} of {len(self.checks)} checks of {self.model} failed: {reasons}")

    def to_dict(self) -> dict[str, Any]:
        """Everything but the channels' members, fit for JSON."""
        groups = self.channels.groups if self.channels else ()
        return {
            "model": self.model,
            "ok": self.ok,
            "groups": [{"name": group.name, "size": group.size, "kept": group.reason} for group in groups],
            "checks": [asdict(check) for check in self.checks],
        }

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self._groups(), self._table(), self._verdict()]))

    def _groups(self) -> str:
        if self.channels is None:
            return ""
        rows = [
            (group.name, number(group.size), f"kept: {group.reason}" if group.reason else "can be gated")
            for group in (*self.channels.gated, *self.channels.kept)
        ]
        return table([("group", "channels", "what becomes of it"), *rows], last_left=True)

    def _table(self) -> str:
        rows = [(one.name, one.outcome, f"{one.seconds:.1f} s", one_line(one.detail)) for one in self.checks]
        return table([("check", "outcome", "time", "what was found"), *rows], left=2, last_left=True)

    def _verdict(self) -> str:
        counts = [(sum(one.outcome == kind for one in self.checks), kind) for kind in ("passed", "failed", "skipped")]
        return f"{self.model}: {', '.join(f'{num} {kind}' for num, kind in counts if num)}"


def one_line(text: str) -> str:
    """A text without line breaks, cut short where it is very long.

    Example:
        >>> one_line("one\\n  two")
        'one two'
    """
    joined = " ".join(text.split())
    return joined if len(joined) <= _LONGEST else f"{joined[: _LONGEST - 3]}..."
