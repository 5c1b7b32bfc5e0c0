"""Progress as it comes: a live table on a terminal, plain lines elsewhere."""

__all__ = ["Display", "columns", "rows", "shortfall"]

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from ellzero.report.table import percent
from ellzero.training import Epoch

_SHOWN, _SLACK = 12, 1.05


class Display:
    """Show every epoch of a training; a context manager whose `on_epoch` is handed to the training.

    Args:
        num_epochs: how many there will be.
        measure: what is measured, `"error"` or `"loss"`.
        stream: where to; a live table if it is a terminal.
    """

    def __init__(self, num_epochs: int, *, measure: str, stream: TextIO | None = None) -> None:
        self.num_epochs, self.measure, self.stream = num_epochs, measure, stream or sys.stdout
        self._epochs: list[Epoch] = []
        self._live: Any = None
        if self.stream.isatty():
            import rich.console
            import rich.live

            self._live = rich.live.Live(console=rich.console.Console(file=self.stream), auto_refresh=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def on_epoch(self, epoch: Epoch) -> None:
        """Show one more epoch."""
        self._epochs.append(epoch)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            return
        if len(self._epochs) == 1:
            print(_aligned(columns(self.measure)), file=self.stream)
        for row in rows(epoch, self.num_epochs, self.measure):
            print(_aligned(row), file=self.stream, flush=True)

    def _table(self) -> Any:
        """The latest epochs, and a bar of those done."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in columns(self.measure):
            table.add_column(name, justify="left" if name == "size of" else "right", no_wrap=True)
        for epoch in self._epochs[-_SHOWN:]:
            for row in rows(epoch, self.num_epochs, self.measure):
                table.add_row(*row)
        return Group(table, ProgressBar(total=self.num_epochs, completed=len(self._epochs), width=60))


def columns(measure: str) -> tuple[str, ...]:
    """The head of the table."""
    return ("epoch", "loss", measure if measure == "error" else "test loss", "size of", *_SIZES, "left")


_SIZES = ("expected", "real", "target", "multiplier")


def rows(epoch: Epoch, num_epochs: int, measure: str) -> list[tuple[str, ...]]:
    """The lines of one epoch, one for each target.

    Example:
        >>> sizes = {"params": 0.3}, {"params": 0.2}, {"params": 0.25}, {"params": 0.01}
        >>> rows(Epoch(1, 22, 0.5, 0.1, *sizes, 0.3, 1.0, 99.0), 100, "error")
        [('1/100', '0.5000', '10.00 %', 'params', '30.0 %', '20.0 %', '25.0 %', '0.0100', '1:39')]
    """
    found = []
    for place, (name, expected) in enumerate(epoch.expected.items()):
        sizes = [expected, epoch.real.get(name), epoch.target.get(name)]
        shares = ["-" if share is None else f"{100 * share:.1f} %" for share in sizes]
        multiplier = f"{epoch.multiplier[name]:.4f}" if name in epoch.multiplier else "-"
        whole = (f"{epoch.epoch}/{num_epochs}", f"{epoch.loss:.4f}", _measured(epoch.error, measure))
        first, last = (whole, _duration(epoch.seconds_left)) if place == 0 else (("", "", ""), "")
        found.append((*first, name, *shares, multiplier, last))
    return found


def shortfall(expected: Mapping[str, float], goal: Mapping[str, float], num_shut: int) -> str:
    """What to say where training ended far above the budget, so that the rest was shut by force; else nothing.

    Args:
        expected: share of each target at the end.
        goal: share that may stay; more than 5 % of itself above it is said.
        num_shut: open gates that were shut to keep the budget.

    Example:
        >>> print(shortfall({"macs": 0.998}, {"macs": 0.5}, 12))
        training ended at an expected 99.8 % of macs instead of 50.0 %; 12 open gates were shut:
        train longer, or raise --dual-lr / --gate-lr
    """
    missed = [
        f"{percent(expected[name])} of {name} instead of {percent(share)}"
        for name, share in goal.items()
        if expected[name] > _SLACK * share
    ]
    if not missed:
        return ""
    shut = f"; {num_shut:,} open gates were shut" if num_shut else ""
    return f"training ended at an expected {', '.join(missed)}{shut}: train longer, or raise --dual-lr / --gate-lr"


def _measured(error: float | None, measure: str) -> str:
    if error is None:
        return "-"
    return f"{100 * error:.2f} %" if measure == "error" else f"{error:.4f}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:0{2 if hours else 1}}:{whole % 60:02}"


def _aligned(row: tuple[str, ...]) -> str:
    wide = (9, 8, 9, 16, 8, 8, 8, 10, 7)
    return "  ".join(
        f"{text:<{size}}" if place == 3 else f"{text:>{size}}"
        for place, (text, size) in enumerate(zip(row, wide, strict=True))
    ).rstrip()
