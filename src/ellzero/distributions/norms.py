"""Lq norms of a tensor, from the number of entries that are not zero to the largest magnitude."""

__all__ = ["lq_norm"]

import math

import torch
from torch import Tensor


def lq_norm(x: Tensor, q: float) -> Tensor:
    r"""Norm of all entries of a tensor; for q = 0 their number, which is not a norm but the count that others relax.

    .. math::
        \|x\|_q = \Big(\sum_i |x_i|^q\Big)^{1/q}, \qquad \|x\|_0 = \#\{i : x_i \ne 0\}, \qquad
        \|x\|_\infty = \max_i |x_i|

    Args:
        x: entries, floating point, any shape and unit. An empty tensor has norm 0.
        q: a whole number from 0 on, or infinity.

    Returns:
        The norm, a scalar of the dtype of `x`; differentiable for q >= 1 (a subgradient at kinks), constant for q = 0.

    Raises:
        TypeError: if `x` is not a floating-point tensor or `q` is not a number.
        ValueError: if `q` is negative, not a whole number, or NaN.

    Source:
        Louizos, Welling & Kingma (2018), equation 1 and figure 1, https://arxiv.org/abs/1712.01312

    Example:
        >>> x = torch.tensor([3.0, 0.0, -4.0])
        >>> [lq_norm(x, q).item() for q in (0, 1, 2, float("inf"))]
        [2.0, 7.0, 5.0, 4.0]
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a floating-point tensor, got {found}; try lq_norm(x.float(), q)")
    if isinstance(q, bool) or not isinstance(q, int | float):
        raise TypeError(f"q must be a number, got {type(q).__name__}; try q=0, q=1, q=2 or q=float('inf')")
    if not (q >= 0 and (q == math.inf or q == int(q))):
        raise ValueError(
            f"q must be a whole number from 0 on or infinity, got {q}; try q=0, q=1, q=2 or q=float('inf')"
        )
    if q == 0:
        return (x != 0).sum().to(x.dtype)
    if x.numel() == 0:
        return x.sum()
    # Powers of large or small entries leave the range of the dtype; the norm itself does not.
    largest = x.detach().abs().max()
    scale = torch.where((largest > 0) & torch.isfinite(largest), largest, torch.ones_like(largest))
    scaled: Tensor = torch.linalg.vector_norm(x / scale, float(q))
    return scale * scaled
