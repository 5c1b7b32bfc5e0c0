"""What `structure.json` holds: how a network was cut, and everything about its tensors but their numbers."""

__all__ = ["Description", "Setting", "Stored"]

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import nn

from ellzero.artifacts.errors import ArtifactDamagedError
from ellzero.artifacts.places import places
from ellzero.artifacts.strict import conform, parse
from ellzero.errors import TraceError
from ellzero.graph import Channels, Plan, Structure, structure_of

Setting: TypeAlias = str | bool | int | float | list[Any] | None

_FREE = frozenset({"training", "p", "dropout", "momentum", "inplace"})
"""Settings of PyTorch's layers that do not change what the network computes in evaluation mode."""

_INDEX = ({"start": int, "stop": int, "step": int}, [int])
_MEMBER = {"tensor": str, "dim": int, "role": frozenset({"writer", "reader", "carrier"}), "index": _INDEX}
_GROUP = {
    "name": str,
    "size": int,
    "members": [_MEMBER],
    "kind": frozenset({"channels", "input", "positions"}),
    "reason": str,
    "removable": bool,
    "parent": str,
    "parent_index": _INDEX,
    "attributes": [{"module": str, "name": str, "multiple": int}],
}
_NORM = {"module": str, "centred": bool, "tensor": str, "dim": int}
_WORK = {"module": str, "tensor": (str, None), "count": int, "rows": [[(str, int)]]}
_SCALAR = (str, bool, int, float, None)
_SCHEMA = {
    "channels": {"groups": [_GROUP], "shapes": {str: [int]}, "work": [_WORK], "norms": [_NORM]},
    "plan": {str: [int]},
    "num_shut": int,
    "num_opened": int,
    "difference": float,
    "tensors": {str: {"dtype": str, "shape": [int]}},
    "rebuilt": {str: str},
    "ties": {str: str},
    "frozen": [str],
    "layers": {str: {"type": str, "settings": {str: (*_SCALAR, [_SCALAR])}}},
}


@dataclass(frozen=True)
class Stored:
    """Dtype and shape of one stored tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """Class of one of PyTorch's layers, and its settings as plain data."""

    type: str
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class Description:
    """A cut network without its numbers.

    Attributes:
        structure: how it was cut.
        tensors: dtype and shape of every stored tensor by its first name.
        rebuilt: dtype of the buffers that are not stored because the build function makes them anew.
        ties: other names of stored tensors, each with the first name.
        frozen: names of the parameters without gradient.
        layers: PyTorch's own layers, by which a wrong build function is recognised where all shapes fit.
    """

    structure: Structure
    tensors: Mapping[str, Stored]
    rebuilt: Mapping[str, str]
    ties: Mapping[str, str]
    frozen: tuple[str, ...]
    layers: Mapping[str, Layer]

    @classmethod
    def of(cls, model: nn.Module) -> "Description":
        """Describe a pruned network.

        Raises:
            SurgeryError: if it was not pruned.
        """
        found = places(model)
        first = found.first_names()
        tensors = {name: found.tensors[name] for name in first.values()}
        return cls(
            structure_of(model),
            {name: Stored(_dtype(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()},
            {name: _dtype(tensor.dtype) for name, tensor in found.tensors.items() if id(tensor) not in first},
            {n: first[id(t)] for n, t in found.tensors.items() if id(t) in first and first[id(t)] != n},
            tuple(n for n, t in tensors.items() if isinstance(t, nn.Parameter) and not t.requires_grad),
            {name: _layer(one) for name, one in model.named_modules() if type(one).__module__.startswith("torch.nn.")},
        )

    def to_json(self) -> bytes:
        """One JSON object, with everything in the order of the network."""
        data = {
            "channels": json.loads(self.structure.channels.to_json()),
            "plan": json.loads(self.structure.plan.to_json()),
            "num_shut": int(self.structure.num_shut),
            "num_opened": int(self.structure.num_opened),
            "difference": float(self.structure.difference),
            "tensors": {name: {"dtype": one.dtype, "shape": list(one.shape)} for name, one in self.tensors.items()},
            "rebuilt": dict(self.rebuilt),
            "ties": dict(self.ties),
            "frozen": list(self.frozen),
            "layers": {name: {"type": one.type, "settings": dict(one.settings)} for name, one in self.layers.items()},
        }
        return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, name: str) -> "Description":
        """Read what `to_json` wrote; nothing in it is executed, and no name in it is used before it is known.

        Args:
            content: the file.
            name: of the file, for the message.

        Raises:
            ArtifactDamagedError: if it is something else.
        """
        data = parse(content, name)
        if isinstance(data, dict):  # artifacts of before widths could be rounded do not say
            data = {"num_opened": 0, **data}
        conform(data, _SCHEMA, name)
        try:
            channels = Channels.from_json(json.dumps(data["channels"]))
            plan = Plan.from_json(json.dumps(data["plan"]))
        except TraceError as error:
            raise ArtifactDamagedError(f"{name!r} holds no sound plan: {error}; save the network again") from error
        return cls(
            Structure(channels, plan, data["num_shut"], float(data["difference"]), data["num_opened"]),
            {key: Stored(one["dtype"], tuple(one["shape"])) for key, one in data["tensors"].items()},
            data["rebuilt"],
            data["ties"],
            tuple(data["frozen"]),
            {key: Layer(one["type"], one["settings"]) for key, one in data["layers"].items()},
        )


def _dtype(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _layer(module: nn.Module) -> Layer:
    own = {key: value for key, value in vars(module).items() if not key.startswith("_") and key not in _FREE}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}
    return Layer(type(module).__qualname__, {key: value for key, value in plain.items() if _is_plain(value)})


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(not isinstance(item, list) and _is_plain(item) for item in value)
    return value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value))
