"""`architecture`: the widths of a network before and after, and which pixels it reads."""

__all__ = ["architecture"]

import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING

from torch import nn

from ellzero.graph import Group, Structure, structure_of
from ellzero.report.figure import GREY, HEADER, INK, PALE, PALETTE, header, shorten, write_svg
from ellzero.report.order import in_network_order
from ellzero.report.table import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_COLOURS = {
    "input": (PALETTE[1], "#f3cdb0"),
    "channels": (PALETTE[0], "#b9d9ec"),
    "positions": (PALETTE[2], "#b5e0d3"),
}
"""For each kind of group the colours of what stays and of what was."""

_LONGEST = 34
_UNEVEN = 12
"""Bars are drawn on a square-root scale when the widest group is this many times wider than the narrowest."""


def architecture(small: nn.Module, path: str | os.PathLike[str], *, image: tuple[int, int] | None = None) -> None:
    """Draw the width of every gated group before and after as a pair of bars, and which pixels are read.

    Args:
        small: what `prune` or `load` returned.
        path: where to write, ending in `.svg`.
        image: height and width in pixels, if the input features are the pixels of an image, row by row.

    Raises:
        SurgeryError: if the network was not pruned.
        MissingExtraError: if matplotlib is not installed.
        ValueError: if an image is given and no group of inputs has its size, or the path does not end in `.svg`.

    Example:
        >>> import tempfile, torch
        >>> from ellzero.gates import Gated
        >>> from ellzero.surgery import prune
        >>> gated = Gated(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(1, 4), inputs=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     architecture(prune(gated), f"{folder}/architecture.svg", image=(2, 2))
    """
    structure = structure_of(small)
    groups = in_network_order(structure.channels)
    pixels = None if image is None else _pixels(groups, image)
    height = HEADER + 0.35 + len(groups) * (0.42 if len(groups) <= 12 else 0.34)
    size = (8.0, height) if pixels is None else (10.5, max(height, 3.4))
    paint = partial(_paint, structure=structure, title=_title(small, structure), pixels=pixels, image=image or (0, 0))
    write_svg(path, size, paint)


def _pixels(groups: Sequence[Group], image: tuple[int, int]) -> Group:
    for group in groups:
        if group.kind == "input" and group.size == prod(image):
            return group
    sizes = [str(group.size) for group in groups if group.kind == "input"]
    raise ValueError(
        f"an image of {image[0]} x {image[1]} has {prod(image)} pixels, but this network has "
        f"{'gated inputs of ' + ', '.join(sizes) if sizes else 'no gated inputs'}; give the size of the gated image "
        "(Gated(..., inputs=True)) or leave it out"
    )


def _title(small: nn.Module, structure: Structure) -> str:
    before = sum(prod(shape) for shape in structure.channels.shapes.values())
    after = sum(parameter.numel() for parameter in small.parameters())
    if not before:
        return f"{type(small).__name__}: {number(after)} parameters"
    return f"{type(small).__name__}: {number(before)} → {number(after)} parameters ({percent(after / before)})"


def _paint(figure: "Figure", *, structure: Structure, title: str, pixels: Group | None, image: tuple[int, int]) -> None:
    groups = in_network_order(structure.channels)
    widths = structure.plan.widths(structure.channels)
    columns = figure.add_gridspec(1, 1 if pixels is None else 2, width_ratios=None if pixels is None else (2.2, 1))
    _bars(figure.add_subplot(columns[0, 0]), groups, [widths[group.name][1] for group in groups])
    if pixels is not None:
        shut = set(structure.plan.shut.get(pixels.name, ()))
        _map(figure.add_subplot(columns[0, 1]), [index not in shut for index in range(pixels.size)], image)
    header(figure, title, _keys(groups))


def _bars(axes: "Axes", groups: Sequence[Group], after: Sequence[int]) -> None:
    sizes = [group.size for group in groups]
    is_uneven = max(sizes) > _UNEVEN * min(sizes)
    power = 0.5 if is_uneven else 1.0
    longest = max(sizes) ** power
    for row, (group, stays) in enumerate(zip(groups, after, strict=True)):
        dark, light = _COLOURS[group.kind]
        for place, width, colour in ((row - 0.19, group.size, light), (row + 0.19, stays, dark)):
            axes.barh(place, width**power, height=0.36, color=colour, linewidth=0)
        gap = 0.008 * longest
        axes.text(group.size**power + gap, row - 0.19, number(group.size), va="center", fontsize=7.5, color=GREY)
        text = f"{number(stays)}  ({percent(stays / group.size)})" if stays else "removed"
        axes.text(stays**power + gap, row + 0.19, text, va="center", fontsize=7.5, fontweight="bold", color=INK)
    axes.set_yticks(range(len(groups)), [shorten(group.name, _LONGEST) for group in groups], color=INK)
    axes.set_ylim(len(groups) - 0.45, -0.55)
    axes.set_xlim(0, 1.16 * longest)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if is_uneven:
        axes.set_xlabel("length of a bar: square root of the width", loc="left", fontsize=7.5)


def _keys(groups: Sequence[Group]) -> list["Patch"]:
    from matplotlib.patches import Patch

    kinds = {group.kind for group in groups}
    colours = [(kind, *pair) for kind, pair in _COLOURS.items() if kind in kinds]
    return [
        Patch(color=colour, label=f"{kind} {when}")
        for kind, dark, light in colours
        for colour, when in ((light, "before"), (dark, "after"))
    ]


def _map(axes: "Axes", is_read: Sequence[bool], image: tuple[int, int]) -> None:
    """One path for all pixels that are read, one for the others: no raster, no seams."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    height, width = image
    for wanted, colour in ((False, PALE), (True, _COLOURS["input"][0])):
        boxes = [
            Outline([(x, y), (right, y), (right, low), (x, low), (x, y)], closed=True)
            for one, x, y, right, low in _boxes(is_read, width, is_fine=max(image) > 64)
            if one is wanted
        ]
        if boxes:
            axes.add_patch(PathPatch(Outline.make_compound_path(*boxes), facecolor=colour, linewidth=0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_aspect("equal", anchor="N")
    axes.set_axis_off()
    axes.set_title(f"{number(sum(is_read))} of {number(len(is_read))} pixels are read")


def _boxes(is_read: Sequence[bool], width: int, *, is_fine: bool) -> Iterator[tuple[bool, float, float, float, float]]:
    """Whether it is read, left, top, right and bottom: of every pixel with a gap, or in a fine image of every run."""
    for row, start in enumerate(range(0, len(is_read), width)):
        column = 0
        for one, run in groupby(is_read[start : start + width]):
            length = len(list(run))
            if is_fine:
                yield one, column, row, column + length, row + 1
            else:
                yield from ((one, x, row, x + 0.88, row + 0.88) for x in range(column, column + length))
            column += length
