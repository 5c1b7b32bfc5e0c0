"""Cut a copy of the network that has random numbers in it, and hold it against the same copy with masked weights."""

__all__ = ["rehearse"]

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ellzero.graph.cutting.cut import cut, kept_indices
from ellzero.graph.cutting.open_norms import gated_norms, normalising_open
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.groups import Norm
from ellzero.graph.plans.layout import Layout, settle
from ellzero.graph.recording.copies import copied
from ellzero.graph.recording.example import Example, forward
from ellzero.graph.recording.exported import exported_graph
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.precise import Precisely
from ellzero.graph.recording.progress import Progress
from ellzero.graph.recording.randomise import randomised, randomised_example, smaller
from ellzero.graph.recording.record import Recording
from ellzero.graph.recording.shadow import eagerly, has_numbers
from ellzero.graph.recording.where import first_line
from ellzero.graph.tracing.confirm import weed_out
from ellzero.graph.tracing.training import stay_in_training

_TIMES = 4
"""Nothing vouches for channels written by hand, or for a rule of the user: a dead ReLU must not hide a mistake."""

_LARGEST, _LARGEST_VOUCHED = 2**23, 2**22
"""Networks of more parameters are not rehearsed: copies in float64 would outweigh everything else."""

_RELATIVE, _ABSOLUTE = 1e-5, 1e-9
"""Far above the rounding of float64, and of float32 within a network that insists on it and does not amplify it."""

_PRECISE = 1e-8
"""Where such a network is made to compute in float64."""


def rehearse(
    model: nn.Module,
    example: Example,
    channels: Channels,
    *,
    recording: Recording | None = None,
    is_vouched: bool = False,
) -> Channels:
    """Keep every group whose removal changes what the network computes, even where all its shapes agree.

    This finds what labels cannot see: a width that the forward pass uses as a number (`x / x.shape[1]`), say. A random
    part of all channels, about half, is cut at once, then the rest; only if the outputs differ are groups tried one by
    one.
    Then all groups that may go entirely are emptied in training mode, where the network may look at numbers.
    Networks without data (meta tensors), or of more than 8 million parameters, or 4 million if rules vouch for the
    channels, are left to the verification in `prune`.

    Args:
        model: any module; it is not changed.
        example: its inputs; floating ones are replaced by random ones.
        channels: what was traced.
        recording: what the network does on the example; where it does the same on a corner of it, that is enough.
        is_vouched: whether rules of the library found the channels; then once is enough, else other numbers are tried.

    Returns:
        The channels; groups that cannot be cut carry the reason.
    """
    size = sum(parameter.numel() for parameter in model.parameters())
    if not channels.gated or size > (_LARGEST_VOUCHED if is_vouched else _LARGEST) or not has_numbers(model):
        return channels
    for seed in range(1 if is_vouched else _TIMES):
        rehearsal = _Rehearsal.of(model, example, channels, seed, recording) if channels.gated else None
        if rehearsal is None:
            break
        failed = weed_out([group.name for group in channels.gated], rehearsal.failure)
        reasons = {name: f"cutting it changes what is computed: {why}" for name, why in failed}
        channels = channels.keeping(reasons)
    return channels if channels.exported else stay_in_training(model, example, channels)


class _Rehearsal:
    """A network with inputs, and what its gates would do to it."""

    def __init__(self, model: nn.Module, example: Example, channels: Channels) -> None:
        self.model, self.example = model, example
        self.subject = exported_graph(model, example) if channels.exported else model
        self.layout = Layout.of(channels)
        readers = ((m.tensor, m.dim) for group in channels.gated for m in group.members if m.role == "reader")
        self.readers = sorted(set(readers))
        self.tensors = dict(model.named_parameters())
        self.norms = gated_norms(channels)
        self._is_shared = True

    @classmethod
    def of(
        cls, model: nn.Module, example: Example, channels: Channels, seed: int, recording: Recording | None
    ) -> "_Rehearsal | None":
        """In float64 with random numbers, or else as the network is; none if it does not run on real data at all."""
        corner = smaller(example) if recording is not None else None
        ways = [(True, example, None), (False, example, None)]
        for is_random, inputs, as_in in ways if corner is None else [(True, corner, recording), *ways]:
            try:
                twin = randomised(model, seed) if is_random else copied(model, {}).eval()
            except Exception:  # numbers that cannot be made float64
                continue
            rehearsal = cls(twin, randomised_example(inputs, seed) if is_random else inputs, channels)
            if rehearsal.runs(as_in):
                return rehearsal
        return None

    def runs(self, recording: Recording | None = None) -> bool:
        """Whether the network gives finite numbers, and does the same as in a recording, on whatever sizes."""
        progress, sums = Progress(), self._sums()
        try:
            found = self.masked({}, progress if recording is not None else None)
        except Exception:  # whatever the user's forward raises on such data
            return False
        self._is_shared = self._sums() == sums
        return _is_finite(found) and (recording is None or _is_same(recording, progress))

    def failure(self, names: list[str]) -> str:
        """What goes wrong when a random half of these groups is shut, or the other half; empty if nothing does."""
        scores = torch.rand(self.layout.num_gates, generator=torch.Generator().manual_seed(0))
        is_tried = torch.zeros(len(scores), dtype=torch.bool)
        is_high = torch.zeros(len(scores), dtype=torch.bool)
        for number, (group, place) in enumerate(self.layout.slices()):
            is_tried[place] = group.name in names
            share = 1.0 if group.removable and number % 3 == 1 else 0.35 + 0.1 * (number % 4)
            is_high[place] = scores[place] > scores[place].quantile(share)
        halves = (settle(self.layout, scores, half | ~is_tried) for half in (is_high, ~is_high))
        return next(filter(None, map(self._failure_of, halves)), "")

    def _failure_of(self, is_open: Tensor) -> str:
        kept = kept_indices(self.layout, is_open)
        expected = self.masked(kept)
        try:
            is_same = _agree(expected, self._cut(is_open), _RELATIVE)
        except Exception as error:  # whatever the user's forward raises
            return first_line(error)
        if is_same or self._agrees_precisely(kept, is_open):
            return ""
        return "the outputs differ; perhaps the forward pass uses its width as a number"

    def _agrees_precisely(self, kept: Mapping[tuple[str, int], Tensor], is_open: Tensor) -> bool:
        """Whether nothing differs once norms that insist on single precision, and what amplifies them, do not round."""
        try:
            with Precisely():  # type: ignore[no-untyped-call]
                expected, found = self.masked(kept), self._cut(is_open)
            return _is_finite(expected) and _agree(expected, found, _PRECISE)
        except Exception:  # dtypes that do not fit each other any more
            return False

    def _cut(self, is_open: Tensor) -> list[Tensor]:
        return _run(cut(self.subject, self.layout, is_open), self.example)

    def masked(self, kept: Mapping[tuple[str, int], Tensor], progress: Progress | None = None) -> list[Tensor]:
        """The outputs when everything that is not kept is multiplied by zero where it is read."""
        tensors: dict[str, Tensor] = {}
        for name, dim in self.readers if kept else ():
            weight = tensors.get(name, self.tensors[name].detach())
            mask = weight.new_zeros(weight.shape[dim])
            mask[kept[name, dim].to(mask.device)] = 1
            tensors[name] = weight * mask.view(-1, *[1] * (weight.dim() - dim - 1))

        def call(*args: Any, **kwargs: Any) -> Any:
            return functional_call(twin, tensors, args, kwargs)

        twin = self._twin()
        with normalising_open(twin, [(norm, self._mask(norm, kept)) for norm in self.norms if kept]):
            return _run(call, self.example) if progress is None else _watched(twin, self.example, progress)

    def _twin(self) -> nn.Module:
        """A copy to run, as a forward pass may change anything; parameters are shared unless it changes those."""
        shared = self.model.parameters() if self._is_shared else ()
        return copied(self.model, {id(parameter): parameter for parameter in shared})

    def _sums(self) -> list[Any]:
        return [parameter.detach().sum().item() for parameter in self.model.parameters()]

    def _mask(self, norm: Norm, kept: Mapping[tuple[str, int], Tensor]) -> Tensor:
        stored = self.model.get_parameter(norm.tensor)
        mask = torch.zeros(stored.shape[norm.dim], dtype=torch.bool, device=stored.device)
        mask[kept[norm.tensor, norm.dim].to(mask.device)] = True
        return mask


def _run(network: Any, example: Example) -> list[Tensor]:
    with eagerly(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        output = forward(network, example)
    return [tensor.detach() for tensor in tensors_in(output)]


def _watched(network: nn.Module, example: Example, progress: Progress) -> list[Tensor]:
    return list(progress.watch(network, lambda counted: _run(counted, example)))


def _is_same(recording: Recording, progress: Progress) -> bool:
    """Whether the same operations ran, in the same modules, and nothing that had a length has lost it."""
    before = [(call.module, call.op, [_lasting(value.shape) for value in call.sources]) for call in recording.calls]
    return before == [(seen.module, seen.op, [*map(_lasting, seen.shapes)]) for seen in progress.calls]


def _lasting(shape: tuple[int, ...]) -> list[bool]:
    return [size > 1 for size in shape]


def _is_finite(found: Sequence[Tensor]) -> bool:
    return all(bool(leaf.isfinite().all()) for leaf in found if leaf.is_floating_point())


def _agree(expected: Sequence[Tensor], found: Sequence[Tensor], relative: float) -> bool:
    return not any(_difference(want, have, relative) for want, have in zip(expected, found, strict=True))


def _difference(want: Tensor, have: Tensor, relative: float) -> bool:
    if want.shape != have.shape or not (want.is_floating_point() or want.is_complex()):
        return want.shape != have.shape or bool((want != have).any())
    if not want.numel() or not bool(want.isfinite().all()):
        return False
    allowed = relative * float(want.abs().max()) + _ABSOLUTE
    return not float((want - have).abs().max()) <= allowed
