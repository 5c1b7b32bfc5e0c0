"""In which precision a network computes, whatever the precision of its weights."""

__all__ = ["precisions", "rounding"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_UNITS, _HALF_UNITS = 2**12, 2**5
"""In half precision 4096 units would be more than the outputs themselves."""


def rounding(dtype: torch.dtype) -> float:
    """The difference, relative to the largest output, that another order of summation may make: 4096 units or 32.

    Args:
        dtype: of the outputs, floating or complex.
    """
    eps = torch.finfo(dtype).eps
    return eps * (_UNITS if eps < 1e-6 else _HALF_UNITS)


def precisions(run: Callable[[], Any]) -> set[torch.dtype]:
    """The dtypes of all floating tensors that are computed while something runs.

    Args:
        run: calls a network.
    """
    with _Dtypes() as dtypes:
        run()
    return dtypes.found


class _Dtypes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = tree_leaves(result)
        dtypes = {leaf.dtype for leaf in leaves if isinstance(leaf, Tensor)}
        self.found.update(one.to_real() for one in dtypes if one.is_floating_point or one.is_complex)
        return result
