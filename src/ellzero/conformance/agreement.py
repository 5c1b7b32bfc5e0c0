"""Whether two networks return the same, and what is raised where they do not."""

__all__ = ["Mismatch", "agree", "said"]

import torch
from torch import Tensor

from ellzero.errors import EllzeroError
from ellzero.surgery import rounding

_EXACT = 1e-10
"""Allowed difference in float64, relative to the largest output."""


class Mismatch(Exception):  # noqa: N818 - becomes a failed check
    """Something else was found than expected."""


def agree(expected: list[Tensor], found: list[Tensor]) -> float:
    """The largest difference between outputs, relative to the largest number where that is above one.

    Raises:
        Mismatch: if it is more than rounding (1e-10 in float64, otherwise 4096 units in the last place, 32 in half
            precision), or there are other tensors, shapes or dtypes.
    """
    if len(expected) != len(found):
        raise Mismatch(f"{len(found)} tensors are returned instead of {len(expected)}")
    largest = 0.0
    for want, have in zip(expected, found, strict=True):
        if (want.shape, want.dtype) != (have.shape, have.dtype):
            raise Mismatch(f"{_kind(have)} is returned instead of {_kind(want)}")
        if not (want.is_floating_point() or want.is_complex()):
            if not torch.equal(want, have):
                raise Mismatch(f"{int((want != have).sum())} of {want.numel()} outputs of {want.dtype} differ")
        elif want.numel():
            largest = max(largest, _relative(want, have))
    return largest


def _relative(want: Tensor, have: Tensor) -> float:
    finite = want[want.isfinite()].abs()
    scale = max(1.0, float(finite.max()) if finite.numel() else 0.0)
    is_same = (want == have) | (want.isnan() & have.isnan())
    difference = float(torch.where(is_same, 0.0, (want - have).abs()).max()) / scale
    allowed = _EXACT if torch.finfo(want.dtype).bits == 64 else rounding(want.dtype)
    if not difference <= allowed:
        raise Mismatch(f"the outputs differ by {difference:.2g}, more than the {allowed:.2g} that rounding explains")
    return difference


def _kind(tensor: Tensor) -> str:
    return f"a tensor of shape {tuple(tensor.shape)} and {tensor.dtype}"


def said(error: Exception) -> str:
    """What an error says; those of PyTorch and of the user's network with their kind."""
    is_ours = isinstance(error, (EllzeroError, Mismatch))
    return str(error) if is_ours else f"{type(error).__name__}: {error}"
