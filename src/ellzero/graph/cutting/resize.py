"""Correct the sizes that stand in an exported graph, after its tensors were cut."""

__all__ = ["resize"]

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves

from ellzero.errors import SurgeryError
from ellzero.graph.cutting.sizes import Left
from ellzero.graph.recording.exported import module_of
from ellzero.graph.recording.record import Value, values_in
from ellzero.graph.recording.walk import ShapesOnly

Arguments: TypeAlias = dict[str, Any]
"""The arguments of an operation by name, those left out with their defaults."""

Rule: TypeAlias = Callable[["_Corrected", Node, Arguments], None]

_aten = torch.ops.aten


def resize(graph: GraphModule, left: Left) -> None:
    """Go through a graph whose tensors were cut, and correct every size that does not fit.

    Args:
        graph: cut; changed in place.
        left: what is left of each of its values.

    Raises:
        SurgeryError: if an operation fails or returns another shape than the cut leaves; with its name and module.
    """
    _Corrected(graph, left).go()
    graph.graph.lint()
    graph.recompile()


class _Corrected(ShapesOnly):
    def __init__(self, graph: GraphModule, left: Left) -> None:
        super().__init__(graph)
        self.graph_module, self.left = graph, left

    def run_node(self, n: Node) -> Any:
        if n.op != "call_function" or n.name not in self.left.results:
            return super().run_node(n)
        wanted = [self.left.shape(value) for value in values_in(self.left.results[n.name])]
        try:
            self._correct(n)
            result = super().run_node(n)
        except Exception as error:  # whatever an operation raises on sizes that do not fit
            raise SurgeryError(f"{self._where(n)} does not fit what is cut: {str(error).splitlines()[0]}") from error
        found = [tuple(leaf.shape) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if found != wanted:
            raise SurgeryError(f"{self._where(n)} returns shapes {found} instead of {wanted}")
        return result

    def _correct(self, node: Node) -> None:
        if isinstance(node.target, torch._ops.OpOverload):
            name = str(node.target.overloadpacket).removeprefix("aten.")
            rule = _RULES.get(name, _shape)
            rule(self, node, _named(node))

    def _where(self, node: Node) -> str:
        return f"{node.target} in {module_of(node) or 'the network itself'!r}"

    def value(self, argument: Any) -> Value:
        """What an argument that is a tensor was before the cut."""
        found: Value = self.left.results[argument.name]
        return found

    def now(self, argument: Any) -> Any:
        """What an argument is now: a number, or the value of a node."""
        return self.env[argument] if isinstance(argument, Node) else argument

    def sized(self, node: Node, size: Any, value: Value, dim: int) -> Any:
        """The size of a dimension of a result; one that is computed stays in proportion."""
        now, wanted = self.now(size), self.left.shape(value)[dim]
        if now in (wanted, -1):
            return size
        if not isinstance(size, Node):
            return wanted
        if not self.left.is_even(value, dim):
            raise ValueError("a size that varies with the input counts channels and something else")
        divisor = math.gcd(now, wanted)
        with self.graph_module.graph.inserting_before(node):
            for function, factor in ((operator.mul, wanted // divisor), (operator.floordiv, now // divisor)):
                size = self.graph_module.graph.call_function(function, (size, factor))
                now = self.env[size] = function(now, factor)
        return size


def _named(node: Node) -> Arguments:
    """Arguments by name."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip([one.name for one in schema], node.args, strict=False)) | node.kwargs
    return {one.name: given.get(one.name, one.default_value) for one in schema}


def _set(node: Node, name: str, value: Any) -> None:
    for place, one in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if one.name == name and place < len(node.args):
            node.update_arg(place, value)
        elif one.name == name:
            node.update_kwarg(name, value)


def _shape(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    """A list of sizes of the result."""
    for name in ("size", "shape"):
        sizes = arguments.get(name)
        if isinstance(sizes, Sequence) and not isinstance(sizes, str):
            (value,) = values_in(corrected.left.results[node.name])
            if len(sizes) == len(value.shape):
                _set_sizes(corrected, node, name, sizes, value)


def _set_sizes(
    corrected: _Corrected, node: Node, name: str, sizes: Sequence[Any], value: Value, *, first: int = 0
) -> None:
    found = [corrected.sized(node, size, value, dim) for dim, size in enumerate(sizes, first)]
    if found != list(sizes):
        _set(node, name, found)


def _unflatten(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    (value,), sizes = values_in(corrected.left.results[node.name]), arguments["sizes"]
    first = arguments["dim"] % (len(value.shape) - len(sizes) + 1)
    _set_sizes(corrected, node, "sizes", sizes, value, first=first)


def _split(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    """Parts of the sizes that are left; where they were equal before and are not now, each is named."""
    parts = list(values_in(corrected.left.results[node.name]))
    dim = arguments["dim"] % len(parts[0].shape)
    wanted = [corrected.left.shape(part)[dim] for part in parts]
    if wanted != [part.shape[dim] for part in parts]:
        node.target = _aten.split_with_sizes.default
        node.args, node.kwargs = (arguments["self"], wanted, dim), {}


def _slice(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    value = corrected.value(arguments["self"])
    dim = arguments["dim"] % len(value.shape)
    flags = corrected.left.flags(value, dim)
    if flags.all() or arguments["step"] != 1:
        return
    for name in ("start", "end"):
        place = arguments[name]
        if isinstance(place, int) and -len(flags) <= place < len(flags):
            _set(node, name, _rank(flags, place))


def _narrow(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    value = corrected.value(arguments["self"])
    dim, start, length = arguments["dim"] % len(value.shape), arguments["start"], arguments["length"]
    flags = corrected.left.flags(value, dim)
    if not flags.all() and isinstance(start, int) and isinstance(length, int):
        _set(node, "length", int(flags[start : start + length].sum() if start >= 0 else flags[start:][:length].sum()))
        _set(node, "start", _rank(flags, start))


def _rank(flags: np.ndarray, place: int) -> int:
    """Where a place is when only what stays is counted."""
    return int(flags[:place].sum())


def _group_norm(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    """Whole groups go."""
    value = corrected.value(arguments["input"])
    _refuse_empty(corrected, value, 1)
    groups = arguments["num_groups"] * corrected.left.shape(value)[1] // value.shape[1]
    if groups != arguments["num_groups"]:
        _set(node, "num_groups", groups)


def _layer_norm(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    value, sizes = corrected.value(arguments["input"]), arguments["normalized_shape"]
    _set_sizes(corrected, node, "normalized_shape", sizes, value, first=len(value.shape) - len(sizes))


def _convolution(corrected: _Corrected, node: Node, arguments: Arguments) -> None:
    """A depthwise convolution has as many groups as channels; others lose the same from each group."""
    value, weight = corrected.value(arguments["input"]), corrected.value(arguments["weight"])
    channels = len(value.shape) - len(weight.shape) + 1
    (result,) = values_in(corrected.left.results[node.name])
    _refuse_empty(corrected, value, channels)
    _refuse_empty(corrected, result, channels)
    if arguments["groups"] > 1 and arguments["groups"] == value.shape[channels]:
        _set(node, "groups", corrected.left.shape(value)[channels])


def _refuse_empty(corrected: _Corrected, value: Value, dim: int) -> None:
    """On tensors without data an operation may accept no channels at all, and refuse them later."""
    if not corrected.left.shape(value)[dim]:
        raise ValueError("no channel is left")


def _table(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


_RULES: Mapping[str, Rule] = MappingProxyType(
    _table("unflatten", _unflatten)
    | _table("split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unsafe_chunk tensor_split", _split)
    | _table("slice", _slice)
    | _table("narrow", _narrow)
    | _table("group_norm native_group_norm", _group_norm)
    | _table("layer_norm native_layer_norm rms_norm _fused_rms_norm", _layer_norm)
    | _table("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution", _convolution)
)
