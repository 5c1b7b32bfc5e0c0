"""Tensors that have a shape and no numbers, and the mode in which operations on them run."""

__all__ = ["ShapeMode", "batch_norm", "blank", "fake"]

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_Metadata = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]


class _First:
    """Stands for the first operand, which an operation changed and returned."""


class _Unfit:
    """Stands for results that are more than shapes: that begin within a storage, say."""


_Known = dict[tuple[Any, ...], tuple[type, list[_Metadata]]]

_KNOWN: _Known = {}
"""What PyTorch's own operations returned, in this process; others may be defined anew."""

_MANY = 2**16
"""So many results are known at most: some tens of megabytes."""


_aten = torch.ops.aten

_OF_SOME = frozenset(
    [_aten.max.default, _aten.min.default, _aten.max.dim, _aten.min.dim, _aten.median.dim, _aten.mode.default]
)
"""What there is not of no numbers at all; without numbers PyTorch does not notice."""


class ShapeMode(FakeTensorMode):
    """Fake tensors, whose shapes are looked up where the same operation had the same operands before.

    Networks repeat their blocks, and are run several times while they are traced. Operations are looked up only while
    no gradients are recorded, and of those that change an operand only such as return it, as it was but for its
    numbers. A view then has a storage of its own, of which nothing but shapes and strides is ever asked.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self._own: _Known = {}

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
        if func in _OF_SOME:
            _refuse_none(func, args)
        key = self._key(func, args, kwargs)
        table = self._table(func)
        known = table.get(key) or self._batch_norm(func, args) if key is not None else (_Unfit, [])
        self.cache_enabled = known is not None  # PyTorch need not keep what is kept here: that takes half the time
        if known is None or known[0] is _Unfit:
            result = self.dispatch(func, types, args, kwargs)
            if known is None and key is not None:
                table[key] = self._summary(key, args, result)
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

    def _batch_norm(self, func: Any, args: Sequence[Any]) -> tuple[type, list[_Metadata]] | None:
        """PyTorch takes a batch norm apart into fifteen operations, anew for every width."""
        if func is not torch.ops.aten.native_batch_norm.default or args[0].fake_device.type != "cpu":
            return None
        shapes, source = batch_norm(args), args[0]
        if shapes is None or not source.is_contiguous():
            return None
        parts = [(shape, _strides(shape), source.dtype, source.fake_device) for shape in shapes]
        return tuple, parts

    def _table(self, func: Any) -> _Known:
        if func.namespace != "aten":
            return self._own
        if len(_KNOWN) >= _MANY:
            _KNOWN.clear()
        return _KNOWN

    def _summary(self, key: tuple[Any, ...], args: Sequence[Any], result: Any) -> tuple[type, list[_Metadata]]:
        """What makes the result once more."""
        if key[0]._schema.is_mutable:
            return (_First if args and result is args[0] and key[2] == self._metadata(result) else _Unfit), []
        is_single = isinstance(result, FakeTensor)
        results = [result] if is_single else result if isinstance(result, (list, tuple)) else []
        parts = [self._metadata(one) if isinstance(one, Tensor) else None for one in results]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return _Unfit, []
        return (FakeTensor if is_single else list if isinstance(result, list) else tuple), known  # some have names


def _refuse_none(func: Any, args: Sequence[Any]) -> None:
    source, *dims = args
    if not (source.shape[dims[0]] if dims and source.dim() else source.numel()):
        raise RuntimeError(f"{func.overloadpacket} of no numbers at all")


def batch_norm(args: Sequence[Any]) -> list[torch.Size] | None:
    """Shapes of what `native_batch_norm` returns on the CPU, or none where its operands do not fit together.

    Args:
        args: those of the operation.
    """
    source, *stored, is_training, _, _ = args
    width = source.shape[1:2]
    is_wrong = source.dim() < 2 or any(one is not None and one.shape != width for one in stored)
    if is_wrong or (not is_training and any(one is None for one in stored[2:])):
        return None
    return [source.shape, *[width if is_training else torch.Size([0])] * 2]


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Of a contiguous tensor."""
    found, stride = [], 1
    for size in reversed(shape):
        found.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(found))


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
