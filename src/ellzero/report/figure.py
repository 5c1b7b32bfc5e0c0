"""Pictures as SVG files: same data, same bytes; no window, no global state; written whole or not at all."""

__all__ = ["GREY", "HEADER", "INK", "PALE", "PALETTE", "header", "shorten", "write_svg"]

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ellzero.errors import MissingExtraError
from ellzero.report.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Blue, vermilion, green, purple, orange, sky: told apart with every kind of colour vision (Okabe & Ito, 2008)."""

INK, GREY, PALE = "#222222", "#6b6b6b", "#e3e3e3"

HEADER = 0.62
"""Height in inches of the title and the legend."""

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ellzero",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "axes.unicode_minus": False,
    "text.parse_math": False,
}


def write_svg(path: str | os.PathLike[str], size: tuple[float, float], paint: Callable[["Figure"], None]) -> None:
    """Paint a figure and write it.

    Text stays text, so that it can be searched and read aloud. The user's own style of matplotlib has no effect and
    is not changed.

    Args:
        path: where to; it ends in `.svg`. The file appears whole or not at all.
        size: width and height in inches.
        paint: draws on an empty figure.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if the path does not end in `.svg`.
        FileNotFoundError: if the folder does not exist.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError('pictures need matplotlib; install it: pip install "ellzero[plots]"') from error
    from matplotlib.figure import Figure

    target = Path(path)
    if target.suffix != ".svg":
        raise ValueError(f"pictures are written as SVG, got {target.name!r}; call it {target.stem + '.svg'!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(target.parent)!r} to write {target.name!r} into; make it first"
        )
    buffer = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": "ellzero"})
    write_whole(target, buffer.getvalue())


def header(figure: "Figure", title: str, handles: Sequence["Artist"]) -> None:
    """Put a title above a row of keys, and everything else below them.

    Args:
        figure: to write on.
        title: one line.
        handles: labelled artists that explain the picture.
    """
    width, height = figure.get_size_inches()
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, 0, 1, 1 - HEADER / height))  # type: ignore[call-arg]
    left = 0.1 / width
    figure.text(left, 1 - 0.1 / height, title, va="top", fontsize=11, fontweight="bold")
    if handles:
        corner = (left, 1 - 0.34 / height)
        figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=corner, ncols=len(handles), borderpad=0, borderaxespad=0
        )


def shorten(name: str, longest: int) -> str:
    """Long names lose their middle: both ends tell where a module is.

    Example:
        >>> shorten("model.layers.10.attention.projection", 15)
        'model.l…jection'
    """
    return name if len(name) <= longest else f"{name[: (longest - 1) // 2]}…{name[-(longest // 2) :]}"
