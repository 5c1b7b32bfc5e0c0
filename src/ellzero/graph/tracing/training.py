"""Empty groups on numbers in training mode: some networks look at them there only, which no shape shows."""

__all__ = ["stay_in_training"]

from dataclasses import replace

import torch
from torch import nn

from ellzero.graph.cutting.cut import cut
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.layout import Layout, settle
from ellzero.graph.recording.example import Example, forward
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.shadow import eagerly
from ellzero.graph.tracing.confirm import weed_out


def stay_in_training(model: nn.Module, example: Example, channels: Channels) -> Channels:
    """Let groups keep a channel without which the network fails in training mode, if it runs with all of them.

    Args:
        model: any module with numbers; it is not changed.
        example: its inputs.
        channels: what was traced.

    Returns:
        The same channels; such groups may not go entirely.
    """
    removable = [group.name for group in channels.gated if group.removable]
    if not removable:
        return channels
    layout = Layout.of(channels)

    def failure(names: list[str]) -> str:
        is_open = torch.ones(layout.num_gates, dtype=torch.bool)
        for group, place in layout.slices():
            is_open[place] = group.name not in names
        small = cut(model, layout, settle(layout, torch.zeros(len(is_open)), is_open))
        return _failure(small.train(), example)

    why = failure(removable)
    if not why or failure([]):
        return channels
    failed = dict(weed_out(removable, failure, why))
    groups = (replace(one, removable=False) if one.name in failed else one for one in channels.groups)
    return replace(channels, groups=tuple(groups))


def _failure(network: nn.Module, example: Example) -> str:
    try:
        with eagerly(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = list(tensors_in(forward(network, example)))
    except Exception as error:  # whatever the user's forward raises
        return str(error) or type(error).__name__
    found = [*outputs, *network.buffers()]  # what training remembers is spoilt for good
    is_nan = any(bool(one.isnan().any()) for one in found if one.is_floating_point())
    return "there is no number where there was one" if is_nan else ""
