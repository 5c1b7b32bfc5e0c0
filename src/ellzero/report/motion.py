"""`trajectories`: how equations follow the motion that they were found from, or that they never saw."""

__all__ = ["trajectories"]

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ellzero.report.figure import GREY, HEADER, INK, PALETTE, header, shorten, write_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = Mapping[str, Sequence[float]]
"""Values over time by the name of a state."""

_HEIGHT = 1.35


def trajectories(
    time: Sequence[float],
    true: Series,
    simulated: Series,
    path: str | os.PathLike[str],
    *,
    measured: Series | None = None,
    until: float | None = None,
    title: str = "True and simulated motion",
) -> None:
    """Draw each state over time: as it was, as the equations have it, and as it was measured.

    Args:
        time: increasing.
        true: by the name of a state, its values.
        simulated: the same from the equations; it may be shorter, or not finite from some time on.
        path: where to write, ending in `.svg`.
        measured: noisy values, drawn as points.
        until: up to when the simulation is close to the truth; marked.
        title: above the picture.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        ValueError: if there is no state, names or lengths do not fit, or the path does not end in `.svg`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trajectories([0, 1, 2], {"x": [0, 1, 0]}, {"x": [0, 0.9, 0.1]}, f"{folder}/trajectories.svg")
    """
    if not true or true.keys() != simulated.keys():
        raise ValueError(f"the true states are {list(true)}, the simulated ones {list(simulated)}; give the same")
    for series in (true, measured or {}):
        for name, values in series.items():
            if len(values) != len(time):
                raise ValueError(f"{name!r} has {len(values)} values at {len(time)} times; give one for each")
    paint = partial(
        _paint, time=time, true=true, simulated=simulated, measured=measured or {}, until=until, title=title
    )
    write_svg(path, (8.5, HEADER + 0.35 + _HEIGHT * len(true)), paint)


def _paint(
    figure: "Figure", *, time: Sequence[float], true: Series, simulated: Series, measured: Series, until: float | None,
    title: str,
) -> None:  # fmt: skip
    from matplotlib.lines import Line2D

    grid = figure.add_gridspec(len(true), 1)
    for row, name in enumerate(true):
        axes = figure.add_subplot(grid[row, 0])
        _panel(axes, time, true[name], simulated[name], measured=measured.get(name), until=until)
        axes.set_ylabel(shorten(name, 12), color=INK)
        axes.tick_params(labelbottom=row == len(true) - 1)
        if row == len(true) - 1:
            axes.set_xlabel("time")
    keys = [
        Line2D([], [], color=GREY, linewidth=2.2, alpha=0.6, label="true"),
        Line2D([], [], color=PALETTE[1], linewidth=1.2, linestyle=(0, (4, 2)), label="simulated"),
    ]
    if measured:
        keys.append(Line2D([], [], color=PALETTE[5], marker=".", linestyle="", label="measured"))
    if until is not None and until < time[-1]:
        keys.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)), label=f"close until {until:.3g}"))
    header(figure, title, keys)


def _panel(
    axes: "Axes", time: Sequence[float], true: Sequence[float], simulated: Sequence[float], *,
    measured: Sequence[float] | None, until: float | None,
) -> None:  # fmt: skip
    from matplotlib.ticker import MaxNLocator

    if measured is not None:
        every = math.ceil(len(time) / 400)
        axes.plot(time[::every], measured[::every], color=PALETTE[5], marker=".", markersize=2.5, linestyle="")
    axes.plot(time, true, color=GREY, linewidth=2.2, alpha=0.6)
    low, high = min(true), max(true)
    room = 0.25 * (high - low) or 1.0
    found = [(t, x) for t, x in zip(time, simulated, strict=False) if math.isfinite(x)]
    inside = [(t, min(max(x, low - room), high + room)) for t, x in found]
    if inside:
        axes.plot(*zip(*inside, strict=True), color=PALETTE[1], linewidth=1.2, linestyle=(0, (4, 2)))
    if until is not None and until < time[-1]:
        axes.axvline(until, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)))
    axes.set_xlim(time[0], time[-1])
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
