"""`coefficient_path`: how the coefficients of an equation change as its budget of terms grows."""

__all__ = ["coefficient_path"]

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

_SHOWN = 14
"""More terms than this are drawn, but only the longest-lived ones are named."""

_HEIGHT = 3.4


def coefficient_path(
    sizes: Sequence[int],
    coefficients: Mapping[str, Mapping[str, Sequence[float]]],
    path: str | os.PathLike[str],
    *,
    chosen: Mapping[str, int] | None = None,
    title: str = "Coefficients by number of terms",
) -> None:
    """Draw each coefficient over the number of terms; a panel for each equation.

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
    write_svg(path, (max(6.0, 3.6 * len(coefficients)), HEADER + _HEIGHT), paint)


def _paint(
    figure: "Figure", *, sizes: Sequence[int], coefficients: Mapping[str, Mapping[str, Sequence[float]]],
    chosen: Mapping[str, int], title: str,
) -> None:  # fmt: skip
    from matplotlib.lines import Line2D

    grid = figure.add_gridspec(1, len(coefficients))
    for place, (target, terms) in enumerate(coefficients.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.set_title(shorten(target, 24))
        axes.set_xlabel("number of terms")
        _panel(axes, sizes, terms, chosen.get(target))
    line = Line2D([], [], color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)), label="number that was decided for")
    header(figure, title, [line] if chosen else [])


def _panel(axes: "Axes", sizes: Sequence[int], terms: Mapping[str, Sequence[float]], chosen: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    used = {term: values for term, values in terms.items() if any(values)}
    ranked = sorted(used, key=lambda term: -sum(1 for value in used[term] if value))
    named = [term for term in ranked if used[term][-1]][:_SHOWN]
    axes.axhline(0, color="#dddddd", linewidth=0.8)
    if chosen is not None:
        axes.axvline(chosen, color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)))
    for place, term in enumerate(ranked):
        colour = PALETTE[named.index(term) % len(PALETTE)] if term in named else "#bbbbbb"
        points = [(size, value) for size, value in zip(sizes, used[term], strict=True) if value]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker="o", markersize=3, zorder=3 - place)
    ticks = MaxNLocator(integer=True, nbins=6, min_n_ticks=1).tick_values(sizes[0], sizes[-1])
    axes.set_xticks([tick for tick in ticks if sizes[0] <= tick <= sizes[-1]])
    _scale(axes, [value for values in used.values() for value in values if value])
    span = max(1, sizes[-1] - sizes[0])
    axes.set_xlim(sizes[0] - 0.3, sizes[-1] + 0.48 * span)
    _name(axes, sizes[-1] + 0.05 * span, {term: used[term][-1] for term in named})


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    """Sizes that span decades are shown on a scale that is linear around zero and logarithmic beyond."""
    from matplotlib.ticker import FuncFormatter

    sizes = sorted(abs(value) for value in values)
    if sizes and sizes[-1] > 50 * sizes[0]:
        axes.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(max(sizes[0], 1e-3 * sizes[-1]))), linscale=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name(axes: "Axes", x: float, values: Mapping[str, float]) -> None:
    """The names at the right end, moved apart, each on the height of its line where there is room."""
    from matplotlib.transforms import blended_transform_factory

    shown = axes.transScale.transform([(1.0, value) for value in values.values()] or [(1.0, 0.0)])[:, 1]
    low, high = axes.transScale.transform([(1.0, edge) for edge in axes.get_ylim()])[:, 1]
    places = spread([(y - low) / (high - low) for y in shown][: len(values)], 0.075, low=0.02, high=0.98)
    across = blended_transform_factory(axes.transData, axes.transAxes)
    for number, (term, place) in enumerate(zip(values, places, strict=True)):
        colour = PALETTE[number % len(PALETTE)] if values[term] else INK
        axes.text(x, place, shorten(term, 14), transform=across, va="center", fontsize=7.5, color=colour)
