"""Cut a shadow of the network before anything is trained: what does not run when cut is kept, with the reason."""

__all__ = ["confirm", "weed_out"]

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import nn

from ellzero.graph.channels import Channels, Group
from ellzero.graph.cut import cut
from ellzero.graph.layout import Layout, settle
from ellzero.graph.outputs import tensors_in
from ellzero.graph.shadow import Example, Run, on_shadow


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
    expected, trains = _shapes(run(model)), _trains(model, run)
    attempt = _Attempt(model, run, channels, expected, trains)
    cuttable = [group.name for group in channels.gated if group.size > 1]
    failed = weed_out(cuttable, lambda names: attempt.failure(names, 1))
    channels = channels.keeping(
        {name: f"its width is fixed in the forward pass: {why}" for name, why in failed.items()}
    )
    if not channels.gated:
        return channels
    attempt = _Attempt(model, run, channels, expected, trains)
    removable = [group.name for group in channels.gated if group.removable]
    failed = weed_out(removable, lambda names: attempt.failure(names, None))
    return replace(channels, groups=tuple(_stays(group, failed) for group in channels.groups))


def _stays(group: Group, failed: Iterable[str]) -> Group:
    return replace(group, removable=False) if group.name in failed else group


def _trains(model: nn.Module, run: Run) -> bool:
    """Whether the network also runs in training mode on the example; batch norm refuses a single value."""
    try:
        run(model.train())
    except Exception:  # whatever the user's forward raises
        return False
    finally:
        model.eval()
    return True


def weed_out(names: list[str], failure: Callable[[list[str]], str]) -> dict[str, str]:
    """Find the groups that cannot be cut together with the others.

    Args:
        names: the groups, most welcome first.
        failure: what goes wrong when some of them are cut; empty if nothing does.

    Returns:
        For each group that is to be kept, what went wrong.
    """
    if not failure(names):
        return {}
    good: list[str] = []
    failed: dict[str, str] = {}
    for name in names:
        why = failure([*good, name])
        if why:
            failed[name] = why
        else:
            good.append(name)
    return failed


class _Attempt:
    """Cuts of one network that are tried and thrown away."""

    def __init__(
        self, model: nn.Module, run: Run, channels: Channels, expected: list[tuple[int, ...]], trains: bool
    ) -> None:
        self.model, self.run, self.expected, self.trains = model, run, expected, trains
        self.layout = Layout.of(channels)
        self.places = {group.name: place for group, place in self.layout.slices()}

    def failure(self, names: list[str], num: int | None) -> str:
        """What goes wrong when the first channels of these groups are shut, or all; empty if nothing does."""
        is_open = torch.ones(self.layout.num_gates, dtype=torch.bool)
        for name in names:
            is_open[self.places[name]][:num] = False
        is_open = settle(self.layout, torch.zeros(len(is_open)), is_open)
        try:
            small = cut(self.model, self.layout, is_open)
            shapes = _shapes(self.run(small))
            if self.trains:
                self.run(small.train())
        except Exception as error:  # whatever the user's forward raises
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return "" if shapes == self.expected else f"the output has shape {shapes} instead of {self.expected}"


def _shapes(output: object) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in tensors_in(output)]
