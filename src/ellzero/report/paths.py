"""`coefficient_path`: how the coefficients of an equation change as its budget of terms grows."""

__all__ = ["coefficient_path"]

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ellzero.report.figure import GREY, HEADER, PALETTE, header, shorten, write_svg
from ellzero.report.labels import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 20
"""More terms than this are drawn, but only the longest-lived ones are named beside their lines."""

_HEIGHT, _ROW = 3.4, 0.19
"""Inches of a panel at least, and of a name at the end of a line."""

_LISTED, _WIDE = 12, 46
"""How many grey terms are listed below a panel, and letters of a line there."""


def coefficient_path(
    sizes: Sequence[int],
    coefficients: Mapping[str, Mapping[str, Sequence[float]]],
    path: str | os.PathLike[str],
    *,
    chosen: Mapping[str, int] | None = None,
    title: str = "Coefficients by number of terms",
) -> None:
    """Draw each coefficient over the number of terms; a panel for each equation.

    The terms that are there at the end are named there; a thin line leads to the name where it had to move. Lines of
    terms that are left again, and of more than can be named, are grey, and listed below the panel.

    Args:
        sizes: numbers of terms, increasing.
        coefficients: for each equation, by the name of a term, its coefficient at every size; zero where it is not
            chosen. Terms that are never chosen are left out.
        path: where to write, ending in `.svg`.
        chosen: number of terms that was decided for, by equation.
        title: above the picture.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if there is nothing to draw, lengths do not fit, or the path does not end in `.svg`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     coefficient_path([1, 2], {"x'": {"x": [-8.0, -10.0], "y": [0.0, 10.0]}}, f"{folder}/path.svg")
    """
    for target, terms in coefficients.items():
        for term, values in terms.items():
            if len(values) != len(sizes) or not all(map(math.isfinite, values)):
                raise ValueError(
                    f"the path of {term!r} in {target!r} has {len(values)} values, expected {len(sizes)} finite ones"
                )
    if not sizes or not any(any(values) for terms in coefficients.values() for values in terms.values()):
        raise ValueError("there is no coefficient to draw; give one size and one term that is chosen at least")
    paint = partial(_paint, sizes=sizes, coefficients=coefficients, chosen=chosen or {}, title=title)
    most = max(len(_named(_used(terms))) for terms in coefficients.values())
    height = HEADER + max(_HEIGHT, _ROW * most + 0.6)
    write_svg(path, (max(6.0, 3.6 * len(coefficients)), height), paint)


def _used(terms: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Terms that are chosen at all, the longest-lived first."""
    used = {term: values for term, values in terms.items() if any(values)}
    return dict(sorted(used.items(), key=lambda item: -sum(1 for value in item[1] if value)))


def _named(used: Mapping[str, Sequence[float]]) -> list[str]:
    return [term for term, values in used.items() if values[-1]][:_SHOWN]


def _paint(
    figure: "Figure", *, sizes: Sequence[int], coefficients: Mapping[str, Mapping[str, Sequence[float]]],
    chosen: Mapping[str, int], title: str,
) -> None:  # fmt: skip
    from matplotlib.lines import Line2D

    grid = figure.add_gridspec(1, len(coefficients))
    for place, (target, terms) in enumerate(coefficients.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.set_title(shorten(target, 24))
        used = _used(terms)
        axes.set_xlabel("\n".join(["number of terms", *_grey([term for term in used if term not in _named(used)])]))
        _panel(axes, sizes, used, chosen.get(target))
    line = Line2D([], [], color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)), label="number that was decided for")
    header(figure, title, [line] if chosen else [])


def _colours(used: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Of the named terms, so that neighbours at the end differ."""
    ordered = sorted(_named(used), key=lambda term: used[term][-1])
    return {term: PALETTE[place % len(PALETTE)] for place, term in enumerate(ordered)}


def _grey(terms: Sequence[str]) -> list[str]:
    """Lines that list the terms without a name of their own."""
    if not terms:
        return []
    rest = len(terms) - _LISTED
    names = [shorten(term, 14) for term in terms[:_LISTED]] + ([f"and {rest} more"] if rest > 0 else [])
    shown = ", ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(f"grey: {shown}", _WIDE)]


def _panel(axes: "Axes", sizes: Sequence[int], used: Mapping[str, Sequence[float]], chosen: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    colours = _colours(used)
    axes.axhline(0, color="#dddddd", linewidth=0.8)
    if chosen is not None:
        axes.axvline(chosen, color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)))
    for place, term in enumerate(used):
        colour = colours.get(term, "#bbbbbb")
        points = [(size, value) for size, value in zip(sizes, used[term], strict=True) if value]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker="o", markersize=3, zorder=3 - place)
    ticks = MaxNLocator(integer=True, nbins=6, min_n_ticks=1).tick_values(sizes[0], sizes[-1])
    axes.set_xticks([tick for tick in ticks if sizes[0] <= tick <= sizes[-1]])
    _scale(axes, [value for values in used.values() for value in values if value])
    axes.margins(y=0.06)
    axes.autoscale_view()
    span = max(1, sizes[-1] - sizes[0])
    axes.set_xlim(sizes[0] - 0.3, sizes[-1] + 0.48 * span)
    _name(axes, (sizes[-1], sizes[-1] + 0.09 * span), {term: used[term][-1] for term in colours}, colours)


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    """Sizes that span decades are shown on a scale that is linear around zero and logarithmic beyond."""
    from matplotlib.ticker import FuncFormatter

    sizes = sorted(abs(value) for value in values)
    if sizes and sizes[-1] > 50 * sizes[0]:
        axes.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(max(sizes[0], 1e-3 * sizes[-1]))), linscale=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name(axes: "Axes", ends: tuple[float, float], values: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """The names at the right end, moved apart, each on the height of its line where there is room, else led to it."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    shown = axes.transScale.transform([(1.0, value) for value in values.values()] or [(1.0, 0.0)])[:, 1]
    low, high = axes.transScale.transform([(1.0, edge) for edge in axes.get_ylim()])[:, 1]
    wanted = [(y - low) / (high - low) for y in shown][: len(values)]
    places = spread(wanted, 0.075 if len(values) < 13 else 0.05, low=0.02, high=0.98)
    across = blended_transform_factory(axes.transData, axes.transAxes)
    after = ends[1] + 0.1 * (ends[1] - ends[0])
    for term, end, place in zip(values, wanted, places, strict=True):
        colour = colours[term]
        axes.add_artist(Line2D(ends, [end, place], transform=across, color=colour, linewidth=0.5, clip_on=False))
        axes.text(after, place, shorten(term, 14), transform=across, va="center", fontsize=7.5, color=colour)
