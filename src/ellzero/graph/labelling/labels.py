"""Labels: one integer per index of every stored dimension, united where the network makes them one channel."""

__all__ = ["CONSTANT", "NONE", "Labels", "Normed", "Read", "Rule", "Split", "Toil", "Vector", "Vectors", "table"]

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ellzero.graph.recording.record import Call, Value

Vector: TypeAlias = NDArray[np.int64]
Vectors: TypeAlias = dict[int, Vector]
"""The labels of a tensor: for each dimension that carries channels, one label per index."""

FIXED = "meets values of fixed width that carry no channels"

CONSTANT = "*"
"""The name under which values that are the same everywhere have labels: they adapt to the channels that they meet."""

NONE = -1
"""The label of an index that carries no channel."""


@dataclass(frozen=True)
class Read:
    """A stored tensor whose dimension is contracted with an activation; `select` if its module reads it alone."""

    tensor: str
    dim: int
    module: str
    select: bool


@dataclass(frozen=True)
class Toil:
    """Multiply-adds of one contraction, whose dependence on channels is known once all labels are united."""

    module: str
    tensor: str | None
    multiply_adds: int
    rows: tuple[Vector, ...] = ()


@dataclass(frozen=True)
class Split:
    """A view that spreads channels over several dimensions: which site, how many dimensions, and their labels."""

    site: str
    num_dims: int
    labels: Vector


@dataclass(frozen=True)
class Normed:
    """A module that normalises its last dimension across channels, their labels, and the number of the value."""

    module: str
    centred: bool
    labels: Vector
    source: int


@dataclass
class Labels:
    """All labels of a network, what is known of each, and which are the same channel.

    Stored dimension number `s` owns the labels from `starts[s]` on; labels that an input or a flattened input brings
    follow the same numbering under the name `""`, constants under `CONSTANT`. `choices` says, for views that spread
    channels over several dimensions, along which of them they are told apart (by default the first). `is_wide` says
    that channels which are normalised together may be removed all the same, `is_exported` that places at which
    channels are cut will be corrected. `derived` holds the values that depend on stored tensors only: computed
    weights. `known` are the classes at a number of labels and unions, `bounds` the starts as they were last looked
    through, `repeated` the values that were expanded along their last dimension, `moved` where operations that
    rearrange put what lies along a dimension.
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
    toils: list[Toil] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    choices: Mapping[str, int] = field(default_factory=dict)
    is_wide: bool = False
    is_exported: bool = False
    norms: list[Normed] = field(default_factory=list)
    derived: set[int] = field(default_factory=set)
    known: tuple[int, int, Vector] = (-1, -1, np.zeros(0, dtype=np.int64))
    bounds: Vector = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    repeated: set[int] = field(default_factory=set)
    moved: dict[Hashable, list[tuple[int, Vector] | None]] = field(default_factory=dict)
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
        if len(one) != len(other):
            raise ValueError(f"{len(one)} labels cannot meet {len(other)}; unite vectors of one length")
        if one.min(initial=0) > NONE and other.min(initial=0) > NONE:
            self.pairs.append((one, other))
            return
        both = (one != NONE) & (other != NONE)
        self.pairs.append((one[both], other[both]))
        lonely = np.concatenate([one[(one != NONE) & (other == NONE)], other[(other != NONE) & (one == NONE)]])
        if lonely.size:
            self.pin(lonely, FIXED)

    def joined(self, one: Vector, other: Vector) -> Vector:
        """Unite labels that meet and return those that say more: constants, and places without a channel, give way."""
        self.unite(one, other)
        first, second = (other, one) if self.is_constant(one) else (one, other)
        return np.where(first == NONE, second, first)

    def is_constant(self, labels: Vector) -> bool:
        """Whether these belong to values that are the same everywhere."""
        return all(tensor == CONSTANT for tensor, _ in self.slots_in(labels[labels != NONE]))

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

    def check(self, vectors: Sequence[Vector]) -> None:
        """Refuse vectors of labels that were never allotted.

        Raises:
            TypeError: if one is no array of integers.
            ValueError: if one holds a label that nothing has.
        """
        for vector in vectors:
            if not isinstance(vector, np.ndarray) or vector.dtype.kind != "i":
                raise TypeError(f"labels are numpy arrays of integers, got {getattr(vector, 'dtype', type(vector))}")
            wrong = vector[(vector < NONE) | (vector >= self.total)]
            if wrong.size:
                raise ValueError(
                    f"there is no label {wrong[0]}, only {NONE} to {self.total - 1}; take them from values"
                )

    def slot_of(self, labels: Vector) -> NDArray[np.int64]:
        """For each label the number of the stored dimension that owns it."""
        if len(self.bounds) != len(self.starts):
            self.bounds = np.asarray(self.starts, dtype=np.int64)
        return np.searchsorted(self.bounds, labels, side="right") - 1

    def slots_in(self, labels: Vector) -> list[tuple[str, int]]:
        """The stored dimensions that own some of these labels."""
        if not labels.size:
            return []
        first, last = self.slot_of(np.array([labels.min(), labels.max()])).tolist()
        numbers = [first] if first == last else np.unique(self.slot_of(labels)).tolist()
        return [self.slots[number] for number in numbers]

    def classes(self) -> Vector:
        """For each label the smallest label of its channel."""
        if self.known[:2] != (self.total, len(self.pairs)):
            self.known = (self.total, len(self.pairs), self._united())
        return self.known[2]

    def _united(self) -> Vector:
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


Rule: TypeAlias = Callable[[Labels, Call], None]
"""What one operation does to the labels of its arguments and results."""


def table(names: str, rule: Rule) -> dict[str, Rule]:
    """One rule for several operations.

    Args:
        names: of the operations, without `aten.`, apart by spaces.
        rule: what they have in common.

    Returns:
        The rule under each full name.
    """
    return {f"aten.{name}": rule for name in names.split()}
