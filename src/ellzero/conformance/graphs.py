"""Checks that a gated and a cut network become one graph: exported and compiled, with the same outputs."""

__all__ = ["check_compile_gated", "check_compile_small", "check_export_gated", "check_export_small"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.conformance.agreement import agree
from ellzero.conformance.quiet import quiet
from ellzero.conformance.subject import Subject
from ellzero.graph import arguments, tensors_in
from ellzero.surgery import outputs_of


def check_export_gated(subject: Subject) -> str:
    """`torch.export` of the gated network in evaluation mode."""
    return _check(subject, subject.gated(), _exported, "cannot be exported")


def check_export_small(subject: Subject) -> str:
    """`torch.export` of a cut network."""
    return _check(subject, subject.small(), _exported, "cannot be exported")


def check_compile_gated(subject: Subject) -> str:
    """`torch.compile` of the gated network into one graph, without breaks."""
    return _check(subject, subject.gated(), _compiled, "does not compile into one graph")


def check_compile_small(subject: Subject) -> str:
    """`torch.compile` of a cut network into one graph, without breaks."""
    return _check(subject, subject.small(), _compiled, "does not compile into one graph")


def _check(subject: Subject, network: nn.Module, make: Callable[[nn.Module, Any], list[Tensor]], trouble: str) -> str:
    with quiet(), torch.random.fork_rng(devices=[]):
        found = subject.or_skip(lambda one: make(one.eval(), subject.example), network, trouble)
    return f"largest difference {agree(outputs_of(network, subject.example), found):.2g}"


@torch.no_grad()
def _exported(network: nn.Module, example: Any) -> list[Tensor]:
    program = torch.export.export(network, *arguments(example))
    args, kwargs = arguments(example)
    torch.default_generator.manual_seed(0)
    return tensors_in(program.module()(*args, **kwargs))


@torch.no_grad()
def _compiled(network: nn.Module, example: Any) -> list[Tensor]:
    torch.compiler.reset()  # the graphs of earlier checks count against the limit of recompilations
    args, kwargs = arguments(example)
    torch.default_generator.manual_seed(0)
    try:
        return tensors_in(torch.compile(network, fullgraph=True, backend="eager")(*args, **kwargs))
    finally:
        torch.compiler.reset()
