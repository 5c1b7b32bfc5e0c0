"""`pareto`: error against number of terms, for one model or several side by side."""

__all__ = ["pareto"]

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ellzero.report.figure import GREY, HEADER, INK, PALETTE, header, shorten, write_svg
from ellzero.report.labels import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]
"""Numbers of terms and errors."""

_HEIGHT = 3.8


def pareto(
    fronts: Mapping[str, Points],
    path: str | os.PathLike[str],
    *,
    marks: Mapping[str, tuple[float, float]] | None = None,
    limits: Mapping[str, float] | None = None,
    chosen: Mapping[str, float] | None = None,
    error: str = "error",
    title: str = "Error against number of terms",
) -> None:
    """Draw the error over the number of terms, on logarithmic scales where they span much.

    Args:
        fronts: for each model its points, in any order; each is joined by a line.
        path: where to write, ending in `.svg`.
        marks: single models beside them, as (number of terms, error).
        limits: errors without a number of terms, such as that of least squares on the whole dictionary.
        chosen: for a front the number of terms that was decided for; its point is filled.
        error: name of the error.
        title: above the picture.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if there is no point, an error is not positive and finite, a chosen number is not on its front, or
            the path does not end in `.svg`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pareto({"cubic": [(1, 0.5), (2, 0.1)]}, f"{folder}/pareto.svg", limits={"least squares": 0.05})
    """
    marks, limits, chosen = marks or {}, limits or {}, chosen or {}
    errors = [error for points in fronts.values() for _, error in points] + [error for _, error in marks.values()]
    bad = [value for value in (*errors, *limits.values()) if not (math.isfinite(value) and value > 0)]
    if not errors or bad:
        found = f"got {bad[0]}" if bad else "got no point"
        raise ValueError(f"errors to draw must be positive and finite, {found}; leave others out")
    for name, size in chosen.items():
        if size not in [size for size, _ in fronts.get(name, ())]:
            raise ValueError(f"{size} terms were chosen for {name!r}, but the front has no such point")
    paint = partial(_paint, fronts=fronts, marks=marks, limits=limits, chosen=chosen, error=error, title=title)
    write_svg(path, (8.0, HEADER + _HEIGHT), paint)


def _paint(
    figure: "Figure", *, fronts: Mapping[str, Points], marks: Mapping[str, tuple[float, float]],
    limits: Mapping[str, float], chosen: Mapping[str, float], error: str, title: str,
) -> None:  # fmt: skip
    from matplotlib.lines import Line2D

    axes = figure.add_subplot()
    labels: dict[str, tuple[float, str]] = {}
    for place, (name, points) in enumerate(fronts.items()):
        colour, ordered = PALETTE[place % len(PALETTE)], sorted(points)
        axes.plot(*zip(*ordered, strict=True), color=colour, linewidth=1.4, marker="o", markersize=4, mfc="white")
        axes.plot(*_picked(ordered, chosen.get(name)), color=colour, marker="o", markersize=6.5, linestyle="")
        labels[name] = (ordered[-1][1], colour)
    for name, value in limits.items():
        axes.axhline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)))
        labels[name] = (value, GREY)
    for name, (size, value) in marks.items():
        axes.plot([size], [value], color=INK, marker="D", markersize=5, linestyle="")
        labels[name] = (value, INK)
    axes.set_xlabel("number of terms")
    axes.set_ylabel(error)
    _scales(axes, fronts, marks)
    _name(axes, labels)
    keys = [Line2D([], [], color=INK, marker="o", markersize=6, linestyle="", label="decided for")] if chosen else []
    keys += [Line2D([], [], color=INK, marker="D", markersize=5, linestyle="", label="single model")] if marks else []
    keys += [Line2D([], [], color=GREY, linestyle=(0, (4, 2)), label="limit")] if limits else []
    header(figure, title, keys)


def _picked(points: Points, chosen: float | None) -> tuple[list[float], list[float]]:
    found = [(size, value) for size, value in points if size == chosen]
    return [size for size, _ in found], [value for _, value in found]


def _scales(axes: "Axes", fronts: Mapping[str, Points], marks: Mapping[str, tuple[float, float]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}" if value < 0.01 else f"{value:g}"))
    sizes = [size for points in (*fronts.values(), tuple(marks.values())) for size, _ in points]
    if max(sizes) > 20 * max(1, min(sizes)):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(min(sizes) - 0.5, max(sizes) + 0.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)


def _name(axes: "Axes", labels: Mapping[str, tuple[float, str]]) -> None:
    """Names to the right of the picture, moved apart."""
    low, high = (math.log(edge) for edge in axes.get_ylim())
    wanted = [(math.log(value) - low) / (high - low) for value, _ in labels.values()]
    for (name, (_, colour)), place in zip(labels.items(), spread(wanted, 0.058), strict=True):
        axes.text(1.015, place, shorten(name, 34), transform=axes.transAxes, va="center", fontsize=7.5, color=colour)
