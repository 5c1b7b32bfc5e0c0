"""Cut a copy of the network that has random numbers in it, and hold it against the same copy with masked weights."""

__all__ = ["rehearse"]

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map

from ellzero.graph.channels import Channels, Norm
from ellzero.graph.confirm import weed_out
from ellzero.graph.cut import cut, kept_indices
from ellzero.graph.exported import exported_graph
from ellzero.graph.layout import Layout, settle
from ellzero.graph.norms import gated_norms, normalising_open
from ellzero.graph.outputs import tensors_in
from ellzero.graph.shadow import Example, forward, has_numbers

_LARGEST = 2**23
"""Networks of more parameters are not rehearsed: copies in float64 would outweigh the network several times."""

_RELATIVE, _ABSOLUTE = 1e-5, 1e-9
"""Far above the rounding of float64, and of float32 within a network that insists on it."""


def rehearse(model: nn.Module, example: Example, channels: Channels, *, times: int = 1) -> Channels:
    """Keep every group whose removal changes what the network computes, even where all its shapes agree.

    This finds what labels cannot see: a width that the forward pass uses as a number (`x / x.shape[1]`), say. A random
    part of all channels, about half, is cut at once, then the rest; only if the outputs differ are groups tried one by
    one.
    Networks without data (meta tensors), or of more than 8 million parameters, are left to the verification in `prune`.

    Args:
        model: any module; it is not changed.
        example: its inputs; floating ones are replaced by random ones.
        channels: what was traced.
        times: how often, each time with other numbers.

    Returns:
        The channels; groups that cannot be cut carry the reason.
    """
    parameters = list(model.parameters())
    small = sum(parameter.numel() for parameter in parameters) <= _LARGEST
    if not channels.gated or not small or not has_numbers(model):
        return channels
    for seed in range(times):
        rehearsal = _Rehearsal.of(model, example, channels, seed) if channels.gated else None
        if rehearsal is None:
            break
        failed = weed_out([group.name for group in channels.gated], rehearsal.failure)
        reasons = {name: f"cutting it changes what is computed: {why}" for name, why in failed.items()}
        channels = channels.keeping(reasons)
    return channels


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

    @classmethod
    def of(cls, model: nn.Module, example: Example, channels: Channels, seed: int) -> "_Rehearsal | None":
        """In float64 with random numbers, or else as the network is; none if it does not run on real data at all."""
        for prepare in (_random_copy, _plain_copy):
            try:
                rehearsal = cls(*prepare(model, example, seed), channels)
                if all(bool(leaf.isfinite().all()) for leaf in rehearsal.masked({}) if leaf.is_floating_point()):
                    return rehearsal
            except Exception:  # whatever the user's forward raises on such data
                continue
        return None

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
        expected = self.masked(kept_indices(self.layout, is_open))
        try:
            found = _run(cut(self.subject, self.layout, is_open), self.example)
        except Exception as error:  # whatever the user's forward raises
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        different = [_difference(want, have) for want, have in zip(expected, found, strict=True)]
        return "the outputs differ; perhaps the forward pass uses its width as a number" if any(different) else ""

    def masked(self, kept: Mapping[tuple[str, int], Tensor]) -> list[Tensor]:
        """The outputs when everything that is not kept is multiplied by zero where it is read."""
        tensors: dict[str, Tensor] = {}
        for name, dim in self.readers if kept else ():
            weight = tensors.get(name, self.tensors[name].detach())
            mask = weight.new_zeros(weight.shape[dim])
            mask[kept[name, dim].to(mask.device)] = 1
            tensors[name] = weight * mask.view(-1, *[1] * (weight.dim() - dim - 1))

        def call(*args: Any, **kwargs: Any) -> Any:
            return functional_call(twin, tensors, args, kwargs)

        twin = copy.deepcopy(self.model)  # a forward pass may change more than tensors
        with normalising_open(twin, [(norm, self._mask(norm, kept)) for norm in self.norms if kept]):
            return _run(call, self.example)

    def _mask(self, norm: Norm, kept: Mapping[tuple[str, int], Tensor]) -> Tensor:
        stored = self.model.get_parameter(norm.tensor)
        mask = torch.zeros(stored.shape[norm.dim], dtype=torch.bool, device=stored.device)
        mask[kept[norm.tensor, norm.dim].to(mask.device)] = True
        return mask


def _run(network: Any, example: Example) -> list[Tensor]:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        output = forward(network, example)
    return [tensor.detach() for tensor in tensors_in(output)]


def _difference(want: Tensor, have: Tensor) -> bool:
    if want.shape != have.shape or not (want.is_floating_point() or want.is_complex()):
        return want.shape != have.shape or bool((want != have).any())
    if not want.numel() or not bool(want.isfinite().all()):
        return False
    allowed = _RELATIVE * float(want.abs().max()) + _ABSOLUTE
    return not float((want - have).abs().max()) <= allowed


def _plain_copy(model: nn.Module, example: Example, seed: int) -> tuple[nn.Module, Example]:
    return copy.deepcopy(model).eval(), example


def _random_copy(model: nn.Module, example: Example, seed: int) -> tuple[nn.Module, Example]:
    """In float64, so that weights that start at zero, or a blank example, hide nothing."""
    twin = copy.deepcopy(model).double().eval()
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)

    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.is_floating_point():
                scale = 0.3 * max(1, parameter[:1].numel()) ** -0.5 if parameter.dim() > 1 else 1.0
                parameter.add_(noise(parameter), alpha=scale)
        for module in twin.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
                module.running_mean.add_(noise(module.running_mean), alpha=0.3)
                module.running_var.mul_(noise(module.running_mean).abs() + 0.5)  # type: ignore[union-attr]

    def vary(leaf: object) -> object:
        is_real = isinstance(leaf, Tensor) and leaf.is_floating_point()
        return noise(leaf) if is_real else leaf  # type: ignore[arg-type]

    return twin, tree_map(vary, example)
