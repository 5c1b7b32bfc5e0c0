"""`cut_checkpoint`: a safetensors checkpoint cut to a plan, a block of numbers in memory at a time."""

__all__ = ["cut_checkpoint"]

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from ellzero.artifacts.errors import ArtifactMismatchError
from ellzero.artifacts.places import places
from ellzero.artifacts.replace import written_file, written_whole
from ellzero.artifacts.shards import INDEX, Checkpoint, Entry, find_checkpoint
from ellzero.artifacts.stream import Cut, write_shard
from ellzero.errors import nearest
from ellzero.graph import Channels, Layout, Plan, cut_module, kept_indices

_SUFFIX = ".safetensors"


def cut_checkpoint(
    model: nn.Module,
    channels: Channels,
    plan: Plan,
    source: Path | str,
    target: Path | str,
    *,
    rename: Callable[[str], str] | None = None,
    copy: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Cut a checkpoint to a plan, file by file, without ever holding a tensor of it in memory.

    What comes out is the `state_dict` of `cut_module(model, channels, plan)`. Tensors keep their names, dtypes, order,
    files and metadata; those that the plan does not touch are copied, those of which nothing is left are dropped. Ties
    are known from the network, so that a tied tensor may be stored once, under any of its names, or under several.
    Everything is checked before anything is written; the target then appears as a whole or not at all.

    Args:
        model: the dense network, best on the meta device: it gives names, shapes and ties. It is not changed.
        channels: what was traced.
        plan: what to shut.
        source: a safetensors file, or a folder with one, or with several and `*.safetensors.index.json`, as the Hugging
            Face libraries write it. Other files in the folder (a config, a tokenizer) are left to you.
        target: a file if the source is one, otherwise a folder of its own; missing parents are made.
        rename: what a tensor of the network is called in the checkpoint, as in `"model.{}".format` or
            `lambda name: name.removeprefix("model.")`.
        copy: name patterns of tensors that the network does not have and that are copied as they are.
        overwrite: whether safetensors files that are there already may be replaced. A folder that holds anything else
            is refused all the same.

    Raises:
        TraceError: if the plan does not fit the channels.
        SurgeryError: if the channels do not fit the network, or the plan shuts inputs or flattened positions.
        ArtifactMissingError: if there is no checkpoint, or a part of it is missing.
        ArtifactDamagedError: if a file is cut short, or the index does not fit.
        ArtifactMismatchError: if the network has a tensor that the checkpoint lacks, or the other way round, or in
            another shape; the nearest name is offered.
        ArtifactExistsError: if there is something in the target's place.
        ArtifactUnsavedError: if the disk is full or not writable; what was there before is untouched.
        ValueError: if source and target are the same, or `rename` gives two tensors one name.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import load_file, save_file
        >>> from ellzero.graph import trace
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> channels, plan = trace(model, torch.zeros(1, 4)), Plan({"0": (1,)})
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     save_file(model.state_dict(), f"{parent}/dense.safetensors")
        ...     cut_checkpoint(model, channels, plan, f"{parent}/dense.safetensors", f"{parent}/small.safetensors")
        ...     tensors = load_file(f"{parent}/small.safetensors")
        >>> {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        {'0.bias': (2,), '0.weight': (2, 4), '2.bias': (2,), '2.weight': (2, 2)}
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise ValueError(f"source and target are both {str(source)!r}; give the small checkpoint a place of its own")
    small = cut_module(model, channels, plan)
    checkpoint = find_checkpoint(source)
    names = _Names.of(model, rename or str)
    _check_names(names, checkpoint, copy)
    cuts = _cuts(names, small, _kept(channels, plan), checkpoint)
    if source.is_file():
        with written_file(target, overwrite=overwrite) as path:
            write_shard(path, checkpoint.shards[0], list(cuts.values()))
        return
    with written_whole(target, _replaceable(target), overwrite=overwrite) as folder:
        for shard in checkpoint.shards:
            mine = [cuts[entry.name] for entry in shard.entries if entry.name in cuts]
            if mine or not shard.entries:
                write_shard(folder / shard.path.name, shard, mine)
        if checkpoint.index_name:
            (folder / checkpoint.index_name).write_bytes(_index(checkpoint, cuts, small))


def _kept(channels: Channels, plan: Plan) -> dict[tuple[str, int], np.ndarray]:
    layout = Layout.of(channels)
    return {slot: index.numpy() for slot, index in kept_indices(layout, plan.open_gates(layout)).items()}


@dataclass(frozen=True)
class _Names:
    """The tensors of a network by the names that the checkpoint gives them, and all their own names by identity."""

    tensors: Mapping[str, Tensor]
    own: Mapping[str, str]
    aliases: Mapping[int, Sequence[str]]

    @classmethod
    def of(cls, model: nn.Module, rename: Callable[[str], str]) -> "_Names":
        found = places(model)
        own: dict[str, str] = {}
        aliases: dict[int, list[str]] = defaultdict(list)
        for name in (name for name in found.tensors if found.is_stored[name]):
            aliases[id(found.tensors[name])].append(name)
            if own.setdefault(rename(name), name) != name:
                raise ValueError(
                    f"rename calls both {own[rename(name)]!r} and {name!r} {rename(name)!r}; keep them apart"
                )
        return cls({key: found.tensors[name] for key, name in own.items()}, own, aliases)

    def all_of(self, key: str) -> Sequence[str]:
        """Every name that the network has for what the checkpoint calls so."""
        return self.aliases[id(self.tensors[key])]


def _cuts(
    names: _Names, small: nn.Module, kept: Mapping[tuple[str, int], np.ndarray], checkpoint: Checkpoint
) -> dict[str, Cut]:
    """What stays of each stored tensor that stays at all, by its name in the checkpoint."""
    left = places(small).tensors
    cuts = {}
    for entry in checkpoint.entries:
        if entry.name not in names.own:
            cuts[entry.name] = Cut(entry, {})
        elif names.own[entry.name] in left:
            slots = [(name, dim) for name in names.all_of(entry.name) for dim in range(len(entry.shape))]
            shorter = {slot[1]: kept[slot] for slot in slots if slot in kept and len(kept[slot]) < entry.shape[slot[1]]}
            cuts[entry.name] = _checked(Cut(entry, shorter), left[names.own[entry.name]])
    return cuts


def _check_names(names: _Names, checkpoint: Checkpoint, copy: Sequence[str]) -> None:
    """Every tensor of the network is there under one of its names, in its shape, and nothing else is."""
    stored = {entry.name for entry in checkpoint.entries}
    for entry in checkpoint.entries:
        if entry.name in names.own:
            _check_shape(entry, names.tensors[entry.name])
        elif not any(fnmatchcase(entry.name, pattern) for pattern in copy):
            raise ArtifactMismatchError(
                f"the checkpoint holds {entry.name!r}, which the network does not have"
                f"{nearest(entry.name, names.own)}; give rename=... if names differ, or copy it as it is: "
                f"copy=[{entry.name!r}]"
            )
    held = {id(names.tensors[name]) for name in stored & names.own.keys()}
    for key, tensor in names.tensors.items():
        if id(tensor) not in held:
            tied = [other for other in names.all_of(key) if other != names.own[key]]
            also = f" (nor {', '.join(map(repr, tied))}, tied to it)" if tied else ""
            raise ArtifactMismatchError(
                f"the checkpoint does not hold {key!r}{also}, expected every tensor of the network"
                f"{nearest(key, stored)}"
            )


def _check_shape(entry: Entry, tensor: Tensor) -> None:
    if entry.shape != tuple(tensor.shape):
        raise ArtifactMismatchError(
            f"{entry.name!r} has shape {entry.shape} in the checkpoint, expected {tuple(tensor.shape)} as in the "
            "network; is it the checkpoint of this network?"
        )


def _checked(cut: Cut, small: Tensor) -> Cut:
    if cut.kept and cut.entry.numel and not cut.item_size:
        raise ArtifactMismatchError(
            f"{cut.entry.name!r} is stored as {cut.entry.dtype}, several numbers to a byte, expected a dtype of whole "
            "bytes where channels are cut; convert it first"
        )
    if cut.shape != tuple(small.shape):
        raise ArtifactMismatchError(
            f"the plan leaves shape {cut.shape} of {cut.entry.name!r}, but the cut network has {tuple(small.shape)}, "
            "expected modules to leave the shapes of their tensors to the plan; mend follow_cut of the module that "
            "holds it"
        )
    return cut


def _replaceable(folder: Path) -> frozenset[str]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return frozenset(name for name in names if name.endswith((_SUFFIX, INDEX)))


def _index(checkpoint: Checkpoint, cuts: Mapping[str, Cut], small: nn.Module) -> bytes:
    """The index of what is left: bytes in total, parameters in total where it says so, and the file of each tensor."""
    about = {**(checkpoint.index or {}), "total_size": sum(cut.num_bytes for cut in cuts.values())}
    if "total_parameters" in about:
        about["total_parameters"] = sum(parameter.numel() for parameter in small.parameters())
    files = {entry.name: shard.path.name for shard in checkpoint.shards for entry in shard.entries}
    weight_map = {name: files[name] for name in sorted(cuts)}
    return (json.dumps({"metadata": about, "weight_map": weight_map}, indent=2) + "\n").encode()
