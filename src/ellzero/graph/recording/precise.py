"""Let a network in double precision compute so throughout, also where it insists on single or half precision."""

__all__ = ["Precisely"]

from types import MappingProxyType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WIDE = MappingProxyType(
    {
        torch.float32: torch.float64,
        torch.float16: torch.float64,
        torch.bfloat16: torch.float64,
        torch.complex64: torch.complex128,
    }
)


class Precisely(TorchDispatchMode):
    """Within it what is asked for in single or half precision is made in double precision.

    Example:
        >>> third = torch.ones(1, dtype=torch.float64) / 3
        >>> with Precisely():
        ...     same = third.float()
        >>> third.float().double() == third, same == third
        (tensor([False]), tensor([True]))
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        kwargs["dtype"] = _WIDE.get(kwargs.get("dtype"), kwargs.get("dtype"))
        return func(*args, **{name: value for name, value in kwargs.items() if name != "dtype" or value is not None})
