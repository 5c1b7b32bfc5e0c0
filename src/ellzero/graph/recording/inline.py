"""Parts of an exported graph that run without gradient, or without autocast, become parts of the graph itself."""

__all__ = ["inline"]

from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ellzero.errors import TraceError

_ASSERTIONS = ("_assert", "sym_constrain_range")


def inline(graph: GraphModule) -> None:
    """Put what regions do in their place, and leave out assertions, which speak of sizes before the cut.

    What a region without gradient returns is detached, so that gradients are those of the network.

    Args:
        graph: exported; changed in place.

    Raises:
        TraceError: if a part of it runs only for some data, runs in a loop, or under another precision.
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and isinstance(node.target, torch._ops.HigherOrderOperator):
            _inline_region(graph, node)
        elif node.op == "call_function" and any(part in str(node.target) for part in _ASSERTIONS):
            graph.graph.erase_node(node)
    for node in reversed(list(graph.graph.nodes)):
        if node.op == "get_attr" and not node.users:
            graph.graph.erase_node(node)


def _inline_region(graph: GraphModule, node: Node) -> None:
    region, arguments, is_detached = _region(graph, node)
    inputs = dict(zip(region.graph.find_nodes(op="placeholder"), arguments, strict=True))
    with graph.graph.inserting_before(node):
        found: Any = graph.graph.graph_copy(region.graph, inputs)
        if is_detached:
            found = map_arg(found, lambda one: graph.graph.call_function(torch.ops.aten.detach.default, (one,)))
    for user in list(node.users):  # a region returns a tuple, of which every user takes an item
        user.replace_all_uses_with(found[user.args[1]])
        graph.graph.erase_node(user)
    graph.graph.erase_node(node)


def _region(graph: GraphModule, node: Node) -> tuple[GraphModule, tuple[Any, ...], bool]:
    """What a region does, what it does it with, and whether its results have no gradient."""
    kind = getattr(node.target, "__name__", "")
    if kind == "wrap_with_set_grad_enabled":
        is_enabled, inner, *arguments = node.args
    elif kind == "wrap_with_autocast" and not node.args[2]:
        is_enabled, inner, arguments = True, node.args[4], list(node.args[5:])
    else:
        raise TraceError(
            f"the exported graph has a part ({node.target}) whose sizes cannot be corrected, because it runs only for "
            "some data, in a loop, or in another precision; trace without exported=True"
        )
    assert isinstance(inner, Node)
    region = graph.get_submodule(str(inner.target))
    assert isinstance(region, GraphModule)
    inline(region)
    return region, tuple(arguments), not is_enabled
