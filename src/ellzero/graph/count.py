"""True sizes of any module: parameters and multiply-adds."""

__all__ = ["Count", "count", "multiply_adds_of"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from ellzero.graph.record import Call, Value
from ellzero.graph.shadow import Example, Shadow, on_shadow


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
        Multiply-adds are half of what `torch.utils.flop_counter` reports, and those of the operations that it leaves
        out: attention on the CPU, products with a vector.

    Example:
        >>> import torch
        >>> count(nn.Linear(3, 4), torch.zeros(1, 3))
        Count(params=16, macs=12)
    """
    counter = FlopCounterMode(display=False, custom_mapping=dict(_UNCOUNTED))

    def counted(shadow: Shadow) -> None:
        shadow.model.requires_grad_(False)

        def network(*args: Any, **kwargs: Any) -> Any:
            with counter:
                return shadow.model(*args, **kwargs)

        shadow.run(network)

    on_shadow(model, example, counted)
    return Count(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2)


def multiply_adds_of(call: Call) -> int:
    """The multiply-adds of one recorded operation, as `count` counts them; none if it does no linear algebra."""
    packet = call.op.overloadpacket
    args, kwargs, results = tree_map(
        lambda leaf: torch.Size(leaf.shape) if isinstance(leaf, Value) else leaf, (call.args, call.kwargs, call.results)
    )
    if packet in _UNCOUNTED:
        return _UNCOUNTED[packet](*args) // 2
    return int(flop_registry[packet](*args, **kwargs, out_val=results)) // 2 if packet in flop_registry else 0


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Scores and their sums for every head of the queries, which may share the keys of another."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _product(matrix: Sequence[int], *_: Any, **__: Any) -> int:
    """A matrix or a vector times a vector."""
    return 2 * prod(matrix)


def _added_product(_added: Sequence[int], matrix: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(matrix)


_UNCOUNTED: Mapping[Any, Callable[..., int]] = MappingProxyType({
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention: _attention,
    torch.ops.aten._scaled_dot_product_efficient_attention: _attention,
    torch.ops.aten._scaled_dot_product_cudnn_attention: _attention,
    torch.ops.aten.mv: _product,
    torch.ops.aten.addmv: _added_product,
    torch.ops.aten.dot: _product,
    torch.ops.aten.vdot: _product,
})  # fmt: skip
"""Not counted by PyTorch up to 2.13, or (up to 2.9) not where queries share keys: operations by shapes of arguments."""
