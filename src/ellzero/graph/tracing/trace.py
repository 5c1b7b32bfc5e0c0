"""Trace a network: run it on labels, gather the channels, and prove that it computes the same when they are cut."""

__all__ = ["trace"]

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from torch import nn
from torch.fx import GraphModule

from ellzero.errors import nearest
from ellzero.graph.labelling.labels import Labels, Rule
from ellzero.graph.labelling.movement import TORN
from ellzero.graph.labelling.norms import NORMALISATION
from ellzero.graph.labelling.run import is_named, run_on_labels
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Attribute
from ellzero.graph.recording.example import Example
from ellzero.graph.recording.exported import exported_graph
from ellzero.graph.recording.record import Recording, record
from ellzero.graph.recording.shadow import Shadow, on_shadow
from ellzero.graph.recording.walk import walk
from ellzero.graph.tracing.acceptable import check_example, check_network, check_rules
from ellzero.graph.tracing.advice import advise, can_be_advised, explain_views, free_slots
from ellzero.graph.tracing.attributes import candidates
from ellzero.graph.tracing.collection import collecting_later
from ellzero.graph.tracing.confirm import confirm
from ellzero.graph.tracing.grouping import gather
from ellzero.graph.tracing.rehearse import rehearse
from ellzero.graph.tracing.removable import carried, mark_removable

_LOG = logging.getLogger("ellzero")


def trace(
    model: nn.Module,
    example: Example,
    *,
    inputs: bool = False,
    positions: bool = False,
    width: bool = False,
    keep: Sequence[str] = (),
    rules: Mapping[str, Rule] = MappingProxyType({}),
    exported: bool = False,
) -> Channels:
    """Find the channels of a network: what writes them, what reads them, and what cannot be removed, with the reason.

    The network is run once, in evaluation mode, on tensors without data. Every index of every parameter dimension has
    a label; operations unite the labels that they make one channel.

    Args:
        model: any module; it is not changed.
        example: what it is called with: a tensor (batch first), a tuple of positional or a mapping of keyword
            arguments. Only shapes and dtypes matter unless the control flow depends on the data.
        inputs: whether input features (dimension 1 and later) that go straight to a linear or convolutional layer can
            be gated (feature selection).
        positions: whether the flattened positions that a linear layer reads can be gated one by one.
        width: whether channels that are normalised together by a layer norm or root-mean-square norm can be gated;
            the gated network then takes the statistics over open channels only.
        keep: names of modules or tensors whose channels are kept whole; `*` stands for anything.
        rules: for operations that the library does not know, by name (`"mylib.smooth"`); see `ellzero.rules`.
        exported: whether the network may be delivered as an exported graph instead of a module of its own classes:
            sizes and places that its forward pass fixes are then no reason to keep channels, they are corrected.

    Returns:
        The channels; print them.

    Raises:
        TraceError: if the network does not run on the example, or is to be exported and cannot be, or a rule raises an
            error.
        TypeError: if the model is no `nn.Module`, or the rules are no mapping.
        ValueError: if `keep` names something that the network does not have, or a rule an operation that did not run;
            if a lazy module of the network has no shape yet;
            if there are rules of yours for a network that is to be exported.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> print(trace(net, torch.zeros(1, 4)))
        0      3 channels  written by 0.weight  read by 2.weight
        input  4 channels  read by 0.weight  kept: comes from the input; give inputs=True to gate it
        2      2 channels  written by 2.weight  kept: is an output of the network
    """
    check_network(model)
    check_example(example)
    check_rules(rules)
    _check_keep(model, keep)
    graph = _graph(model, example, rules) if exported else None
    with collecting_later():
        recording, shadow = record(model, example) if graph is None else _recorded(graph, example)
    _warn(recording)
    _check_rules(rules, recording)

    def labelled(choices: Mapping[str, int], *, is_wide: bool, is_exported: bool) -> Labels:
        labels = Labels(choices=choices, is_wide=is_wide, is_exported=is_exported)
        return run_on_labels(recording, keep, labels, rules)

    def found(choices: Mapping[str, int]) -> _Found:
        labels = labelled(choices, is_wide=width, is_exported=exported)
        channels = gather(model, labels, recording, inputs=inputs, positions=positions)
        channels = replace(channels, exported=exported)
        channels = channels.keeping(_hidden(channels, recording))
        carries = carried(channels, labels, recording)
        channels = mark_removable(channels, recording, carries)
        attributes = candidates(model, channels, recording, carries) if graph is None else {}
        return _Found(channels, attributes, labels)

    def proven(one: _Found, at_least: int) -> Channels:
        shapes = [value.shape for value in recording.outputs] if graph is None else None
        channels = confirm(shadow, one.channels, one.attributes, shapes=shapes, at_least=at_least)
        if channels.num_gates < at_least:
            return channels
        done = recording if graph is None else None
        return rehearse(model, example, channels, recording=done, is_vouched=not rules)

    with collecting_later():
        channels = _best(found, proven)
        if not can_be_advised(channels) or _is_partial(recording):
            return channels
        if not width and _normalises(recording):
            channels = advise(channels, free_slots(labelled({}, is_wide=True, is_exported=exported)), "width=True")
        if not exported and any(one.writers and one.reason.startswith(TORN) for one in channels.kept):
            channels = advise(channels, free_slots(labelled({}, is_wide=width, is_exported=True)), "exported=True")
        return channels


class _Found(NamedTuple):
    """What the labels say, and which attributes may have to follow; nothing of it has been tried."""

    channels: Channels
    attributes: Mapping[str, tuple[Attribute, ...]]
    labels: Labels

    @property
    def to_try(self) -> tuple[object, ...]:
        """All that a proof depends on."""
        return self.channels.gated, self.channels.norms, self.attributes


def _graph(model: nn.Module, example: Example, rules: Mapping[str, Rule]) -> GraphModule:
    if rules:
        raise ValueError(
            f"there are rules for {', '.join(rules)}, but the sizes of an exported graph are corrected by the rules of "
            "the library only; leave out either rules or exported=True"
        )
    return exported_graph(model, example)


def _recorded(graph: GraphModule, example: Example) -> tuple[Recording, Shadow]:
    """What an exported graph does, perhaps on twice the batch, and a copy of it to try cuts on."""
    return walk(graph).recording, on_shadow(graph, example, lambda shadow: shadow)


def _warn(recording: Recording) -> None:
    """Other inputs may go other ways."""
    if recording.needs_data:
        _LOG.warning("the forward pass looks at numbers: only what runs on this example is traced and compared")
    elif recording.unreached:
        name = recording.unreached[0]
        _LOG.warning("%r is not used on this example; if other inputs reach it, give an example that does", name)


def _is_partial(recording: Recording) -> bool:
    """Whether the data decide which layers run, and some did not."""
    return recording.needs_data and bool(recording.unreached)


def _hidden(channels: Channels, recording: Recording) -> dict[str, str]:
    """Reasons to keep everything where the data decide which layers run: those that did not may read any channel."""
    if not _is_partial(recording):
        return {}
    why = f"the data decide what runs, and {recording.unreached[0]!r} did not on this example; give one that reaches it"
    return {group.name: why for group in channels.gated}


def _normalises(recording: Recording) -> bool:
    return any(str(call.op.overloadpacket) in NORMALISATION for call in recording.calls)


def _best(found: Callable[[Mapping[str, int]], _Found], proven: Callable[[_Found, int], Channels]) -> Channels:
    """Where a view spreads channels over several dimensions, find along which of them they can be removed.

    The first is right for heads. Where that leaves channels that cannot be removed, the others are tried, for all
    blocks that are built alike at once. A proof only takes gates away: where the labels give no more gates than there
    are already, or what they gave before, nothing is tried.
    """
    choices: dict[str, int] = {}
    one = found(choices)
    best, tried = proven(one, 0), [one.to_try]
    for site, (num_dims, slots) in _unsettled(best, one.labels).items():
        for choice in range(1, num_dims):
            other = found(choices | {site: choice})
            if other.channels.num_gates <= best.num_gates or other.to_try in tried:
                continue
            tried.append(other.to_try)
            channels = proven(other, best.num_gates + 1)
            if channels.num_gates > best.num_gates:
                best, choices = channels, choices | {site: choice}
            else:
                best = explain_views(best, channels, slots)
    return best


def _unsettled(channels: Channels, labels: Labels) -> dict[str, tuple[int, set[tuple[str, int]]]]:
    """The sites of views that spread channels which are kept: how many dimensions, and where they are stored."""
    kept = {(member.tensor, member.dim) for group in channels.kept for member in group.members}
    found: dict[str, tuple[int, set[tuple[str, int]]]] = {}
    for split in labels.splits:
        if slots := kept.intersection(labels.slots_in(split.labels)):
            found[split.site] = split.num_dims, slots | found.get(split.site, (0, set()))[1]
    return found


def _check_rules(rules: Mapping[str, Rule], recording: Recording) -> None:
    names = {str(call.op.overloadpacket) for call in recording.calls}
    for name in rules:
        if name not in names:
            raise ValueError(f"there is a rule for {name!r}, but no such operation ran{nearest(name, names)}")


def _check_keep(model: nn.Module, keep: Sequence[str]) -> None:
    if isinstance(keep, str):
        raise ValueError(f"keep is a list of names, got the string {keep!r}; write keep=[{keep!r}]")
    names = [name for name, _ in [*model.named_parameters(), *model.named_buffers()]]
    for pattern in keep:
        if not any(is_named(name, pattern) for name in names):
            known = {name.rpartition(".")[0] for name in names} | set(names)
            raise ValueError(f"keep names {pattern!r}, which the network does not have{nearest(pattern, known - {''})}")
