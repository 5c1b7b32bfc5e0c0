"""Build a model from a configuration, without numbers, and hold it against the pruned one."""

__all__ = ["Built", "compute_the_same"]

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ellzero.errors import SurgeryError
from ellzero.graph import Example
from ellzero.surgery import compare, like

Shapes = Mapping[str, tuple[int, ...]]


class Built:
    """What a class makes of a configuration.

    Attributes:
        model: without numbers, or None if the class refuses.
        why: what it said then.
    """

    def __init__(self, kind: type[nn.Module], config: Any) -> None:
        self.model: nn.Module | None = None
        self.why = ""
        try:
            with torch.device("meta"):
                self.model = kind(read_again(config)).eval()
        except Exception as error:  # whatever a class raises when numbers do not fit together
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self.why = f"{type(error).__name__}: {' '.join(lines)}"

    @property
    def shapes(self) -> Shapes:
        """Of every stored tensor."""
        return shapes_of(self.model) if self.model is not None else {}

    def score(self, small: nn.Module, wanted: Shapes) -> float:
        """How many dimensions are right, and, where that is the same, how many numbers that modules remember."""
        if self.model is None:
            return -math.inf
        found = self.shapes
        right = sum(
            one == other
            for name, shape in wanted.items()
            if name in found and len(found[name]) == len(shape)  # a number has no dimensions
            for one, other in zip(shape, found[name], strict=True)
        )
        mine, theirs = _remembered(self.model), _remembered(small)
        alike = sum(mine.get(key) == value for key, value in theirs.items())
        return right + alike / (1 + len(theirs))


def read_again(config: Any) -> Any:
    """A configuration as it will be read from its file, with the choices of code that are not written there."""
    again = type(config).from_dict(config.to_dict())
    for name, value in vars(config).items():
        if name.endswith("_implementation_internal"):
            setattr(again, name, value)
    return again


def shapes_of(model: nn.Module) -> Shapes:
    """Of every stored tensor."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def compute_the_same(config: Any, small: nn.Module, example: Example) -> None:
    """Build a model from a configuration, give it the tensors of the pruned one, and compare what both return.

    Equal shapes are not enough: a class may use a number of the configuration in what it computes, as Gemma scales its
    embeddings by the square root of their width. While this runs the model is in memory a second time.

    Args:
        config: gives the right shapes.
        small: the pruned model; networks on the meta device are not compared.
        example: what both are called with.

    Raises:
        SurgeryError: if the outputs differ by more than rounding.
    """
    tensors = [*small.parameters(), *small.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        return
    before = torch.get_default_dtype()
    floating = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    try:
        torch.set_default_dtype(floating[0])  # as from_pretrained does
        with torch.random.fork_rng(devices=[]), tensors[0].device:
            model = type(small)(read_again(config))
    finally:
        torch.set_default_dtype(before)
    model.load_state_dict(small.state_dict(), assign=True)
    try:
        compare(small, model, like(example, small))
    except SurgeryError as error:
        raise SurgeryError(
            f"a configuration fits all shapes of this {type(small).__name__}, but what is built from it computes "
            "something else: its class uses a changed number in what it computes, as Gemma the square root of its "
            "width. The network itself works as it is: save it with ellzero.save"
        ) from error


def _remembered(model: nn.Module) -> dict[tuple[str, str], float]:
    return {
        (name, key): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if type(value) in (int, float)
    }
