"""From labels to groups: channels that stand in the same places belong together."""

__all__ = ["FROM_INPUT", "gather"]

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np
from torch import nn

from ellzero.graph.cutting.modules import Convolution
from ellzero.graph.labelling.labels import Labels, Vector
from ellzero.graph.labelling.norms import settle_norms
from ellzero.graph.labelling.toil import Slots, count_work
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Group, Index, Kind, Member, Role, Work
from ellzero.graph.recording.record import Recording

FROM_INPUT = "comes from the input"


def gather(model: nn.Module, labels: Labels, recording: Recording, *, inputs: bool, positions: bool) -> Channels:
    """Make groups of all channels.

    Args:
        model: for the classes of its modules.
        labels: after the network has run on them.
        recording: what was recorded.
        inputs: whether input features can be gated.
        positions: whether flattened positions can be gated.

    Returns:
        Channels; none is removable yet.
    """
    slots = Slots(labels)
    work = count_work(labels, slots)
    norms = settle_norms(model, labels, slots, recording)
    selectable = _selectable(model, labels)
    parameters = {name for name, _ in model.named_parameters()}
    shapes = {name: value.shape for name, value in recording.stored.items() if name in parameters}
    names: Counter[str] = Counter()
    groups = []
    for members, size, reason, from_input in _families(labels):
        why = reason or _reason(members, size, from_input, inputs, selectable)
        why = why or _fixed_reader(members, parameters) or _projected(model, members)
        kind: Kind = "input" if from_input and not why else "channels"
        groups.append(Group(_name(members, from_input, names), size, members, kind, why))
    if positions:
        measured = {slot for one in work for slot in one.rows}
        groups += list(_positions(model, groups, selectable, names, measured))
    buffers = {name: value.shape for name, value in recording.stored.items() if name not in parameters}
    return _counted(Channels(tuple(groups), shapes, norms=norms), _unselected(work, groups, shapes), buffers)


def _fixed_reader(members: tuple[Member, ...], parameters: set[str]) -> str:
    fixed = [member.tensor for member in members if member.role == "reader" and member.tensor not in parameters]
    return f"is read by {fixed[0]!r}, which is a buffer; make it a parameter to gate what it reads" if fixed else ""


def _projected(model: nn.Module, members: tuple[Member, ...]) -> str:
    """Kernels know that an LSTM projects its state from the widths: the projection has to be narrower."""
    for module, _, name in (member.tensor.rpartition(".") for member in members if member.dim == 1):
        if name.startswith("weight_hr_l") and isinstance(model.get_submodule(module), nn.LSTM):
            return f"is the state that {module!r} projects, which has to stay wider than its projection"
    return ""


def _unselected(work: Iterable[Work], groups: Iterable[Group], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Work]:
    """What is selected right before its reader is whole everywhere else: there its width is a number."""
    selected = {(m.tensor, m.dim) for g in groups if g.kind != "channels" and not g.reason for m in g.members}
    for one in work:
        fixed = prod(shapes[tensor][dim] for tensor, dim in one.rows if (tensor, dim) in selected)
        yield replace(one, count=one.count * fixed, rows=tuple(slot for slot in one.rows if slot not in selected))


def _counted(channels: Channels, work: Iterable[Work], buffers: Mapping[str, tuple[int, ...]]) -> Channels:
    """Add the multiply-adds; those of a buffer in terms of the parameters with the same channels.

    Costs know the shapes of parameters only. A buffer's channels that no whole parameter shares are kept.
    """
    reasons: dict[str, str] = {}
    found = []
    for one in work:
        own = one.tensor or ""
        of_buffer = [(own, dim) for dim in range(len(buffers.get(own, ())))]
        rows, count = [slot for slot in one.rows if slot[0] not in buffers], one.count
        for name, dim in (*of_buffer, *(slot for slot in one.rows if slot[0] in buffers)):
            size = buffers[name][dim]
            groups = [g for g in channels.gated if any((m.tensor, m.dim) == (name, dim) for m in g.members)]
            slots = [slot for group in groups for slot in _alike(group, size, channels.shapes)]
            if len(groups) == 1 and slots:
                rows.append(slots[0])
            else:
                count *= size
                reasons |= {g.name: f"the multiply-adds of the buffer {name!r} cannot be counted" for g in groups}
        tensor = None if one.tensor in buffers else one.tensor
        found.append(replace(one, tensor=tensor, count=count, rows=tuple(rows)))
    return replace(channels.keeping(reasons), work=tuple(found))


def _alike(group: Group, size: int, shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    """Whole dimensions of parameters that consist of the group, every channel as often as in one of this size."""
    whole = [m for m in group.members if m.tensor in shapes and len(m.index) == shapes[m.tensor][m.dim] == size]
    return [(member.tensor, member.dim) for member in whole]


def _families(labels: Labels) -> Iterator[tuple[tuple[Member, ...], int, str, bool]]:
    """Channels that stand in the same places: members, size, reason to keep, and whether they come from an input."""
    classes = labels.classes()
    slot = labels.slot_of(np.arange(labels.total))
    stored = np.array([name in labels.sizes for name, _ in labels.slots])[slot]
    given = np.array([not name for name, _ in labels.slots])[slot]
    reason, reasons = _reasons(labels, classes)
    is_channel = np.zeros(labels.total, dtype=bool)
    used = np.array([one in labels.reads or one in labels.written for one in labels.slots])[slot]
    is_channel[classes[used | (reason[classes] >= 0) & stored]] = True
    from_input = np.zeros(labels.total, dtype=bool)
    from_input[classes[given]] = True
    places = np.random.default_rng(0).integers(1, 2**63, len(labels.slots), dtype=np.uint64)
    signature = np.zeros(labels.total, dtype=np.uint64)
    np.add.at(signature, classes[stored], places[slot[stored]])
    np.add.at(signature, np.arange(labels.total), (reason + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    signature += from_input.astype(np.uint64)
    atoms = np.flatnonzero(stored & is_channel[classes])
    keys = signature[classes[atoms]]
    order = np.argsort(keys, kind="stable")
    found = np.split(atoms[order], np.flatnonzero(np.diff(keys[order])) + 1) if len(atoms) else []
    for family in sorted(found, key=lambda one: int(one[0])):
        roots = np.unique(classes[family])
        first = roots[0]
        why = reasons[reason[first]] if reason[first] >= 0 else ""
        yield tuple(_members(labels, family, classes, slot)), len(roots), why, bool(from_input[first])


def _members(labels: Labels, family: Vector, classes: Vector, slot: Vector) -> Iterator[Member]:
    numbers, firsts = np.unique(slot[family], return_index=True)  # a family is in ascending order
    for number, atoms in zip(numbers.tolist(), np.split(family, firsts[1:]), strict=True):
        here = atoms[np.lexsort((atoms, classes[atoms]))] - labels.starts[number]
        tensor, dim = labels.slots[number]
        role: Role = "carrier"
        if (tensor, dim) in labels.reads:
            role = "reader"
        elif (tensor, dim) in labels.written:
            role = "writer"
        yield Member(tensor, dim, role, _index(here))


def _index(positions: Vector) -> Index:
    steps = np.diff(positions)
    if len(positions) == 1:
        return range(int(positions[0]), int(positions[0]) + 1)
    if steps[0] > 0 and (steps == steps[0]).all():
        return range(int(positions[0]), int(positions[-1]) + 1, int(steps[0]))
    return tuple(positions.tolist())


def _reasons(labels: Labels, classes: Vector) -> tuple[Vector, list[str]]:
    """For each channel the number of the first reason to keep it, or -1; and the reasons."""
    found = np.full(labels.total, -1, dtype=np.int64)
    texts: list[str] = []
    for pinned, text in labels.pins:
        roots = classes[pinned]
        fresh = roots[found[roots] < 0]
        if fresh.size:
            if text not in texts:
                texts.append(text)
            found[fresh] = texts.index(text)
    return found, texts


def _reason(members: tuple[Member, ...], size: int, from_input: bool, inputs: bool, selectable: set[str]) -> str:
    """Why a group without any pin must be kept all the same; empty if it can be gated."""
    readers = [member for member in members if member.role == "reader"]
    if not readers:
        return "nothing reads it"
    if not from_input:
        return "" if len(readers) < len(members) else "nothing writes it"
    if not inputs:
        return f"{FROM_INPUT}; give inputs=True to gate it"
    if len(readers) < len(members):
        return f"{FROM_INPUT} and passes other parameters before it is read"
    if not all(member.tensor in selectable for member in readers):
        return f"{FROM_INPUT} and is not read by a plain linear or convolutional layer"
    return "" if all(len(member.index) == size for member in readers) else "is an input that is read many times"


def _selectable(model: nn.Module, labels: Labels) -> set[str]:
    """Weights of layers that can have a selection in front of them."""
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    found = set()
    for read in labels.reads.values():
        module = model.get_submodule(read.tensor.rpartition(".")[0])
        plain = isinstance(module, Convolution) and module.groups == 1 and not module.transposed
        if read.select and (plain or isinstance(module, nn.Linear)) and owners[id(module.weight)] == 1:
            found.add(read.tensor)
    return found


def _name(members: tuple[Member, ...], from_input: bool, names: Counter[str]) -> str:
    """The module that writes the channels, numbered if it writes several groups."""
    order = {"writer": 0, "carrier": 1, "reader": 2}
    first = min(members, key=lambda member: order[member.role])
    name = "input" if from_input else first.tensor.rpartition(".")[0] or first.tensor
    names[name] += 1
    return name if names[name] == 1 else f"{name}#{names[name]}"


def _positions(
    model: nn.Module, groups: list[Group], selectable: set[str], names: Counter[str], measured: set[tuple[str, int]]
) -> Iterator[Group]:
    """A group of positions for each linear layer that reads every channel of a group several times.

    Not where the width that it reads measures other work, too: that depends on the channels, not on the positions.
    """
    for group in groups:
        for member in group.members:
            whole = [m for other in groups for m in other.members if (m.tensor, m.dim) == (member.tensor, member.dim)]
            module = model.get_submodule(member.tensor.rpartition(".")[0])
            if member.role != "reader" or member.tensor not in selectable or len(whole) > 1:
                continue
            if not isinstance(module, nn.Linear):
                continue
            if not group.reason and (member.tensor, member.dim) in measured:
                continue
            multiple = len(member.index) // group.size
            if multiple == 1:
                continue
            channel_of = np.empty(len(member.index), dtype=np.int64)
            channel_of[np.asarray(member.index)] = np.repeat(np.arange(group.size), multiple)
            name = f"{member.tensor.rpartition('.')[0] or member.tensor} inputs"
            names[name] += 1
            whole_slot = replace(member, index=range(len(member.index)))
            found = Group(name, len(member.index), (whole_slot,), "positions")
            if not group.reason:
                found = replace(found, parent=group.name, parent_index=tuple(channel_of.tolist()))
            yield found
