"""Cut a shadow of the network before anything is trained: what does not run when cut is kept, with the reason."""

__all__ = ["FIXED_IN_FORWARD", "confirm", "weed_out"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from types import MappingProxyType

import torch
from torch import nn

from ellzero.graph.cutting.cut import cut
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Attribute, Group
from ellzero.graph.plans.layout import Layout, settle
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.progress import Progress
from ellzero.graph.recording.shadow import Shadow
from ellzero.graph.recording.where import first_line
from ellzero.graph.tracing.attributes import USUAL, Signature, signature

_UNLIKE_IN_TRAINING = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
"""They do something else in training mode, which accepts any width as well."""

FIXED_IN_FORWARD = "its width is fixed in the forward pass"

Candidates = Mapping[str, tuple[Attribute, ...]]


def confirm(
    shadow: Shadow,
    channels: Channels,
    candidates: Candidates = MappingProxyType({}),
    *,
    shapes: Sequence[tuple[int, ...]] | None = None,
    at_least: int = 0,
) -> Channels:
    """Keep every group whose removal the forward pass does not survive.

    A few channels of every group are cut at once and the result is run on tensors without data. Where it stops,
    attributes of the module in which it stops, and of those around it, are brought down too, as long as that helps.
    Only if it still fails are the groups tried in parts. The same is done with groups that may go entirely.

    Args:
        shadow: a copy of the network; it is not changed.
        channels: what was traced.
        candidates: for each group attributes that may have to follow its width.
        shapes: of the outputs of the network, if they are known.
        at_least: how many gates are asked for; once fewer are left, the others are not tried any more.

    Returns:
        The channels; groups that cannot be cut carry the reason, the others the attributes that follow them.
    """
    if not channels.gated:
        return channels
    attempt = _Attempt(shadow, channels, _shapes(shadow.run(shadow.model)) if shapes is None else list(shapes))
    cuttable = [group.name for group in channels.gated if group.size > 1]
    channels, outcome = _repaired(attempt, cuttable, candidates)
    attempt.channels = channels
    if outcome.why:
        channels, outcome = _weeded(attempt, cuttable, at_least)
    if not channels.gated or channels.num_gates < at_least:
        return channels
    attempt.channels = channels
    trains = not outcome.is_same_in_training
    removable = [group.name for group in channels.gated if group.removable]
    failed = dict(weed_out(removable, partial(attempt.failure, whole=True, trains=trains)))
    return replace(channels, groups=tuple(_stays(group, failed) for group in channels.groups))


def _stays(group: Group, failed: Iterable[str]) -> Group:
    return replace(group, removable=False) if group.name in failed else group


def _repaired(attempt: "_Attempt", names: list[str], candidates: Candidates) -> tuple[Channels, "_Outcome"]:
    """Give the groups the attributes without which the forward pass stops, and those whose name says what they are.

    Also returns what happens then.
    """
    original = attempt.channels
    known = {one: signature(one) for found in candidates.values() for one in found}
    chosen = {one for one in known.values() if one[1] in USUAL}

    def outcome(signatures: set[Signature]) -> "_Outcome":
        attempt.channels = _following(original, candidates, signatures)
        return attempt.outcome(names)

    now = outcome(chosen)
    while now.why and now.module is not None:
        options = [chosen ^ {one} for one in sorted({known[one] for one in known if _is_around(one, now.module)})]
        tried = [(outcome(option), option) for option in options]
        best = max(tried, key=lambda pair: pair[0].progress, default=(now, chosen))
        equal = [option for found, option in tried if found.progress == best[0].progress]
        alike = {one[1] for option in equal for one in option ^ chosen}
        if best[0].progress <= now.progress or len(alike) > 1:  # of several only one is right; shapes do not tell which
            break
        now, chosen = best
    return _following(original, candidates, chosen), now


def _is_around(attribute: Attribute, module: str) -> bool:
    return not attribute.module or f"{module}.".startswith(f"{attribute.module}.")


def _following(channels: Channels, candidates: Candidates, signatures: set[Signature]) -> Channels:
    found = {name: tuple(one for one in known if signature(one) in signatures) for name, known in candidates.items()}
    return replace(channels, groups=tuple(
        replace(group, attributes=found.get(group.name, group.attributes)) for group in channels.groups
    ))  # fmt: skip


def _weeded(attempt: "_Attempt", names: list[str], at_least: int) -> tuple[Channels, "_Outcome"]:
    """Keep the groups that cannot be cut together with the others, and tell what happens to the rest.

    Training mode takes as long as evaluation mode and seldom fails where that does not, so it is tried at the end.
    """
    channels, outcome = attempt.channels, _Outcome("", (inf, inf))
    for trains in (False, True):
        outcome = attempt.outcome(names, trains=trains)
        failure = partial(attempt.failure, trains=trains)
        failed = set()
        for name, why in weed_out(names, failure, outcome.why):
            failed.add(name)
            advice = "" if channels.exported else "; exported=True may help"
            channels = channels.keeping({name: f"{FIXED_IN_FORWARD}: {why}{advice}"})
            if channels.num_gates < at_least:
                return channels, outcome
        names = [name for name in names if name not in failed]
    return channels, outcome


def weed_out(
    names: Sequence[str], failure: Callable[[list[str]], str], why: str | None = None
) -> Iterator[tuple[str, str]]:
    """Find the groups that cannot be cut together with the others.

    They are the groups that fail together with all earlier ones that do not. What goes well with some groups is taken
    to go well with fewer, so that blocks are tried: larger ones as long as they go well, halves of one that does not.

    Args:
        names: the groups, most welcome first.
        failure: what goes wrong when some of them are cut; empty if nothing does.
        why: what goes wrong when all of them are cut, if that is known.

    Yields:
        Each group that is to be kept, with what went wrong.

    Example:
        >>> dict(weed_out("abcde", lambda names: "fails" if {"a", "d"} <= {*names} or "b" in names else ""))
        {'b': 'fails', 'd': 'fails'}
    """
    rest = list(names)
    if not rest or not (failure(rest) if why is None else why):
        return
    good: list[str] = []
    size = 1
    while rest:
        block = rest[:size]
        why = failure([*good, *block])
        if not why:
            good, rest, size = good + block, rest[size:], 2 * size
            continue
        while len(block) > 1:
            half = block[: len(block) // 2]
            what = failure([*good, *half])
            good, block, why = (good, half, what) if what else (good + half, block[len(half) :], why)
        yield block[0], why
        rest, size = rest[rest.index(block[0]) + 1 :], 1


@dataclass(frozen=True)
class _Outcome:
    """What went wrong, empty if nothing did; after how many modules and operations; in which module it stopped.

    `is_same_in_training` says that training mode did the same, operation for operation.
    """

    why: str
    progress: tuple[float, float]
    module: str | None = None
    is_same_in_training: bool = False


class _Attempt:
    """Cuts of one network that are tried and thrown away."""

    def __init__(self, shadow: Shadow, channels: Channels, expected: list[tuple[int, ...]]) -> None:
        self.model, self.run, self.channels, self.expected = shadow.model, shadow.run, channels, expected

    def outcome(self, names: list[str], *, whole: bool = False, trains: bool = True) -> _Outcome:
        """What happens when the first few channels of these groups are shut, not everywhere the same number, or all.

        Args:
            names: the groups.
            whole: whether all of their channels are shut.
            trains: whether training mode is tried, too.
        """
        layout = Layout.of(self.channels)
        is_open = torch.ones(layout.num_gates, dtype=torch.bool)
        for number, (group, place) in enumerate(layout.slices()):
            if group.name in names:
                is_open[place][: group.size if whole else min(1 + number % 3, group.size - 1)] = False
        is_open = settle(layout, torch.zeros(len(is_open)), is_open)
        progress = Progress()
        try:
            small = cut(self.model, layout, is_open)
            shapes = _shapes(progress.watch(small, self.run))
        except Exception as error:  # whatever the user's forward raises
            return _Outcome(first_line(error), progress.count, progress.module)
        if shapes != self.expected:
            return _Outcome(f"the output has shape {shapes} instead of {self.expected}", progress.count)
        return self._trained(small, progress) if trains else _Outcome("", (inf, inf))

    def failure(self, names: list[str], *, whole: bool = False, trains: bool = True) -> str:
        """What goes wrong, or nothing; see `outcome`."""
        return self.outcome(names, whole=whole, trains=trains).why

    def _trained(self, small: nn.Module, evaluated: Progress) -> _Outcome:
        """What happens in training mode; without dropout, which would only take other ways to the same shapes."""
        for module in small.train().modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
        progress = Progress()
        try:
            progress.watch(small, self.run)
        except Exception as error:  # whatever the user's forward raises
            return _Outcome(first_line(error) if self._trains else "", (inf, inf))
        unlike = {name for name, one in small.named_modules() if isinstance(one, _UNLIKE_IN_TRAINING)}
        done, before = ([call for call in one.calls if call.module not in unlike] for one in (progress, evaluated))
        return _Outcome("", (inf, inf), is_same_in_training=done == before)

    @cached_property
    def _trains(self) -> bool:
        """Whether the network also runs in training mode on the example; batch norm refuses a single value."""
        try:
            self.run(self.model.train())
        except Exception:  # whatever the user's forward raises
            return False
        finally:
            self.model.eval()
        return True


def _shapes(output: object) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in tensors_in(output)]
