"""`inclusion`: how often each term is chosen when the data are drawn anew."""

__all__ = ["inclusion"]

import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ellzero.report.figure import GREY, HEADER, INK, PALE, PALETTE, header, shorten, write_svg
from ellzero.report.table import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST = 0.02
"""Terms that are never or hardly ever chosen are left out."""

_SHOWN = 16


def inclusion(
    probabilities: Mapping[str, Mapping[str, float]],
    path: str | os.PathLike[str],
    *,
    chosen: Mapping[str, Collection[str]] | None = None,
    title: str = "How often each term is chosen",
) -> None:
    """Draw the inclusion probability of every term as a bar, the most probable first; a panel for each equation.

    Args:
        probabilities: for each equation, by the name of a term, a number in [0, 1].
        path: where to write, ending in `.svg`.
        chosen: for each equation the terms that stand in it; their bars are coloured.
        title: above the picture.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if there is no term, a number is outside [0, 1], or the path does not end in `.svg`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     inclusion({"x'": {"x": 1.0, "y": 0.98, "x^2": 0.04}}, f"{folder}/inclusion.svg")
    """
    if not any(probabilities.values()):
        raise ValueError("there is no term to draw; give one equation with one term at least")
    for terms in probabilities.values():
        for term, value in terms.items():
            if not 0 <= value <= 1:
                raise ValueError(f"the probability of {term!r} must lie in [0, 1], got {value}; give a share of draws")
    rows = {target: _ranked(terms) for target, terms in probabilities.items()}
    tallest = max(len(one) for one in rows.values())
    size = (max(6.0, 3.3 * len(rows)), HEADER + 0.75 + 0.24 * tallest)
    write_svg(path, size, partial(_paint, rows=rows, chosen=chosen or {}, tallest=tallest, title=title))


def _ranked(terms: Mapping[str, float]) -> list[tuple[str, float]]:
    ranked = sorted(terms.items(), key=lambda one: -one[1])
    return [one for one in ranked if one[1] >= _LEAST][:_SHOWN] or ranked[:1]


def _paint(
    figure: "Figure", *, rows: Mapping[str, Sequence[tuple[str, float]]], chosen: Mapping[str, Collection[str]],
    tallest: int, title: str,
) -> None:  # fmt: skip
    from matplotlib.patches import Patch

    grid = figure.add_gridspec(1, len(rows))
    for place, (target, ranked) in enumerate(rows.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.set_title(shorten(target, 24))
        _bars(axes, ranked, chosen.get(target, ()))
        axes.set_ylim(tallest - 0.4, -0.6)
    keys = [Patch(color=PALETTE[0], label="in the equation"), Patch(color=GREY, label="not in it")]
    header(figure, title, keys if chosen else [])


def _bars(axes: "Axes", ranked: Sequence[tuple[str, float]], chosen: Collection[str]) -> None:
    for row, (term, value) in enumerate(ranked):
        axes.barh(row, 1.0, height=0.7, color=PALE, alpha=0.5, linewidth=0)
        axes.barh(row, value, height=0.7, color=PALETTE[0] if term in chosen else GREY, linewidth=0)
        axes.text(1.03, row, percent(value), va="center", fontsize=7.5, color=INK)
    axes.set_yticks(range(len(ranked)), [shorten(term, 16) for term, _ in ranked], color=INK)
    axes.set_xlim(0, 1.3)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
