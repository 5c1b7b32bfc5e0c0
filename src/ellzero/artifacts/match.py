"""Hold what the build function gives against what was saved, and say what differs first."""

__all__ = ["check_cut", "check_dense"]

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ellzero.artifacts.description import Description, Layer, Stored
from ellzero.artifacts.errors import ArtifactDamagedError, ArtifactMismatchError
from ellzero.artifacts.places import places
from ellzero.errors import nearest
from ellzero.graph import Channels, Group

_ADVICE = "is this the right build function?"


def check_dense(model: nn.Module, channels: Channels) -> None:
    """Check that a network is the one whose channels were traced, and that no index leads out of its tensors.

    Args:
        model: what the build function gave.
        channels: what was saved.

    Raises:
        ArtifactMismatchError: at the first tensor that is missing, or of another shape.
        ArtifactDamagedError: if the channels fit no network at all.
    """
    found = places(model).tensors
    for name, tensor in found.items():
        if is_lazy(tensor) or tensor.is_meta:
            raise ArtifactMismatchError(
                f"the build function leaves {name!r} without numbers ({'lazy' if is_lazy(tensor) else 'meta device'}), "
                "expected a network that could run; build it on the CPU and call it once"
            )
    for name, shape in channels.shapes.items():
        if name not in found:
            raise ArtifactMismatchError(
                f"the build function gives no tensor {name!r}, expected one of shape {shape}; {_ADVICE} "
                f"({nearest(name, found)[2:]})"
            )
        if tuple(found[name].shape) != shape:
            raise ArtifactMismatchError(
                f"the build function gives {name!r} of shape {tuple(found[name].shape)}, expected {shape}; {_ADVICE}"
            )
    first: dict[int, str] = {}
    for name in channels.shapes:
        if first.setdefault(id(found[name]), name) != name:
            raise ArtifactMismatchError(
                f"the build function gives {name!r} tied to {first[id(found[name])]!r}, expected it not tied; {_ADVICE}"
            )
    for group in channels.groups:
        _check_group(group, channels, found)


def check_cut(model: nn.Module, expected: Description) -> None:
    """Check that a network, now cut, has the tensors, ties and layers of the one that was saved.

    Args:
        model: cut to the plan.
        expected: of the network that was saved.

    Raises:
        ArtifactMismatchError: at the first difference.
    """
    found = Description.of(model)
    _check_ties(expected.ties, found.ties)
    _compare("tensor", _shapes(expected.tensors), _shapes(found.tensors))
    for name, layer in expected.layers.items():
        if name in found.layers:
            _check_layer(name, layer, found.layers[name])
    _compare("layer", _types(expected.layers), _types(found.layers))


def _check_ties(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            have, want = (f"tied to {side[name]!r}" if name in side else "not tied" for side in (found, expected))
            raise ArtifactMismatchError(f"the build function gives {name!r} {have}, expected it {want}; {_ADVICE}")


def _compare(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in [*expected, *found]:
        have, want = found.get(name), expected.get(name)
        if have != want:
            raise ArtifactMismatchError(
                f"once cut, what the build function gives has {f'the {what}' if have else f'no {what}'} {name!r}"
                f"{f' ({have})' if have else ''}, expected {want or 'none of that name'}; {_ADVICE}"
            )


def _check_layer(name: str, expected: Layer, found: Layer) -> None:
    if expected.type != found.type:
        raise ArtifactMismatchError(
            f"the build function gives {name!r} as {found.type}, expected {expected.type}; {_ADVICE}"
        )
    # Another version of PyTorch may know more settings, or fewer.
    for key in [key for key in expected.settings if key in found.settings]:
        if expected.settings[key] != found.settings[key]:
            raise ArtifactMismatchError(
                f"the build function gives {name!r} with {key}={found.settings[key]!r}, expected "
                f"{key}={expected.settings[key]!r}; {_ADVICE}"
            )


def _check_group(group: Group, channels: Channels, found: Mapping[str, Tensor]) -> None:
    for member in group.members:
        tensor = found.get(member.tensor)
        if tensor is None:
            raise ArtifactMismatchError(
                f"the build function gives no tensor {member.tensor!r}, whose channels were traced; {_ADVICE}"
            )
        _check_index(group, member.index, tensor.shape[member.dim] if 0 <= member.dim < tensor.dim() else 0)
        if len(member.index) < group.size:
            raise _impossible(group)
    if not group.members and not group.reason:
        raise _impossible(group)
    if group.parent:
        _check_index(group, group.parent_index, channels.group(group.parent).size)
        if len(group.parent_index) != group.size:
            raise _impossible(group)


def _check_index(group: Group, index: Any, size: int) -> None:
    ends = (index[0], index[-1]) if isinstance(index, range) and len(index) else index
    if not len(ends) or min(ends) < 0 or max(ends) >= size:
        raise _impossible(group)


def _impossible(group: Group) -> ArtifactDamagedError:
    return ArtifactDamagedError(
        f"the group {group.name!r} has channels that no tensor has, expected indices within the tensors it names; "
        "the file was not written by ellzero, save the network again"
    )


def _shapes(tensors: Mapping[str, Stored]) -> dict[str, str]:
    return {name: f"{tuple(one.shape)}" for name, one in tensors.items()}


def _types(layers: Mapping[str, Layer]) -> dict[str, str]:
    return {name: one.type for name, one in layers.items()}
