"""Tensors from one safetensors file into another, block by block, without what is cut away."""

__all__ = ["Cut", "write_shard"]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ellzero.artifacts.shards import Entry, Shard

BLOCK = 2**26
"""Bytes that are read at once, or a single row where a row is larger."""


@dataclass(frozen=True)
class Cut:
    """A stored tensor and, for each of its dimensions that is cut, the indices that stay, in ascending order."""

    entry: Entry
    kept: Mapping[int, NDArray[np.int64]]

    @property
    def shape(self) -> tuple[int, ...]:
        """What is left."""
        return tuple(len(self.kept[dim]) if dim in self.kept else size for dim, size in enumerate(self.entry.shape))

    @property
    def num_bytes(self) -> int:
        """Size of what is left."""
        return prod(self.shape) * self.item_size if self.kept else self.entry.num_bytes

    @property
    def item_size(self) -> int:
        """Bytes of one number; 0 if several numbers share one byte, or there is none."""
        whole = self.entry.numel and self.entry.num_bytes % self.entry.numel == 0
        return self.entry.num_bytes // self.entry.numel if whole else 0


def write_shard(path: Path, shard: Shard, cuts: Sequence[Cut]) -> None:
    """Write some tensors of a shard, cut, under the same names and in the same order.

    The bytes of each number are moved as they are: to numpy they are integers of the same size.

    Args:
        path: of the new file.
        shard: where the tensors are.
        cuts: which of them, and what stays of each.
    """
    header: dict[str, Any] = {"__metadata__": dict(shard.metadata)} if shard.metadata else {}
    offset = 0
    for cut in cuts:
        end = offset + cut.num_bytes
        header[cut.entry.name] = {"dtype": cut.entry.dtype, "shape": cut.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers begin where any of them may
    with path.open("wb") as out, shard.path.open("rb") as source:
        out.write(len(text).to_bytes(8, "little") + text)
        for cut in cuts:
            for block in _blocks(source, cut):
                out.write(block)


def _blocks(source: BinaryIO, cut: Cut) -> Iterator[memoryview | bytes]:
    entry = cut.entry
    if not cut.kept:
        for start in range(0, entry.num_bytes, BLOCK):
            yield _read(source, entry.start + start, min(BLOCK, entry.num_bytes - start))
        return
    rows = cut.kept.get(0, np.arange(entry.shape[0]))
    row = entry.num_bytes // max(1, entry.shape[0])
    num = max(1, BLOCK // max(1, row))
    for first in range(0, entry.shape[0] if cut.num_bytes else 0, num):
        last = min(first + num, entry.shape[0])
        here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, last)]
        if len(here):
            content = _read(source, entry.start + first * row, (last - first) * row)
            block = np.frombuffer(content, f"u{cut.item_size}").reshape(last - first, *entry.shape[1:])
            block = block if len(here) == last - first else block[here - first]
            for dim in cut.kept.keys() - {0}:
                block = block.take(cut.kept[dim], axis=dim)
            yield np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


def _read(source: BinaryIO, start: int, num_bytes: int) -> bytes:
    source.seek(start)
    content = source.read(num_bytes)
    if len(content) != num_bytes:
        raise OSError(f"the source ended {num_bytes - len(content)} bytes early")
    return content
