"""A checkpoint in safetensors files, one or many: what it holds, without reading a number."""

__all__ = ["INDEX", "Checkpoint", "Entry", "Shard", "find_checkpoint"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ellzero.artifacts.errors import ArtifactDamagedError, ArtifactMissingError, ArtifactUnsafeError

INDEX = ".safetensors.index.json"


@dataclass(frozen=True)
class Entry:
    """One stored tensor: its name, its dtype as the file spells it, its shape, and where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Shard:
    """One file: its path, what it says of itself, and its tensors in the order of their bytes."""

    path: Path
    metadata: Mapping[str, str]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Checkpoint:
    """All files; `index_name` is empty where a single file needs no index, `index` is what the index says of itself."""

    shards: tuple[Shard, ...]
    index_name: str = ""
    index: Mapping[str, Any] | None = None

    @property
    def entries(self) -> list[Entry]:
        """The tensors of all files."""
        return [entry for shard in self.shards for entry in shard.entries]


def find_checkpoint(source: Path) -> Checkpoint:
    """Read the headers of a checkpoint.

    Args:
        source: a safetensors file, or a folder with one, or with several and their index.

    Raises:
        ArtifactMissingError: if there is none, or a file that the index names is missing.
        ArtifactDamagedError: if a file is cut short or no safetensors file, or the index does not fit.
        ArtifactUnsafeError: if the index names a file outside of the folder.
    """
    if source.is_file():
        return Checkpoint((_shard(source),))
    if not source.is_dir():
        raise ArtifactMissingError(f"{str(source)!r} does not exist, expected a safetensors file or a folder with some")
    indices, files = sorted(source.glob(f"*{INDEX}")), sorted(source.glob("*.safetensors"))
    if len(indices) == 1:
        return _indexed(indices[0])
    if len(indices) > 1 or len(files) != 1:
        names = [path.name for path in indices or files]
        raise ArtifactMissingError(
            f"{str(source)!r} holds {', '.join(map(repr, names)) or 'no safetensors file'}, expected one *{INDEX} or "
            "one *.safetensors; give the path of the file"
        )
    return Checkpoint((_shard(files[0]),))


def _indexed(path: Path) -> Checkpoint:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {str(name): str(file) for name, file in content["weight_map"].items()}
        about = dict(content.get("metadata") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactDamagedError(f"{str(path)!r} is no index of shards ({error!r}); copy it again") from error
    shards = []
    for file in sorted(set(names.values())):
        if Path(file).name != file:
            raise ArtifactUnsafeError(f"{str(path)!r} names the file {file!r}, expected one in the same folder")
        if not (path.parent / file).is_file():
            raise ArtifactMissingError(f"{str(path)!r} names the file {file!r}, which is not there; copy it too")
        shards.append(_shard(path.parent / file))
    found = [(entry.name, shard.path.name) for shard in shards for entry in shard.entries]
    for name, file in sorted(set(found) ^ set(names.items())):
        raise ArtifactDamagedError(
            f"{path.name!r} places {name!r} in {names.get(name, 'no file')!r}, but {file!r} "
            f"{'holds it' if (name, file) in found else 'does not hold it'}; copy the whole checkpoint again"
        )
    return Checkpoint(tuple(shards), path.name, about)


def _shard(path: Path) -> Shard:
    """Read the header; safetensors itself vouches for its soundness first."""
    try:
        with safe_open(path, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ArtifactDamagedError(f"{str(path)!r} is no safetensors file ({error}); copy it again") from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    entries = [
        Entry(name, one["dtype"], tuple(one["shape"]), 8 + length + begin, end - begin)
        for name, one in header.items()
        for begin, end in [one["data_offsets"]]
    ]
    return Shard(path, metadata, tuple(sorted(entries, key=lambda entry: entry.start)))
