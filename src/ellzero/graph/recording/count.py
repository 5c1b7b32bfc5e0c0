"""True sizes of any module: parameters and multiply-adds."""

__all__ = ["Count", "count", "multiply_adds_of"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from ellzero.graph.recording.example import Example
from ellzero.graph.recording.record import Call, Value
from ellzero.graph.recording.shadow import Shadow, on_shadow


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
    counter = _Counter()

    def counted(shadow: Shadow) -> None:
        def network(*args: Any, **kwargs: Any) -> Any:
            with counter:
                return shadow.model(*args, **kwargs)

        shadow.run(network)

    on_shadow(model, example, counted)
    return Count(sum(parameter.numel() for parameter in model.parameters()), counter.flops // 2)


class _Counter(TorchDispatchMode):
    """Adds up what operations cost; unlike PyTorch's counter it sets no hooks, which `autograd.grad` would meet."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, or those that it is made of."""
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if not _is_counted(packet) and func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        results = func(*args, **kwargs)
        self.flops += _flops(packet, args, kwargs, results)
        return results


def multiply_adds_of(call: Call) -> int:
    """The multiply-adds of one recorded operation, as `count` counts them; none if it does no linear algebra."""
    return _flops(call.op.overloadpacket, call.args, call.kwargs, call.results) // 2


def _is_counted(packet: Any) -> bool:
    return packet in _UNCOUNTED or packet in flop_registry


def _flops(packet: Any, args: Any, kwargs: Any, results: Any) -> int:
    """By the shapes of what goes in and comes out."""
    if not _is_counted(packet):
        return 0
    args, kwargs, results = tree_map(
        lambda leaf: torch.Size(leaf.shape) if isinstance(leaf, Value | Tensor) else leaf, (args, kwargs, results)
    )
    if packet in _UNCOUNTED:
        return _UNCOUNTED[packet](*args)
    return int(flop_registry[packet](*args, **kwargs, out_val=results))


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
