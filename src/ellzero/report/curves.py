"""`curves`: the dynamics of a training as one picture."""

__all__ = ["curves"]

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ellzero.report.figure import GREY, HEADER, INK, PALETTE, header, shorten, write_svg
from ellzero.report.table import percent
from ellzero.training import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Panel = Callable[["Axes"], None]

_MANY = 15
"""More points than this are not marked one by one."""

_SPAN = 4
"""Positive values that span more than this factor are shown on a logarithmic scale."""

_GOAL: Any = (0, (1, 1.5))
_TARGET: Any = (0, (4, 2))


def curves(history: History, path: str | os.PathLike[str]) -> None:
    """Draw loss, error, expected and real sizes against their targets, multipliers and undecided gates over epochs.

    Sizes, loss and error are on a logarithmic scale where they span more than a factor of four. What a training does
    not have (an error, the targets and multipliers of a fixed penalty) is left out.

    Args:
        history: of a training; one epoch is enough.
        path: where to write, ending in `.svg`.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if no epoch was finished, or the path does not end in `.svg`.

    Example:
        >>> from ellzero.training import Epoch
        >>> import tempfile
        >>> one = Epoch(1, 100, 0.5, 0.1, {"params": 0.8}, {"params": 0.1}, {"params": 0.7}, {"params": 0.2}, 0.3, 1, 9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     curves(History({"params": 0.1}, [one]), f"{folder}/curves.svg")
    """
    if not history.epochs:
        raise ValueError("this history has no finished epoch to draw; train for at least one")
    panels = _panels(history)
    num_rows = math.ceil(len(panels) / 3)
    write_svg(path, (9.5, HEADER + 2.35 * num_rows), partial(_paint, history=history, panels=panels))


def _targets(history: History) -> list[str]:
    """Every target that is mentioned, in order."""
    mentioned = [history.goal, *(epoch.expected for epoch in history.epochs), *(epoch.real for epoch in history.epochs)]
    return list(dict.fromkeys(name for names in mentioned for name in names))


def _colour(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _panels(history: History) -> list[Panel]:
    epochs = history.epochs
    panels: list[Panel] = [
        partial(_size, history=history, name=name, colour=_colour(place))
        for place, name in enumerate(_targets(history))
    ]
    panels.append(partial(_series, history=history, title="training loss", values=[epoch.loss for epoch in epochs]))
    if any(epoch.error is not None for epoch in epochs):
        errors = [math.nan if epoch.error is None else epoch.error for epoch in epochs]
        panels.append(partial(_series, history=history, title="error if cut now", values=errors))
    if any(epoch.multiplier for epoch in epochs):
        panels.append(partial(_multipliers, history=history))
    panels.append(partial(_undecided, history=history))
    return panels


def _rows(num_panels: int) -> list[int]:
    """How many panels stand in each row: at most three, as even as possible, the wider ones first."""
    num_rows = math.ceil(num_panels / 3)
    return [(num_panels + row) // num_rows for row in range(num_rows)]


def _paint(figure: "Figure", *, history: History, panels: Sequence[Panel]) -> None:
    from matplotlib.ticker import MaxNLocator

    rows = _rows(len(panels))
    grid = figure.add_gridspec(len(rows), 6, hspace=0.08, wspace=0.06)
    places = [(row, 6 // wide * column, 6 // wide) for row, wide in enumerate(rows) for column in range(wide)]
    numbers = [epoch.epoch for epoch in history.epochs]
    right = numbers[-1] + max(0.5, 0.02 * (numbers[-1] - numbers[0]))
    for (row, start, wide), panel in zip(places, panels, strict=True):
        axes = figure.add_subplot(grid[row, start : start + wide])
        axes.set_xlim(numbers[0] - 0.5, right)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
        axes.set_axisbelow(True)
        panel(axes)
        if row == len(rows) - 1:
            axes.set_xlabel("epoch")
    header(figure, _title(history), _keys(history))


def _title(history: History) -> str:
    last = history.epochs[-1]
    plural = "" if last.epoch == 1 else "s"
    title = f"Training: {last.epoch:,} epoch{plural}, {last.steps:,} steps, {_duration(last.seconds)}"
    return title if history.stopped == "finished" else f"{title} ({history.stopped})"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _keys(history: History) -> list["Line2D"]:
    from matplotlib.lines import Line2D

    if not _targets(history):
        return []
    lines = [
        Line2D([], [], color=INK, linewidth=2, label="expected over the noise"),
        Line2D([], [], color=INK, linewidth=1, marker="o", markersize=3.5, markerfacecolor="white", label="if cut now"),
    ]
    if any(epoch.target for epoch in history.epochs):
        lines.append(Line2D([], [], color=GREY, linewidth=1.2, linestyle=_TARGET, label="target of the epoch"))
    if history.goal:
        lines.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=_GOAL, label="goal"))
    return lines


def _plot(axes: "Axes", history: History, values: Sequence[float], colour: str, **style: Any) -> None:
    """Points that exist, joined by a line."""
    found = [(one.epoch, value) for one, value in zip(history.epochs, values, strict=True) if math.isfinite(value)]
    if found:
        marker = {"marker": "o" if len(found) <= _MANY else "", "markersize": 3.5}
        axes.plot(*zip(*found, strict=True), color=colour, **{**marker, **style})


def _scale(axes: "Axes", values: Sequence[float], *, is_share: bool = False) -> None:
    """Logarithmic where positive values span a large factor; otherwise from zero up."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    write = (lambda value, _: f"{100 * value:g} %") if is_share else (lambda value, _: f"{value:g}")
    found = [value for value in values if math.isfinite(value)]
    if found and min(found) > 0 and max(found) > _SPAN * min(found):
        axes.set_yscale("log")
        subs = (1.0, 2.0, 5.0) if max(found) < 100 * min(found) else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
    elif found and min(found) >= 0:
        axes.set_ylim(0, 1.12 * max(found) or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(write))


def _size(axes: "Axes", *, history: History, name: str, colour: str) -> None:
    missing = math.nan
    expected, real, target = (
        [getattr(epoch, kind).get(name, missing) for epoch in history.epochs] for kind in ("expected", "real", "target")
    )
    goal = history.goal.get(name)
    is_single = len(history.epochs) == 1
    if goal is not None:
        axes.axhline(goal, color=INK, linewidth=1.2, linestyle=_GOAL)
    _plot(axes, history, target, GREY, linewidth=1.2, linestyle=_TARGET, marker="_" if is_single else "", markersize=12)
    _plot(axes, history, expected, colour, linewidth=2, marker="o" if is_single else "")
    every = math.ceil(len(real) / _MANY)
    _plot(axes, history, real, colour, linewidth=1, marker="o", markevery=every, markerfacecolor="white")
    _scale(axes, [*expected, *real, *target, *([goal] if goal is not None else [])], is_share=True)
    delivered = f"{percent(real[-1])} if cut now" if math.isfinite(real[-1]) else ""
    aim = "" if goal is None else f"goal {100 * goal:g} %"
    _headline(axes, name, ", ".join(part for part in (delivered, aim) if part), colour)


def _headline(axes: "Axes", title: str, value: str, colour: str = INK) -> None:
    """What a panel shows, and under it where it ended."""
    axes.set_title(shorten(title, 34), color=colour, pad=17)
    axes.text(0, 1.035, value, transform=axes.transAxes, color=GREY, fontsize=8.5)


def _series(axes: "Axes", *, history: History, title: str, values: Sequence[float]) -> None:
    _plot(axes, history, values, INK, linewidth=1.6)
    _scale(axes, values)
    last = next((value for value in reversed(values) if math.isfinite(value)), math.nan)
    _headline(axes, title, f"{last:.3g}")


def _multipliers(axes: "Axes", *, history: History) -> None:
    found: list[float] = []
    names = _targets(history)
    for place, name in enumerate(names):
        values = [epoch.multiplier.get(name, math.nan) for epoch in history.epochs]
        _plot(axes, history, values, _colour(place), linewidth=1.6)
        found += values
    _scale(axes, [*found, 0.0])
    _headline(axes, "multiplier", f"{found[-1]:.3g}" if len(names) == 1 else "colours as above")


def _undecided(axes: "Axes", *, history: History) -> None:
    values = [epoch.undecided for epoch in history.epochs]
    _plot(axes, history, values, INK, linewidth=1.6)
    _scale(axes, [*values, 0.0], is_share=True)
    _headline(axes, "undecided gates", percent(values[-1]))
