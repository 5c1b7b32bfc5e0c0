"""True sizes of any module: parameters and multiply-adds."""

__all__ = ["Count", "count"]

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ellzero.graph.record import Example, Run, on_shadow


@dataclass(frozen=True)
class Count:
    """What a module costs.

    Attributes:
        params: stored trainable and frozen numbers, tied ones once.
        macs: multiply-adds of linear algebra in one forward pass on the example as given; give a batch of one for the
            cost of one sample.
    """

    params: int
    macs: int


def count(model: nn.Module, example: Example) -> Count:
    """Count the parameters and the multiply-adds of a module.

    Args:
        model: any module; it is neither run nor changed, a copy without numbers is.
        example: a tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Returns:
        The counts, as integers.

    Source:
        Multiply-adds are half of what `torch.utils.flop_counter` reports.

    Example:
        >>> import torch
        >>> count(nn.Linear(3, 4), torch.zeros(1, 3))
        Count(params=16, macs=12)
    """
    counter = FlopCounterMode(display=False)

    def counted(copy: nn.Module, run: Run) -> None:
        copy.requires_grad_(False)

        def network(*args: Any, **kwargs: Any) -> Any:
            with counter:
                return copy(*args, **kwargs)

        run(network)

    on_shadow(model, example, counted)
    return Count(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2)
