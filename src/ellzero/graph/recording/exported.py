"""Export a network as a graph in which every size stands written, so that it can be corrected when channels go."""

__all__ = ["exported_graph", "module_of"]

import inspect
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map

from ellzero.errors import TraceError
from ellzero.graph.recording.conditions import write_out_conditions
from ellzero.graph.recording.example import Example, arguments, forward
from ellzero.graph.recording.inline import inline
from ellzero.graph.recording.shadow import without_fused_layers


def exported_graph(model: nn.Module, example: Example) -> GraphModule:
    """Export a network in evaluation mode, its parameters shared and under their own names; a tied one under its first.

    Every size of an input may vary, as far as the network lets it: a dimension is fixed only if the forward pass fixes
    it. Parameters and buffers that the forward pass does not use in evaluation mode are left out.

    Args:
        model: any module; its training flags are put back.
        example: its inputs; a batch of one is doubled, because the exporter takes a size of one for a constant.

    Returns:
        A graph of ATen operations that calls like the network.

    Raises:
        TraceError: if the network cannot be exported; the message says what PyTorch says.
    """
    flags = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        program = _exported(model, _two(model, example))
    except Exception as error:  # whatever the user's forward, or the exporter, raises
        raise TraceError(
            f"the network cannot be exported, so that its sizes cannot be corrected ({_said(error)}); trace without "
            f"exported=True, or {_advice(model, example)}"
        ) from error
    finally:
        for module, training in flags:
            module.training = training
    graph = program.module(check_guards=True)  # with the conditions on inputs under which it is the network
    inline(graph)
    write_out_conditions(graph)
    graph.graph.eliminate_dead_code()
    _rename(graph, model)
    given = tree_leaves(arguments(example))  # not the doubled ones: multiply-adds are those of the example
    for node, leaf in zip(graph.graph.find_nodes(op="placeholder"), given, strict=True):
        node.meta["example"] = leaf.to("meta") if isinstance(leaf, Tensor) else leaf
        if isinstance(leaf, Tensor):
            node.meta["device"] = torch.device("cpu") if leaf.is_meta else leaf.device  # as those of parameters
    for node in graph.graph.nodes:
        node.meta.pop("val", None)  # shapes of before the cut
        node.meta.pop("tensor_meta", None)
    graph.graph._tracer_cls = None  # with that of the exporter, which takes arguments, nothing could be unpickled
    return GraphModule(graph, graph.graph, class_name=type(model).__name__).eval()


def _advice(model: nn.Module, example: Example) -> str:
    """What to change in the forward pass."""
    parameters = inspect.signature(model.forward).parameters
    unnamed = [name for name in arguments(example)[1] if name not in parameters]
    if unnamed:
        return f"name {', '.join(map(repr, unnamed))} in its signature: the exporter does not follow **kwargs"
    return "write the forward pass so that torch.export.export(model, args) works"


def _exported(model: nn.Module, example: Example) -> Any:
    args, kwargs = arguments(example)
    shapes = torch.export.ShapesCollection()
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, Tensor) and leaf.dim():
            shapes[leaf] = {dim: torch.export.Dim.AUTO for dim, size in enumerate(leaf.shape) if size > 1}
    dynamic = shapes.dynamic_shapes(model, args, kwargs)
    with without_fused_layers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        return torch.export.export(model, args, kwargs, dynamic_shapes=dynamic)


def _two(model: nn.Module, example: Example) -> Example:
    """A batch of two, if the example is a batch of one that can be doubled."""
    batches = {leaf.shape[0] for leaf in tree_leaves(example) if isinstance(leaf, Tensor) and leaf.dim()}
    if batches != {1}:
        return example
    double = tree_map(lambda leaf: torch.cat([leaf] * 2) if isinstance(leaf, Tensor) and leaf.dim() else leaf, example)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            forward(model, double)
    except Exception:  # whatever the user's forward raises
        return example
    return double


def _rename(graph: GraphModule, model: nn.Module) -> None:
    """Take every tensor by its first name in the network."""
    for stored in (model.named_parameters, model.named_buffers):
        first: dict[int, str] = {}
        known = {name: first.setdefault(id(tensor), name) for name, tensor in stored(remove_duplicate=False)}
        for node in graph.graph.find_nodes(op="get_attr"):
            node.target = known.get(str(node.target), node.target)


def module_of(node: Node) -> str:
    """The module that a node was recorded in."""
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]).removeprefix("L['self'].") if stack else ""


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
