"""Checks that a gated and a cut network can be trained, saved and loaded like any other."""

__all__ = ["check_gated_step", "check_round_trip", "check_small_step"]

import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ellzero.artifacts import load, save
from ellzero.conformance.agreement import Mismatch, agree
from ellzero.conformance.quiet import quiet
from ellzero.conformance.subject import Skip, Subject
from ellzero.graph import Example, arguments, forward, tensors_in
from ellzero.surgery import outputs_of

_DRAWS = 5
"""Steps of the gated network: in a single one, dropout and closed gates may hide everything."""


def check_gated_step(subject: Subject) -> str:
    """A training step of the gated network reaches weights and gates, with finite gradients."""
    twin, example, is_exact = subject.rehearsed
    gated = copy.deepcopy(twin).train()
    with torch.no_grad():
        gated.log_odds.zero_()  # where most gates are between zero and one, and so have a gradient
    trouble = "cannot be trained on the example"
    for _ in range(_DRAWS):
        subject.or_skip(lambda network: _step(network, subject.varied(example)), gated, trouble)
    gradient = gated.log_odds.grad
    if gradient is None or (is_exact and not bool(gradient.any())):
        raise Mismatch("no gradient reaches the gates")
    return f"{int((gradient != 0).sum())} of {len(gradient)} gates have a gradient"


def check_small_step(subject: Subject) -> str:
    """A training step of a cut network has finite gradients, and the network still runs afterwards."""
    small = subject.small().train()
    num: int = subject.or_skip(
        lambda network: _step(network, subject.example), small, "cannot be trained on the example"
    )
    outputs_of(small, subject.example)
    return f"{num} of {len(list(small.parameters()))} tensors have a gradient"


def check_round_trip(subject: Subject) -> str:
    """What is loaded is what was saved, to the bit."""
    small = subject.small()
    with TemporaryDirectory() as parent:
        again = (_stored_graph if isinstance(small, GraphModule) else _stored)(subject, small, Path(parent) / "small")
    before, after = small.state_dict(), again.state_dict()
    different = [name for name in before.keys() | after.keys() if not _same(before.get(name), after.get(name))]
    if different:
        raise Mismatch(f"{len(different)} of {len(before)} stored tensors differ, the first is {min(different)!r}")
    difference = agree(outputs_of(small, subject.example), outputs_of(again, subject.example))
    return f"{len(before)} tensors, largest difference of outputs {difference:.2g}"


def _stored(subject: Subject, small: nn.Module, folder: Path) -> nn.Module:
    save(small, folder)
    return load(folder, subject.dense).eval()


def _stored_graph(subject: Subject, small: nn.Module, path: Path) -> nn.Module:
    """An artifact holds no code, and so no graph; PyTorch's own file does."""
    with quiet():
        torch.export.save(torch.export.export(small, *arguments(subject.example)), path.with_suffix(".pt2"))
        loaded = torch.export.load(path.with_suffix(".pt2")).module(check_guards=False)
    return GraphModule(loaded, loaded.graph).eval()  # what PyTorch loads cannot be told to evaluate


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one, other) or bool(((one == other) | (one.isnan() & other.isnan())).all())


def _step(network: nn.Module, example: Example) -> int:
    """One step of gradient descent; how many tensors had a gradient."""
    with torch.enable_grad():
        outputs = [one for one in tensors_in(forward(network, example)) if one.grad_fn is not None]
        if not outputs:
            raise Skip("no output can be differentiated")
        loss = sum((one.abs().square().mean() for one in outputs if one.numel()), start=torch.zeros(()))
        loss.backward()
    learning = {name: tensor.grad for name, tensor in network.named_parameters() if tensor.grad is not None}
    for name, gradient in learning.items():
        if not bool(gradient.isfinite().all()):
            raise Mismatch(f"the gradient of {name!r} is NaN or infinite")
    torch.optim.SGD(network.parameters(), lr=1e-6).step()
    return len(learning)
