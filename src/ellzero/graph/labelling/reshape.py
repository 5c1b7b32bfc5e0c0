"""The rule for views: which dimensions are merged and split, and what becomes of their labels."""

__all__ = ["reshape"]

import math

import numpy as np

from ellzero.graph.labelling.labels import Labels, Split, Vector, Vectors


def reshape(labels: Labels, vectors: Vectors, before: tuple[int, ...], after: tuple[int, ...], *, site: str) -> Vectors:
    """Carry labels through a view.

    A dimension that is merged with unlabelled ones repeats its labels (a flattened channel is many positions of one
    channel). Dimensions of an input that are merged become new labels, one per position. Where labels would vary along
    several dimensions, as when a width is split into heads, they are told apart along one of them only: all labels of a
    head are one channel.

    Args:
        labels: where new labels and pins are written down.
        vectors: labels of the value.
        before: its shape.
        after: its new shape.
        site: where this happens, in words that are the same for repeated blocks; key of `labels.choices`.

    Returns:
        Labels along the new dimensions.
    """
    result: Vectors = {}
    if 0 in before:
        return result
    for old, new in _blocks(before, after):
        labelled = [dim for dim in old if dim in vectors]
        if not labelled:
            continue
        if len(labelled) > 1:
            constant = [dim for dim in labelled if labels.is_constant(vectors[dim])]
            labelled = [dim for dim in labelled if dim not in constant]
            if not labelled:
                labels.pin(np.concatenate([vectors[dim] for dim in constant]), "is merged with others by a view")
                continue
        sizes = [before[dim] for dim in old]
        flat, kept = _merge(labels, [vectors[dim] for dim in labelled], math.prod(sizes), site)
        if flat is None:
            shape = [before[dim] if dim == labelled[kept] else 1 for dim in old]
            flat = np.broadcast_to(vectors[labelled[kept]].reshape(shape), sizes).reshape(-1)
        found = _split(labels, flat, [after[dim] for dim in new], site)
        if found is None:
            labels.pin(flat, "is in many places of a view")
        else:
            result[new[found[0]]] = found[1]
    return result


def _blocks(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Match the shortest runs of dimensions whose sizes have the same product."""
    blocks: list[tuple[list[int], list[int]]] = []
    left = right = 0
    while left < len(before) or right < len(after):
        old = [left] if left < len(before) else []
        new = [right] if right < len(after) else []
        left, right = left + len(old), right + len(new)
        while (one := math.prod(before[dim] for dim in old)) != (other := math.prod(after[dim] for dim in new)):
            if one < other:
                old, left = [*old, left], left + 1
            else:
                new, right = [*new, right], right + 1
        blocks.append((old, new))
    return blocks


def _merge(labels: Labels, vectors: list[Vector], size: int, site: str) -> tuple[Vector | None, int]:
    """One new label per position if all come from an input; otherwise which channels remain, the others are pinned."""
    if len(vectors) == 1:
        return None, 0
    if (
        all(tensor == "" for vector in vectors for tensor, _ in labels.slots_in(vector))
        and math.prod(map(len, vectors)) == size
    ):
        return labels.allot("", 1, size), 0
    site = f"{site} merged"
    labels.splits.append(Split(site, len(vectors), np.concatenate(vectors)))
    is_stored = [any(tensor for tensor, _ in labels.slots_in(vector)) for vector in vectors]
    kept = (labels.choices.get(site, 0) + is_stored.index(max(is_stored))) % len(vectors)  # not those of an input
    for vector in [*vectors[:kept], *vectors[kept + 1 :]]:
        labels.pin(vector, "is merged with other channels by a view")
    return None, kept


def _split(labels: Labels, flat: Vector, sizes: list[int], site: str) -> tuple[int, Vector] | None:
    """The dimension along which the labels vary; where there are several, the one that was chosen for this site."""
    block = flat.reshape(sizes)
    varying = [dim for dim in range(block.ndim) if not (block == np.take(block, [0], axis=dim)).all()]
    wide = [dim for dim in range(block.ndim) if sizes[dim] > 1]
    if block.ndim == 0 or (not varying and len(wide) > 1):  # one channel in many places: along which of them?
        return None
    if len(varying) > 1:
        labels.splits.append(Split(site, len(varying), flat))
        varying = [varying[labels.choices.get(site, 0)]]
    dim = varying[0] if varying else int(np.argmax(sizes))
    rows = np.moveaxis(block, dim, 0).reshape(sizes[dim], -1)
    for column in rows.T[1:] if varying and (rows != rows[:, :1]).any() else ():
        labels.unite(rows[:, 0], column)
    return dim, rows[:, 0].copy()
