"""Cut a shadow of the network before anything is trained: what does not run when cut is kept, with the reason."""

__all__ = ["confirm"]

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from ellzero.graph.channels import Channels, Group
from ellzero.graph.cut import cut
from ellzero.graph.layout import Layout, settle
from ellzero.graph.record import Example, Run, on_shadow


def confirm(model: nn.Module, example: Example, channels: Channels) -> Channels:
    """Keep every group whose removal the forward pass does not survive.

    One channel of every group is cut at once and the result is run on tensors without data. Only if that fails are the
    groups tried one after the other. The same is done with groups that may go entirely.

    Args:
        model: any module; it is not changed.
        example: its inputs.
        channels: what was traced.

    Returns:
        The channels; groups that cannot be cut carry the reason.
    """
    if not channels.gated:
        return channels
    return on_shadow(model, example, lambda copy, run: _confirm(copy, run, channels))


def _confirm(model: nn.Module, run: Run, channels: Channels) -> Channels:
    expected = _shapes(run(model))
    attempt = _Attempt(model, run, channels, expected)
    cuttable = [group.name for group in channels.gated if group.size > 1]
    failed = attempt.weed_out(cuttable, lambda is_open, place: is_open[place.start : place.start + 1].fill_(False))
    channels = channels.keeping(
        {name: f"its width is fixed in the forward pass: {why}" for name, why in failed.items()}
    )
    if not channels.gated:
        return channels
    attempt = _Attempt(model, run, channels, expected)
    removable = [group.name for group in channels.gated if group.removable]
    failed = attempt.weed_out(removable, lambda is_open, place: is_open[place].fill_(False))
    return replace(channels, groups=tuple(_stays(group, failed) for group in channels.groups))


def _stays(group: Group, failed: Iterable[str]) -> Group:
    return replace(group, removable=False) if group.name in failed else group


class _Attempt:
    """Cuts of one network that are tried and thrown away."""

    def __init__(self, model: nn.Module, run: Run, channels: Channels, expected: list[tuple[int, ...]]) -> None:
        self.model, self.run, self.expected = model, run, expected
        self.layout = Layout.of(channels)
        self.places = {group.name: place for group, place in self.layout.slices()}

    def weed_out(self, names: list[str], shut: Callable[[Tensor, slice], object]) -> dict[str, str]:
        """The groups that cannot be shut in this way together with the others, and what went wrong."""
        if not self.failure(names, shut):
            return {}
        good: list[str] = []
        failed: dict[str, str] = {}
        for name in names:
            why = self.failure([*good, name], shut)
            if why:
                failed[name] = why
            else:
                good.append(name)
        return failed

    def failure(self, names: list[str], shut: Callable[[Tensor, slice], object]) -> str:
        """What goes wrong when these groups are shut; empty if nothing does."""
        is_open = torch.ones(self.layout.num_gates, dtype=torch.bool)
        for name in names:
            shut(is_open, self.places[name])
        is_open = settle(self.layout, torch.zeros(len(is_open)), is_open)
        try:
            shapes = _shapes(self.run(cut(self.model, self.layout, is_open)))
        except Exception as error:  # whatever the user's forward raises
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return "" if shapes == self.expected else f"the output has shape {shapes} instead of {self.expected}"


def _shapes(output: object) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_flatten(output)[0] if isinstance(leaf, Tensor)]
