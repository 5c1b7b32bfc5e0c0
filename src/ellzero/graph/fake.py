"""Tensors that have a shape and no numbers, and the mode in which operations on them run."""

__all__ = ["ShapeMode", "blank", "fake"]

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_Metadata = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]


class _First:
    """Stands for the first operand, which an operation changed and returned."""


class ShapeMode(FakeTensorMode):
    """Fake tensors, whose shapes are looked up where the same operation had the same operands before.

    Networks repeat their blocks, and are run several times while they are traced. Operations are looked up only while
    no gradients are recorded, and of those that change an operand only such as return it, as it was but for its
    numbers. A view then has a storage of its own, of which nothing but shapes and strides is ever asked.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self._known: dict[tuple[Any, ...], tuple[type, list[_Metadata]]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch guards every single call against being compiled; nothing here is."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = MappingProxyType({})
    ) -> Any:
        """Look up the results of an operation, or let it run."""
        if func is torch.ops.prim.device.default and isinstance(args[0], FakeTensor) and not self.in_kernel_invocation:
            return args[0].fake_device
        key = self._key(func, args, kwargs)
        if key is None:
            return self.dispatch(func, types, args, kwargs)
        known = self._known.get(key)
        if known is None:
            result = self.dispatch(func, types, args, kwargs)
            self._remember(key, args, result)
            return result
        kind, parts = known
        if kind is _First:
            return args[0]
        results = [_of_shape(self, *metadata) for metadata in parts]
        return kind(results) if kind is not FakeTensor else results[0]

    def _key(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """All that the shapes of the results depend on; none where more than shapes may matter."""
        schema = getattr(func, "_schema", None)
        if schema is None or torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            return None
        found: list[Any] = [func, torch.get_default_dtype()]
        if not (self._describe(found, args) and (not kwargs or self._describe(found, kwargs.items()))):
            return None
        return tuple(found)

    def _describe(self, found: list[Any], parts: Iterable[Any]) -> bool:
        for part in parts:
            if isinstance(part, Tensor):
                metadata = self._metadata(part)
                if metadata is None:
                    return False
                found.append(metadata)
            elif isinstance(part, (list, tuple)):
                found.append(len(part))
                if not self._describe(found, part):
                    return False
            elif part.__hash__ is None:
                return False
            else:
                found.append((type(part), part))  # 1, 1.0 and True are the same key, but not the same argument
        return True

    def _metadata(self, tensor: Tensor) -> _Metadata | None:
        """What a plain fake tensor is; nothing of one that knows its numbers or begins within a storage."""
        if not isinstance(tensor, FakeTensor) or tensor.fake_mode is not self or tensor.constant is not None:
            return None
        if tensor.layout is not torch.strided or tensor.dtype.is_complex or tensor.storage_offset():
            return None
        return tensor.shape, tensor.stride(), tensor.dtype, tensor.fake_device

    def _remember(self, key: tuple[Any, ...], args: Sequence[Any], result: Any) -> None:
        if key[0]._schema.is_mutable:
            if args and result is args[0] and key[2] == self._metadata(result):
                self._known[key] = _First, []
            return
        is_single = isinstance(result, FakeTensor)
        results = [result] if is_single else result if type(result) in (list, tuple) else []
        parts = [self._metadata(one) if isinstance(one, Tensor) else None for one in results]
        known = [part for part in parts if part is not None]
        if known and len(known) == len(parts):
            self._known[key] = FakeTensor if is_single else type(result), known


def _of_shape(
    mode: FakeTensorMode, shape: Sequence[int], stride: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> FakeTensor:
    return FakeTensor(mode, torch.empty_strided(shape, stride, dtype=dtype, device="meta"), device)


def fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    """A tensor of shape only; one on the meta device becomes one on the CPU, where forward passes make their own.

    Args:
        tensor: any tensor, also a fake one; what is made of a parameter is one.
        mode: the mode in which it is used.
    """
    is_blank = tensor.is_meta or isinstance(tensor, FakeTensor)
    is_plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout is torch.strided and not tensor.is_quantized
    if not is_blank and not is_plain:
        made = mode.from_tensor(tensor.detach())
        return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return _standing_for(tensor, empty, mode, torch.device("cpu") if tensor.is_meta else tensor.device)


def blank(tensor: FakeTensor, shape: Sequence[int]) -> FakeTensor:
    """A contiguous fake tensor of another shape; otherwise the same, also a parameter if that is one."""
    empty = torch.empty(shape, dtype=tensor.dtype, device="meta")
    return _standing_for(tensor, empty, tensor.fake_mode, tensor.fake_device)


def _standing_for(tensor: Tensor, empty: Tensor, mode: FakeTensorMode, device: torch.device) -> FakeTensor:
    made = FakeTensor(mode, empty.requires_grad_(tensor.requires_grad), device)
    if isinstance(tensor, nn.Parameter):
        made._is_param = True  # as `nn.Parameter` does, without running an operation
    return made
