"""The network that a plan leaves, without its numbers: what a cut checkpoint is loaded into."""

__all__ = ["cut_module"]

from typing import Any

import torch
from torch import nn

from ellzero.errors import SurgeryError
from ellzero.graph.cutting.cut import cut
from ellzero.graph.cutting.modules import Select
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.layout import Layout
from ellzero.graph.plans.plan import Plan
from ellzero.graph.recording.copies import copied


def cut_module(model: nn.Module, channels: Channels, plan: Plan) -> nn.Module:
    """Cut a network to a plan without touching a weight: modules, shapes and ties, on the meta device.

    Fill it with `load_state_dict(..., assign=True)` from what `cut_checkpoint` wrote. Buffers that no checkpoint holds
    (`persistent=False`) keep their numbers, if the network has them.

    Args:
        model: the dense network, on the meta device or anywhere; it is not changed and its weights are not copied.
        channels: what was traced.
        plan: what to shut.

    Returns:
        A module of the original classes whose parameters and persistent buffers are meta tensors.

    Raises:
        TraceError: if the plan does not fit the channels.
        SurgeryError: if the channels do not fit the network, or the plan shuts inputs or flattened positions: a
            selection, whose indices are numbers, would have to stand before their reader.

    Example:
        >>> with torch.device("meta"):
        ...     net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> from ellzero.graph import Group, Member
        >>> hidden = Group("hidden", 3, (Member("0.weight", 0, "writer"), Member("0.bias", 0),
        ...                              Member("2.weight", 1, "reader")))
        >>> cut_module(net, Channels((hidden,), {}), Plan({"hidden": (1,)}))
        Sequential(
          (0): Linear(in_features=4, out_features=2, bias=True)
          (1): ReLU()
          (2): Linear(in_features=2, out_features=2, bias=True)
        )
    """
    layout = Layout.of(channels)
    small = cut(_blank(model), layout, plan.open_gates(layout))
    for name, module in small.named_modules():
        if isinstance(module, Select):
            raise SurgeryError(
                f"the plan shuts inputs or positions before {name.rpartition('.')[0]!r}, expected only channels where "
                "there are no numbers; trace with inputs=False and positions=False, or cut the loaded network: prune"
            )
    return small


def _blank(model: nn.Module) -> nn.Module:
    """Copy a network with meta tensors in the place of all that a checkpoint holds."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, tensor in {**module._parameters, **module._buffers}.items():
            if tensor is None or name in module._non_persistent_buffers_set:
                continue
            blank = torch.empty_like(tensor, device="meta", requires_grad=False)
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(blank, tensor.requires_grad) if is_parameter else blank
    return copied(model, memo)
