"""Selections in an exported graph: before the readers of inputs and flattened positions."""

__all__ = ["select_before"]

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ellzero.errors import SurgeryError


def select_before(graph: GraphModule, tensor: str, indices: Tensor) -> None:
    """Let a linear or convolutional operation read only some of what arrives.

    Args:
        graph: changed in place; it is to be compiled again afterwards.
        tensor: the weight that reads.
        indices: what it reads, in order.

    Raises:
        SurgeryError: if the weight is read by anything else.
    """
    (weight,) = [node for node in graph.graph.find_nodes(op="get_attr") if node.target == tensor]
    for reader in list(weight.users):
        value = reader.args[0]
        if len(reader.args) < 2 or reader.args[1] is not weight or not isinstance(value, Node):
            raise SurgeryError(f"{tensor!r} is read by {reader.target} before which no selection can stand; keep it")
        dim = -1 if "linear" in str(reader.target) else 1 - graph.get_parameter(tensor).dim()
        name = f"{tensor.replace('.', '_')}_selected"
        graph.register_buffer(name, indices)
        with graph.graph.inserting_before(reader):
            places = graph.graph.get_attr(name)
            picked = graph.graph.call_function(torch.ops.aten.index_select.default, (value, dim, places))
        reader.replace_input_with(value, picked)
