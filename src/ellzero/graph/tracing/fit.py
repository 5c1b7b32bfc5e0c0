"""Whether a description of channels, perhaps written by hand, fits a network: refuse it before anything is trained."""

__all__ = ["check_fit"]

from typing import get_args

import numpy as np
from torch import Tensor, nn

from ellzero.errors import TraceError, nearest
from ellzero.graph.cutting.modules import Convolution
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Group, Kind, Member, Role
from ellzero.graph.plans.layout import Layout
from ellzero.graph.recording.example import Example
from ellzero.graph.recording.exported import exported_graph
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.shadow import NEEDS_DATA, Shadow, on_shadow
from ellzero.graph.tracing.acceptable import check_example, check_network
from ellzero.graph.tracing.confirm import confirm
from ellzero.graph.tracing.rehearse import rehearse


def check_fit(model: nn.Module, example: Example, channels: Channels) -> None:
    """Refuse channels that do not describe this network.

    Args:
        model: any module; it is not changed.
        example: its inputs.
        channels: written by hand, read from a file, or traced.

    Raises:
        TraceError: if a tensor, dimension or index does not exist, two groups overlap, a group is not read by any
            parameter, or the network does not compute the same when it is cut; with the name of the group.
        TypeError: if they are no `Channels`.

    Example:
        >>> import torch
        >>> from ellzero.graph import Group
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> hidden = Group("hidden", 3, (Member("0.weight", 0, "writer"), Member("2.weigth", 1, "reader")))
        >>> check_fit(net, torch.zeros(1, 4), Channels((hidden,), {}))
        Traceback (most recent call last):
        ...
        ellzero.errors.TraceError: group 'hidden' names '2.weigth', which the network does not have; did you mean ...
    """
    if not isinstance(channels, Channels):
        raise TypeError(f"expected channels, as trace(model, example) returns them, got {type(channels).__name__}")
    check_network(model)
    check_example(example)
    parameters = dict(model.named_parameters())
    tensors = parameters | dict(model.named_buffers())
    _check_shapes(channels, parameters)
    for group in channels.gated:
        if group.kind not in get_args(Kind):
            raise TraceError(f"group {group.name!r} is of kind {group.kind!r}{nearest(group.kind, get_args(Kind))}")
        for member in group.members:
            _check_member(group, member, tensors)
        _check_readers(model, group, parameters)
        _check_parent(group, channels)
    _check_overlaps(channels)
    _check_sizes(channels, tensors)
    subject = exported_graph(model, example) if channels.exported else model
    confirmed = on_shadow(subject, example, lambda shadow: _confirmed(shadow, channels))
    proven = rehearse(model, example, confirmed)
    for before, after in zip(channels.groups, proven.groups, strict=True):
        if before.reason != after.reason:
            raise TraceError(f"group {before.name!r} does not describe this network: {after.reason}")
        if before.removable != after.removable:
            raise TraceError(f"group {before.name!r} cannot go entirely; the network does not run without it")


def _confirmed(shadow: Shadow, channels: Channels) -> Channels:
    """Operations may refuse tensors without data for any reason, and take those with data; then these are used."""
    try:
        outputs = tensors_in(shadow.run(shadow.model))
    except NEEDS_DATA:
        raise
    except Exception as error:  # whatever the user's forward raises
        raise TraceError(f"the forward pass failed: {error}; give an example that the network accepts") from error
    shapes = [tuple(output.shape) for output in outputs]
    _check_told_apart(shadow, channels, shapes)
    return confirm(shadow, channels, shapes=shapes)


def _check_told_apart(shadow: Shadow, channels: Channels, shapes: list[tuple[int, ...]]) -> None:
    """Cut half of the groups at a time: two whose readers were exchanged are not always cut together.

    Groups are told apart by the binary digits of their number, so that few attempts are enough.
    """
    for digit in range((len(channels.gated) - 1).bit_length()):
        whole = {one.name: "stays" for number, one in enumerate(channels.gated) if not number >> digit & 1}
        for group in confirm(shadow, channels.keeping(whole), shapes=shapes).kept:
            if group.name not in whole and not channels.group(group.name).reason:
                raise TraceError(f"group {group.name!r} does not describe this network: {group.reason}")


def _check_shapes(channels: Channels, parameters: dict[str, nn.Parameter]) -> None:
    for name, shape in channels.shapes.items():
        if name not in parameters:
            raise TraceError(
                f"the channels give a shape for {name!r}, which is no parameter{nearest(name, parameters)}"
            )
        if tuple(parameters[name].shape) != tuple(shape):
            raise TraceError(
                f"{name!r} has shape {tuple(parameters[name].shape)} in the network, {tuple(shape)} in the channels; "
                "trace this network"
            )


def _check_member(group: Group, member: Member, tensors: dict[str, Tensor]) -> None:
    where = f"group {group.name!r}"
    if member.tensor not in tensors:
        raise TraceError(
            f"{where} names {member.tensor!r}, which the network does not have{nearest(member.tensor, tensors)}"
        )
    if member.role not in get_args(Role):
        raise TraceError(
            f"{where} gives {member.tensor!r} the role {member.role!r}{nearest(member.role, get_args(Role))}"
        )
    tensor = tensors[member.tensor]
    if not 0 <= member.dim < tensor.dim():
        raise TraceError(
            f"{where} lies along dimension {member.dim} of {member.tensor!r}, whose dimensions are 0 to "
            f"{tensor.dim() - 1}; count from the front"
        )
    size, index = tensor.shape[member.dim], np.asarray(member.index)
    if index.dtype.kind not in "iu":
        raise TraceError(f"{where} has index {index[0]!r} along {member.tensor!r}, expected whole numbers")
    if index.min() < 0 or index.max() >= size:
        raise TraceError(
            f"{where} has index {index.max() if index.min() >= 0 else index.min()} along dimension {member.dim} of "
            f"{member.tensor!r}, which has {size} entries"
        )


def _check_readers(model: nn.Module, group: Group, parameters: dict[str, nn.Parameter]) -> None:
    if not group.readers:
        raise TraceError(f"group {group.name!r} has no reader; name the weight that sums over it with role 'reader'")
    for name in group.readers:
        weight = parameters.get(name)
        if weight is None or not (weight.is_floating_point() or weight.is_complex()):
            raise TraceError(
                f"group {group.name!r} is read by {name!r}, which is no floating-point or complex parameter"
            )
    for member in group.members if group.kind != "channels" else ():
        layer = model.get_submodule(member.tensor.rpartition(".")[0])
        if member.role != "reader" or not isinstance(layer, (nn.Linear, Convolution)):
            raise TraceError(
                f"group {group.name!r} of kind {group.kind!r} must be read by linear or convolutional layers only, but "
                f"names {member.tensor!r} as {member.role}"
            )


def _check_parent(group: Group, channels: Channels) -> None:
    if group.parent and not all(0 <= channel < channels.group(group.parent).size for channel in group.parent_index):
        raise TraceError(f"group {group.name!r} lies in channels that its parent {group.parent!r} does not have")
    if group.parent and len(group.parent_index) != group.size:
        raise TraceError(
            f"group {group.name!r} has {group.size} positions but {len(group.parent_index)} parent channels"
        )


def _check_overlaps(channels: Channels) -> None:
    """Every index belongs to one channel; only positions lie within the channels of another group."""
    taken: dict[tuple[str, int], dict[int, str]] = {}
    for group in channels.gated:
        for member in group.members if group.kind != "positions" else ():
            slot = taken.setdefault((member.tensor, member.dim), {})
            twice = [index for index in member.index if index in slot]
            if twice or len(set(member.index)) < len(member.index):
                other = slot[twice[0]] if twice else group.name
                raise TraceError(
                    f"groups {other!r} and {group.name!r} overlap along dimension {member.dim} of {member.tensor!r}; "
                    "every index belongs to one channel"
                )
            slot.update(dict.fromkeys(member.index, group.name))


def _check_sizes(channels: Channels, tensors: dict[str, Tensor]) -> None:
    """Without shapes a dimension is taken to end with the last index that a group has."""
    for (name, dim), gates in Layout.of(channels).gates_of_slots().items():
        if len(gates) != tensors[name].shape[dim]:
            raise TraceError(
                f"the groups cover {len(gates)} of the {tensors[name].shape[dim]} entries of {name!r} along dimension "
                f"{dim}; if that is meant, give the channels the shapes of all parameters"
            )
