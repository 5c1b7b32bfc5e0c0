"""Multiply-adds in terms of the channels that are left, once it is known which labels are one channel."""

__all__ = ["Slots", "count_work"]

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ellzero.graph.labelling.labels import NONE, Labels, Toil, Vector
from ellzero.graph.plans.groups import Work

_Slot = tuple[str, int]


def count_work(labels: Labels, slots: "Slots") -> tuple[Work, ...]:
    """Express every contraction by the widths of stored dimensions.

    An activation that carries channels along a dimension is as wide as a stored dimension with the same channels. Where
    there is none, or the number is not proportional to it, the channels are pinned.

    Args:
        labels: after the network has run on them; extended by pins.
        slots: their stored dimensions.
    """
    return tuple(_express(labels, slots, toil) for toil in labels.toils)


def _express(labels: Labels, slots: "Slots", toil: Toil) -> Work:
    size = labels.sizes[toil.tensor] if toil.tensor else 1
    rows: list[_Slot] = []
    for vector in toil.rows:
        alike = [slot for slot in slots.alike(vector) if toil.multiply_adds % (size * labels.widths[slot]) == 0]
        if alike:
            rows.append(alike[0])
            size *= labels.widths[alike[0]]
        else:
            labels.pin(vector, f"takes part in {toil.module!r} in a way whose multiply-adds cannot be counted")
    return Work(toil.module, toil.tensor, toil.multiply_adds // size, tuple(rows))


class Slots:
    """Stored dimensions, by the channels that they consist of."""

    def __init__(self, labels: Labels) -> None:
        self._classes = labels.classes()
        self._by_channels: dict[bytes, list[_Slot]] = defaultdict(list)
        for slot, start in zip(labels.slots, labels.starts, strict=True):
            if slot[0] in labels.sizes:
                key = _key(self._classes[start : start + labels.widths[slot]])
                if key:
                    self._by_channels[key].append(slot)
        for found in self._by_channels.values():
            found.sort(key=labels.widths.__getitem__)

    def alike(self, vector: Vector) -> Iterable[_Slot]:
        """Stored dimensions that hold exactly these channels, each equally often; the narrowest first."""
        return self._by_channels.get(_key(self._classes[vector]), ()) if (vector != NONE).all() else ()


def _key(roots: Vector) -> bytes:
    """Which channels these are, if each occurs equally often; empty if not."""
    found, counts = np.unique(roots, return_counts=True)
    return found.tobytes() if len(found) and bool((counts == counts[0]).all()) else b""
