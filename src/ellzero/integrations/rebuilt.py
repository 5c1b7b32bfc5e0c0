"""Build a model from a configuration, without numbers, and hold it against the pruned one."""

__all__ = ["Built", "compute_the_same"]

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

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
                self.model = kind(type(config).from_dict(config.to_dict())).eval()
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
            if len(found.get(name, ())) == len(shape)
            for one, other in zip(shape, found[name], strict=True)
        )
        mine, theirs = _remembered(self.model), _remembered(small)
        alike = sum(mine.get(key) == value for key, value in theirs.items())
        return right + alike / (1 + len(theirs))

    def filled(self, small: nn.Module) -> nn.Module:
        """The model with the tensors of the pruned one, not copied.

        Raises:
            SurgeryError: if a buffer that is not stored does not fit.
        """
        assert self.model is not None
        self.model.load_state_dict(small.state_dict(), assign=True)
        for name, buffer in small.named_buffers():
            owner = self.model.get_submodule(name.rpartition(".")[0])
            held = owner._buffers.get(name.rpartition(".")[2])
            if held is not None and held.is_meta:
                if held.shape != buffer.shape:
                    raise SurgeryError(
                        f"a configuration gives {name!r} the shape {tuple(held.shape)}, but the pruned network has "
                        f"{tuple(buffer.shape)}: it describes another network; save it with ellzero.save"
                    )
                owner._buffers[name.rpartition(".")[2]] = buffer
        return self.model


def shapes_of(model: nn.Module) -> Shapes:
    """Of every stored tensor."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def compute_the_same(built: Built, small: nn.Module, example: Example) -> None:
    """Compare the outputs of a model that was built with those of the pruned one.

    Args:
        built: of the right shapes.
        small: the pruned model.
        example: what both are called with.

    Raises:
        SurgeryError: if the outputs differ by more than rounding.
    """
    if not any(isinstance(one, Tensor) and one.is_meta for one in [*small.parameters(), *small.buffers()]):
        compare(small, built.filled(small), like(example, small))


def _remembered(model: nn.Module) -> dict[tuple[str, str], float]:
    return {
        (name, key): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if type(value) in (int, float)
    }
