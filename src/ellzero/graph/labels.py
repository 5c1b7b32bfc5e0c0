"""Labels: one integer per index of every stored dimension, united where the network makes them one channel."""

__all__ = ["NONE", "Labels", "Read", "Vector", "Vectors"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ellzero.graph.channels import Work
from ellzero.graph.record import Value

Vector: TypeAlias = NDArray[np.int64]
Vectors: TypeAlias = dict[int, Vector]
"""The labels of a tensor: for each dimension that carries channels, one label per index."""

FIXED = "meets values of fixed width that carry no channels"

NONE = -1
"""The label of an index that carries no channel."""


@dataclass(frozen=True)
class Read:
    """A stored tensor whose dimension is contracted with an activation; `select` if its module reads it alone."""

    tensor: str
    dim: int
    module: str
    select: bool


@dataclass
class Labels:
    """All labels of a network, what is known of each, and which are the same channel.

    Stored dimension number `s` owns the labels from `starts[s]` on; labels that an input or a flattened input brings
    follow the same numbering under the name `""`.
    """

    slots: list[tuple[str, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    total: int = 0
    vectors: dict[int, Vectors] = field(default_factory=dict)
    origin: dict[int, str] = field(default_factory=dict)
    pairs: list[tuple[Vector, Vector]] = field(default_factory=list)
    pins: list[tuple[Vector, str]] = field(default_factory=list)
    reads: dict[tuple[str, int], Read] = field(default_factory=dict)
    written: set[tuple[str, int]] = field(default_factory=set)
    work: list[Work] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    widths: dict[tuple[str, int], int] = field(default_factory=dict)

    def allot(self, tensor: str, dim: int, size: int) -> Vector:
        """New labels for one dimension of a stored tensor, or of an input if `tensor` is empty."""
        self.slots.append((tensor, dim))
        self.starts.append(self.total)
        self.widths[tensor, dim] = size
        self.total += size
        return np.arange(self.total - size, self.total, dtype=np.int64)

    def of(self, value: Value) -> Vectors:
        """The labels of a value; constants have none."""
        return self.vectors.get(value.number, {})

    def put(self, value: Value, vectors: Vectors, *, origin: str | None = None) -> None:
        """Label a value; `origin` names the stored tensor that it is a rearrangement of."""
        self.vectors[value.number] = vectors
        if origin is not None:
            self.origin[value.number] = origin

    def unite(self, one: Vector, other: Vector) -> None:
        """The labels that meet are one channel; a channel that meets no channel is pinned: its width is fixed."""
        both = (one != NONE) & (other != NONE)
        self.pairs.append((one[both], other[both]))
        lonely = np.concatenate([one[(one != NONE) & (other == NONE)], other[(other != NONE) & (one == NONE)]])
        if lonely.size:
            self.pin(lonely, FIXED)

    def pin(self, labels: Vector, reason: str) -> None:
        """Keep these channels, and say why."""
        labels = labels[labels != NONE]
        if labels.size:
            self.pins.append((labels, reason))

    def pin_all(self, values: Sequence[Value], reason: str) -> None:
        """Keep every channel of these values."""
        for value in values:
            for vector in self.of(value).values():
                self.pin(vector, reason)

    def slot_of(self, labels: Vector) -> NDArray[np.int64]:
        """For each label the number of the stored dimension that owns it."""
        return np.searchsorted(np.asarray(self.starts), labels, side="right") - 1

    def whole_slot(self, vector: Vector) -> tuple[str, int] | None:
        """The stored dimension all of whose labels are in the vector, each equally often; none if it is not so."""
        found, counts = np.unique(vector, return_counts=True)
        slots = {self.slots[number] for number in np.unique(self.slot_of(found[found != NONE]))}
        slot = slots.pop() if len(slots) == 1 else ("", 0)
        whole = slot[0] in self.sizes and len(found) == self.widths[slot] and bool((counts == counts[0]).all())
        return slot if whole and found[0] != NONE else None

    def classes(self) -> Vector:
        """For each label the smallest label of its channel."""
        root = np.arange(self.total, dtype=np.int64)
        if not self.pairs:
            return root
        one = np.concatenate([pair[0] for pair in self.pairs])
        other = np.concatenate([pair[1] for pair in self.pairs])
        while True:
            low = np.minimum(root[one], root[other])
            before = root.copy()
            np.minimum.at(root, root[one], low)
            np.minimum.at(root, root[other], low)
            while not np.array_equal(jumped := root[root], root):
                root = jumped
            if np.array_equal(before, root):
                return root
