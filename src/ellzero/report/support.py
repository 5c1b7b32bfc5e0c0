"""`support_map`: which terms each equation or model uses, with their coefficients."""

__all__ = ["support_map"]

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ellzero.report.figure import GREY, HEADER, INK, PALE, PALETTE, header, shorten, write_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_LONGEST = 22
_POSITIVE, _NEGATIVE = PALETTE[0], PALETTE[1]


def support_map(
    coefficients: Mapping[str, Mapping[str, float]],
    path: str | os.PathLike[str],
    *,
    title: str = "Terms and their coefficients",
    all_terms: Sequence[str] = (),
) -> None:
    """Draw a table of terms by equations (or models), coloured by the sign and the size of the coefficients.

    The colour is as strong as the coefficient is large among those of its column, on a square-root scale.

    Args:
        coefficients: for each column a coefficient by the name of its term; zeros and absent terms are the same.
        path: where to write, ending in `.svg`.
        title: above the picture.
        all_terms: terms in the order in which they stand; those that no column uses are counted, not drawn. By default
            those that are used, in the order in which they come.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if there is no column or no term, a coefficient is not finite, or the path does not end in `.svg`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     support_map({"x'": {"x": -10.0, "y": 10.0}, "y'": {"x": 28.0, "x z": -1.0}}, f"{folder}/support.svg")
    """
    used = {term for column in coefficients.values() for term, value in column.items() if value}
    named = dict.fromkeys([*all_terms, *(term for column in coefficients.values() for term in column)])
    rows = [term for term in named if term in used]
    if not coefficients or not rows:
        raise ValueError("there is no coefficient to draw; give one column of terms at least, one of them not zero")
    bad = [term for column in coefficients.values() for term, value in column.items() if not math.isfinite(value)]
    if bad:
        raise ValueError(f"the coefficient of {bad[0]!r} is not finite; draw finite numbers")
    size = (max(5.6, 2.2 + 0.95 * len(coefficients)), HEADER + 0.75 + 0.27 * len(rows))
    unused = len(named) - len(rows)
    write_svg(path, size, partial(_paint, columns=coefficients, rows=rows, title=title, unused=unused))


def _paint(
    figure: "Figure", *, columns: Mapping[str, Mapping[str, float]], rows: Sequence[str], title: str, unused: int
) -> None:
    axes = figure.add_subplot()
    for place, column in enumerate(columns.values()):
        _column(axes, place, column, rows)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [shorten(row, _LONGEST) for row in rows], color=INK)
    axes.set_xticks(range(len(columns)), [_head(*one) for one in columns.items()], color=INK, fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if unused:
        text = f"{unused} more candidate terms are used by none"
        axes.set_xlabel(text, loc="left", fontsize=7.5)
    header(figure, title, _keys())


def _head(name: str, column: Mapping[str, float]) -> str:
    num = sum(1 for value in column.values() if value)
    return f"{shorten(name, 14)}\n{num} term{'' if num == 1 else 's'}"


def _column(axes: "Axes", place: int, column: Mapping[str, float], rows: Sequence[str]) -> None:
    from matplotlib.patches import Rectangle

    largest = max((abs(value) for value in column.values()), default=0.0)
    for row, name in enumerate(rows):
        value = column.get(name, 0.0)
        strength = math.sqrt(abs(value) / largest) if value else 0.0
        colour = PALE if not value else _NEGATIVE if value < 0 else _POSITIVE
        shade = 0.4 if not value else 0.15 + 0.75 * strength
        corner = (place - 0.47, row - 0.44)
        axes.add_patch(Rectangle(corner, 0.94, 0.88, facecolor=colour, alpha=shade, linewidth=0))
        if value:
            ink = "white" if strength > 0.75 else INK
            axes.text(place, row, f"{value:.3g}", ha="center", va="center", fontsize=7.5, color=ink)


def _keys() -> list["Patch"]:
    from matplotlib.patches import Patch

    pairs = ((_POSITIVE, "positive"), (_NEGATIVE, "negative"))
    return [*(Patch(color=colour, label=name) for colour, name in pairs), Patch(color=PALE, ec=GREY, label="not used")]
