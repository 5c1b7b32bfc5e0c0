"""Conditions on the inputs, under which an exported graph is the network, as operations of the graph itself."""

__all__ = ["write_out_conditions"]

import inspect
import math
from collections.abc import Callable
from functools import reduce
from types import FunctionType
from typing import Any

import torch
from torch.fx import GraphModule, Node, Proxy
from torch.fx.proxy import GraphAppendingTracer
from torch.fx.proxy import TraceError as NotWritable

from ellzero.errors import TraceError

_HOLDS = "; the exported graph is the network only where this holds: give such inputs, or trace another example"


def write_out_conditions(graph: GraphModule) -> None:
    """Put what the exporter's module of guards asserts in its place, so that the graph can be pickled.

    That module holds a function which PyTorch makes while it exports, and which no pickle takes. One whose conditions
    cannot be written one by one, because some are alternatives, stays as it is.

    Args:
        graph: exported; changed in place.

    Raises:
        TraceError: if the conditions speak of arguments that PyTorch itself does not find.
    """
    for node in graph.graph.find_nodes(op="call_module", target="_guards_fn"):
        before = set(graph.graph.nodes)
        tracer = GraphAppendingTracer(graph.graph)
        guards = _symbolic(graph.get_submodule("_guards_fn").forward)
        try:
            with graph.graph.inserting_before(node):
                guards(*(Proxy(one, tracer) for one in node.args))
        except NameError as error:  # in those that PyTorch 2.9 writes on *args
            raise TraceError(
                f"the exporter writes conditions on the arguments that cannot be read ({error}); name the arguments of "
                "the forward pass instead of *args, or trace without exported=True"
            ) from error
        except (NotWritable, TypeError):  # alternatives, or mathematics with a number of the caller's
            _erase(graph, before)
            continue
        graph.graph.erase_node(node)
    for asserted in graph.graph.find_nodes(op="call_function", target=torch._assert):
        asserted.update_arg(1, f"{asserted.args[1]}{_HOLDS}")


def _symbolic(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same conditions with a maximum and a minimum that a graph can hold."""
    guards = inspect.getclosurevars(forward).nonlocals.get("func", forward)  # what PyTorch wraps for its compiler
    names = {
        "max": lambda *values: reduce(torch.sym_max, values),
        "min": lambda *values: reduce(torch.sym_min, values),
        "inf": math.inf,
    }
    return FunctionType(guards.__code__, guards.__globals__ | names, closure=guards.__closure__)


def _erase(graph: GraphModule, kept: set[Node]) -> None:
    for node in reversed(list(graph.graph.nodes)):
        if node not in kept:
            graph.graph.erase_node(node)
