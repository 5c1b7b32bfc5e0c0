"""Run a network on its example without its numbers: a shadow, which has shapes only."""

__all__ = [
    "NEEDS_DATA",
    "Run",
    "Shadow",
    "eagerly",
    "has_numbers",
    "muted",
    "on_shadow",
    "without_fused_layers",
]

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    UnsupportedFakeTensorException,
)
from torch.utils._pytree import tree_leaves, tree_map

from ellzero.errors import TraceError
from ellzero.graph.recording.copies import copied, not_copied
from ellzero.graph.recording.example import Example, forward
from ellzero.graph.recording.fake import ShapeMode, fake

Run: TypeAlias = Callable[[Callable[..., Any]], Any]
"""Calls a network with the example inputs."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Shadow:
    """A copy of a network in evaluation mode, and how it, or what is made of it, runs on the example.

    Attributes:
        model: the copy; its tensors have shapes only, unless `has_data`.
        run: calls such a network with the example inputs.
        has_data: whether there are numbers, because the control flow needs them.
    """

    model: nn.Module
    run: Run
    has_data: bool = False


NEEDS_DATA = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException)
"""What a fake tensor raises when the network looks at its numbers."""


def _shadow(model: nn.Module, mode: ShapeMode) -> nn.Module:
    """Copy a network without its numbers: same modules, same ties, parameters and buffers of shape only."""
    memo: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        memo[id(tensor)] = fake(tensor, mode)
    for tensor in [value for module in model.modules() for value in vars(module).values()]:
        if isinstance(tensor, Tensor) and tensor.is_meta:  # neither parameter nor buffer
            memo[id(tensor)] = fake(tensor, mode)
    try:
        return copied(model, memo).eval()
    except Exception as error:
        raise not_copied(model, error) from error


def _shown(example: Example, mode: ShapeMode, is_real: bool) -> Example:
    """The example without its numbers; on the meta device it stays there, where a network with numbers refuses it."""

    def given(leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf
        is_elsewhere = is_real and leaf.is_meta and not isinstance(leaf, FakeTensor)
        return mode.from_tensor(leaf) if is_elsewhere else fake(leaf, mode)

    return tree_map(given, example)


def has_numbers(model: nn.Module) -> bool:
    """Whether there is data in all tensors, or they are on the meta device or fake already."""
    return not any(
        tensor.is_meta or isinstance(tensor, FakeTensor) for tensor in [*model.parameters(), *model.buffers()]
    )


def on_shadow(model: nn.Module, example: Example, action: Callable[[Shadow], Result]) -> Result:
    """Do something with a copy of a network that has no numbers, or, if its control flow needs them, has.

    Args:
        model: any module; it is not touched.
        example: its inputs.
        action: called with the copy; it may return it.

    Returns:
        What the action returns.

    Raises:
        TraceError: if the network cannot be copied, or its control flow needs numbers that it does not have.
    """
    mode = ShapeMode()
    is_real = has_numbers(model)
    shown, blank = _shown(example, mode, is_real), _shadow(model, mode)

    def run_without_data(network: Callable[..., Any]) -> Any:
        with eagerly(), _stateless(blank), without_fused_layers(), muted(), torch.no_grad(), mode:
            return forward(network, shown)

    def run_with_data(network: Callable[..., Any]) -> Any:
        with eagerly(), without_fused_layers(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            return forward(network, example)

    shadow = Shadow(blank, run_without_data)
    try:
        return action(shadow)
    except (*NEEDS_DATA, TraceError) as error:  # some operations refuse fake tensors that they accept with data
        is_meta = any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves(example))
        if isinstance(error, TraceError) and (is_meta or not is_real):
            raise
        if not is_real:
            raise TraceError(
                f"the forward pass looks at numbers ({error}), which a network on the meta device does not have; "
                "build it on the CPU"
            ) from error
        return action(Shadow(copied(model, {}).eval(), run_with_data, has_data=True))


@contextmanager
def _stateless(model: nn.Module) -> Iterator[None]:
    """Afterwards modules hold what they held: states and caches of one run, without numbers, are no part of a copy."""
    before = [(module, dict(vars(module)), dict(module._buffers)) for module in model.modules()]
    try:
        yield
    finally:
        for module, held, buffers in before:
            vars(module).clear()
            vars(module).update(held)
            module._buffers.clear()
            module._buffers.update(buffers)


@contextmanager
def eagerly() -> Iterator[None]:
    """Within it operations run one by one where a network, or a part of it, was compiled, and can be seen.

    Inference mode, in which there are other operations, does not reach into it.
    """
    is_compiled = "torch._dynamo" in sys.modules  # which is slow to import, and which to compile imports
    has_gradients = torch.is_grad_enabled()
    with (
        torch.compiler.set_stance("force_eager") if is_compiled else nullcontext(),
        torch.inference_mode(False),
        torch.set_grad_enabled(has_gradients),
    ):
        yield


@contextmanager
def without_fused_layers() -> Iterator[None]:
    """In evaluation mode a Transformer or recurrent layer may be one operation, which no rule looks into."""
    before = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before[0])
        torch._C._set_mkldnn_enabled(before[1])


@contextmanager
def muted(name: str = "torch._subclasses.fake_tensor") -> Iterator[None]:
    """Within it a logger says nothing but what is critical.

    Args:
        name: of the logger; that of fake tensors tells of every operation that fails, which an exception says as well.
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
