"""Hold a cut network against the gated one: same outputs, or an error with the largest difference."""

__all__ = ["compare", "compare_on_noise", "evaluating", "like", "outputs_of"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ellzero.errors import NonFiniteError, SurgeryError
from ellzero.graph import Example, eagerly, forward, place_of, tensors_in
from ellzero.graph.recording.example import is_floating
from ellzero.surgery.precision import precisions, rounding

_MIXED = 2.0**-6
"""Of what rounding allows, the part that is allowed in a coarser precision in which only parts are computed."""


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Within it the networks are in evaluation mode; afterwards every module has its own flag and buffers back."""
    flags = [(module, module.training) for model in models for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module, _ in flags
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, training in flags:
            module.training = training
        with torch.no_grad():
            for module, name, buffer, before in buffers:  # some count their calls, or keep what they have seen
                module._buffers[name] = buffer
                if not buffer.is_meta and not _same(buffer, before):
                    buffer.copy_(before)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def like(example: Example, model: nn.Module) -> Any:
    """The example on the device of the network; floating numbers in a dtype that the network has, its first if not."""
    first = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    if first is None:
        return example
    known = {tensor.dtype for tensor in [*model.parameters(), *model.buffers()]}

    def move(leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf
        is_foreign = leaf.is_floating_point() and leaf.dtype not in known
        return leaf.to(first.device, first.dtype if is_foreign else leaf.dtype)

    return tree_map(move, example)


@torch.no_grad()
def compare(one: nn.Module, other: nn.Module, example: Example) -> float:
    """Run two networks in evaluation mode and refuse them if their outputs differ.

    Args:
        one: the reference.
        other: the network in question.
        example: what both are called with.

    Returns:
        The largest absolute difference.

    Raises:
        SurgeryError: if a difference is more than rounding (4096 units in the last place of the largest output, 32 in
            half precision), a network does not run, or the reference returns something else every time.
        NonFiniteError: if the reference returns NaN.
    """
    expected, found = _outputs(one, other, example)
    if any(want.is_meta for want in expected):
        raise SurgeryError(
            "the network is on the meta device and so has no numbers to compare; load its weights before it is cut"
        )
    if not any(want.numel() for want in expected):
        raise SurgeryError(
            "there is nothing to compare: the network returns no number on the example; give another one"
        )
    largest = 0.0
    for want, have in zip(expected, found, strict=True):
        if want.shape != have.shape:
            raise SurgeryError(f"the cut network returns shape {tuple(have.shape)} instead of {tuple(want.shape)}")
        if not want.numel():
            continue
        if not (want.is_floating_point() or want.is_complex()):
            difference, allowed = float((want != have).any()), 0.0
        else:
            difference, allowed = _distance(want, have), _allowed(want)
            if difference > allowed:
                allowed = max(allowed, _allowed_within(one, example, want))
        if not difference <= allowed:
            _check_repeatable(one, example, expected)
            raise SurgeryError(
                f"the cut network differs from the gated one by {difference:.3g}, more than the {allowed:.3g} that "
                "rounding explains; nothing was changed. Some layer does not treat its channels independently: keep it "
                "whole with Gated(..., keep=[...])"
            )
        largest = max(largest, difference)
    return largest


def _outputs(one: nn.Module, other: nn.Module, example: Example) -> tuple[list[Tensor], list[Tensor]]:
    refused = "the gated network does not run on the example: {}; give one that it accepts: prune(..., example=...)"
    expected = _tensors(one, example, refused)
    return expected, _tensors(other, example, "the cut network does not run: {}; keep the part: Gated(..., keep=[...])")


def _tensors(network: nn.Module, example: Example, complaint: str) -> list[Tensor]:
    try:
        return outputs_of(network, example)
    except Exception as error:  # whatever the user's forward raises
        raise SurgeryError(complaint.format(f"{error} ({place_of(network, error)})")) from error


@torch.no_grad()
def outputs_of(network: nn.Module, example: Example) -> list[Tensor]:
    """All tensors that a network returns in evaluation mode; the random numbers that it draws are always the same.

    Args:
        network: its training flags, and the generators of its devices, are put back.
        example: what it is called with.

    Returns:
        The tensors, in the order in which they stand in what it returns.
    """
    gpus = sorted({parameter.device.index for parameter in network.parameters() if parameter.is_cuda})
    with eagerly(), evaluating(network), torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(0)
        for gpu in gpus:  # torch.manual_seed would also set those that are not put back
            torch.cuda.default_generators[gpu].manual_seed(0)
        return tensors_in(forward(network, example))


def _check_repeatable(network: nn.Module, example: Example, before: list[Tensor]) -> None:
    """Tell random numbers from a wrong cut: with another seed the same network must return the same."""
    with eagerly(), evaluating(network), torch.random.fork_rng(devices=[]):
        again = tensors_in(forward(network, example))
    if not all(torch.equal(one, other) for one, other in zip(before, again, strict=True)):
        raise SurgeryError(
            "the network draws random numbers in evaluation mode, or counts its calls in an attribute, so that no cut "
            "of it can be compared; let dropout and noise depend on self.training, and keep counters in buffers"
        )


def compare_on_noise(one: nn.Module, other: nn.Module, example: Example) -> float:
    """Compare two networks on random numbers of the example's shapes: a blank example may hide a difference.

    Args:
        one: the reference.
        other: the network in question.
        example: its floating tensors are replaced; if the reference refuses them, nothing is compared.

    Returns:
        The largest absolute difference.

    Raises:
        SurgeryError: if a difference is more than rounding.
    """
    generator = torch.Generator().manual_seed(0)

    def vary(leaf: object) -> object:
        if not is_floating(leaf):
            return leaf
        return torch.randn(leaf.shape, generator=generator).to(leaf.device, leaf.dtype)

    noisy = tree_map(vary, example)
    try:
        with eagerly(), evaluating(one), torch.no_grad():
            forward(one, noisy)
    except Exception:  # whatever the user's forward raises on such data
        return 0.0
    try:
        return compare(one, other, noisy)
    except NonFiniteError:
        return 0.0


def _distance(want: Tensor, have: Tensor) -> float:
    """The largest difference; equal infinities (masked logits) do not differ."""
    return float(torch.where(want == have, 0.0, (want - have).abs()).max())


def _allowed_within(network: nn.Module, example: Example, want: Tensor) -> float:
    """What the coarsest precision explains in which a part of the network is computed (norms in float32, say)."""
    with eagerly(), evaluating(network):
        found = precisions(lambda: forward(network, example))
    coarsest = max(torch.finfo(dtype).eps for dtype in found)
    return _allowed(want) * coarsest / torch.finfo(want.dtype).eps * _MIXED


def _allowed(want: Tensor) -> float:
    if bool(want.isnan().any()):
        raise NonFiniteError("the gated network returns NaN on the example; look for NaN in its weights or the example")
    finite = want[want.isfinite()].abs()
    return rounding(want.dtype) * (float(finite.max()) if finite.numel() else 0.0)
