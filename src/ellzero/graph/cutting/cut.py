"""Cut a network to a plan: parameters, buffers, attributes; nothing that is removed is ever copied."""

__all__ = ["cut", "kept_indices"]

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule

from ellzero.errors import SurgeryError
from ellzero.graph.cutting.correct import correct_attributes, corrected
from ellzero.graph.cutting.following import FollowsCut
from ellzero.graph.cutting.memory_format import laid_out_like
from ellzero.graph.cutting.modules import Select
from ellzero.graph.cutting.resize import resize
from ellzero.graph.cutting.select_nodes import select_before
from ellzero.graph.cutting.sizes import left_by
from ellzero.graph.plans.layout import Layout
from ellzero.graph.recording.copies import copied
from ellzero.graph.recording.fake import blank
from ellzero.graph.recording.walk import walk

Slot = tuple[str, int]


def kept_indices(layout: Layout, is_open: Tensor) -> dict[Slot, Tensor]:
    """For each stored dimension that is gated, the indices that stay.

    Args:
        layout: the order of the gates.
        is_open: a settled set of open gates, bool, shape `(gates,)`.
    """
    effective = torch.cat([layout.effective(is_open.long()).bool(), torch.ones(1, dtype=torch.bool)])
    return {slot: effective[gates].nonzero().squeeze(1) for slot, gates in layout.gates_of_slots().items()}


def cut(
    model: nn.Module, layout: Layout, is_open: Tensor, *, factors: Mapping[Slot, Tensor] | None = None
) -> nn.Module:
    """Copy a network without the channels that are shut.

    Args:
        model: an ordinary module; it is left alone.
        layout: the order of the gates.
        is_open: a settled set of open gates, bool, shape `(gates,)`.
        factors: for a stored dimension a factor for each of its indices, multiplied into the copy.

    Returns:
        A module of the original classes; of an exported graph, one with corrected sizes. Ties, `requires_grad`, dtypes,
        devices and training flags are those of the original.

    Raises:
        SurgeryError: if a tensor that the layout names is missing or has another size.
    """
    if layout.channels.exported and not isinstance(model, GraphModule):
        raise SurgeryError(
            f"these channels are those of an exported graph, and this is a {type(model).__name__}; prune the network "
            "that was gated with exported=True"
        )
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    _check_sizes(tensors, layout)
    kept = kept_indices(layout, is_open)
    memo: dict[int, Any] = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, FakeTensor):
            shape = [len(kept.get((name, dim), range(size))) for dim, size in enumerate(tensor.shape)]
            memo[id(tensor)] = blank(tensor, shape)
            continue
        small = _shrink(name, tensor.detach(), kept, factors or {})
        memo[id(tensor)] = _as_parameter(small, tensor) if isinstance(tensor, nn.Parameter) else small
    small_model = copied(model, memo)
    if isinstance(model, GraphModule) and isinstance(small_model, GraphModule) and layout.channels.exported:
        return _resized(model, small_model, layout, is_open)
    correct_attributes(small_model, layout, is_open)
    _let_follow(small_model, kept)
    stand_ins = [(module, corrected(module)) for module in small_model.modules()]
    _replace(small_model, {id(module): stand_in.train(module.training) for module, stand_in in stand_ins if stand_in})
    for slot in _selected(layout):
        small_model = _select(small_model, layout, slot, is_open)
    return small_model


def _resized(graph: GraphModule, small: GraphModule, layout: Layout, is_open: Tensor) -> GraphModule:
    """Let the readers of an exported graph select, and correct the sizes that stand in it."""
    for slot in _selected(layout):
        picked, width = _picked(layout, slot, is_open)
        if len(picked) < width:
            select_before(small, slot[0], picked.to(small.get_parameter(slot[0]).device))
    resize(small, left_by(walk(graph), layout, kept_indices(layout, is_open)))
    return small


def _as_parameter(small: Tensor, before: nn.Parameter) -> nn.Parameter:
    """With the marks that users and optimizers put on parameters, such as `_no_weight_decay`."""
    parameter = nn.Parameter(small, before.requires_grad)
    for name, mark in vars(before).items():
        if isinstance(mark, (bool, int, float, str)) and name not in vars(parameter):
            setattr(parameter, name, mark)
    return parameter


def _shrink(name: str, tensor: Tensor, kept: Mapping[Slot, Tensor], factors: Mapping[Slot, Tensor]) -> Tensor:
    original = tensor
    for dim in range(tensor.dim()):
        index = kept.get((name, dim))
        if index is None:
            continue
        index = index.to(tensor.device)
        if len(index) < tensor.shape[dim]:
            tensor = tensor.index_select(dim, index)
        if (name, dim) in factors:
            factor = factors[name, dim].to(tensor.device, tensor.dtype)[index]
            tensor = tensor * factor.view(-1, *[1] * (tensor.dim() - dim - 1))
    return tensor.clone() if tensor is original else laid_out_like(original, tensor)


def _check_sizes(tensors: Mapping[str, Tensor], layout: Layout) -> None:
    for (name, dim), gates in layout.gates_of_slots().items():
        if name not in tensors:
            raise SurgeryError(f"the network has no tensor {name!r}, which the plan cuts; is it the same architecture?")
        size = tensors[name].shape[dim] if dim < tensors[name].dim() else 0
        if size != len(gates):
            raise SurgeryError(
                f"{name!r} has {size} entries along dimension {dim}, but the plan is about {len(gates)}; "
                "is it the same architecture?"
            )


def _let_follow(model: nn.Module, kept: Mapping[Slot, Tensor]) -> None:
    """Modules that keep facts about their tensors elsewhere correct them; not on tensors without data."""
    for prefix, module in model.named_modules():
        if isinstance(module, FollowsCut) and not any(isinstance(own, FakeTensor) for own in module.buffers()):
            start = f"{prefix}." if prefix else ""
            own = {(n.removeprefix(start), dim): i for (n, dim), i in kept.items() if n.startswith(start)}
            module.follow_cut(own)


def _replace(model: nn.Module, stand_ins: Mapping[int, nn.Module]) -> None:
    """Put modules in the place of others, known by their identity, under every name that those have."""
    for parent in list(model.modules()) if stand_ins else ():
        for name, child in list(parent._modules.items()):
            new = stand_ins.get(id(child))
            if new is not None and parent is not new:
                setattr(parent, name, new)


def _select(model: nn.Module, layout: Layout, slot: Slot, is_open: Tensor) -> nn.Module:
    """Put a selection in front of a reader of inputs or flattened positions.

    What arrives there is what its writers still write; of that, what is open is passed on.
    """
    picked, width = _picked(layout, slot, is_open)
    if len(picked) == width:
        return model
    reader = model.get_submodule(slot[0].rpartition(".")[0])
    weight = cast(Tensor, reader.weight)
    dim = -1 if isinstance(reader, nn.Linear) else 1 - weight.dim()
    select = Select(picked, dim=dim, width=width).to(weight.device)
    selected = nn.Sequential(OrderedDict(select=select, reader=reader))
    selected.train(reader.training)
    if reader is model:
        return selected
    _replace(model, {id(reader): selected})
    return model


def _selected(layout: Layout) -> list[Slot]:
    """Stored dimensions that read inputs or flattened positions."""
    gated = layout.channels.gated
    return sorted({(one.tensor, one.dim) for group in gated if group.kind != "channels" for one in group.members})


def _picked(layout: Layout, slot: Slot, is_open: Tensor) -> tuple[Tensor, int]:
    """Which of what arrives at a reader it reads, and how much arrives."""
    arrives, passes = _through(layout, layout.gates_of_slots()[slot], is_open)
    return passes[arrives].nonzero().squeeze(1), int(arrives.sum())


def _through(layout: Layout, gates: Tensor, is_open: Tensor) -> tuple[Tensor, Tensor]:
    """For each index of a reader whether its channel is still written, and whether it is read."""
    is_open = torch.cat([is_open, torch.ones(1, dtype=torch.bool)])
    selected = [group.kind != "channels" for group in layout.channels.gated]
    is_selected = torch.cat([torch.tensor(selected)[layout.group], torch.zeros(1, dtype=torch.bool)])
    parent = torch.cat([layout.parent, torch.tensor([layout.num_gates])])
    arrives = torch.where(is_selected[gates], is_open[parent[gates]], is_open[gates])
    return arrives, arrives & is_open[gates]
