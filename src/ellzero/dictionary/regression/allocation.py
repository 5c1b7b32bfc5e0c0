"""Numbers of terms for several targets that share one total: the best sums of what each target's number is worth."""

__all__ = ["allocate", "best_sums", "shares_of"]

from collections.abc import Sequence

import torch
from torch import Tensor


def best_sums(values: Tensor) -> tuple[Tensor, list[Tensor]]:
    r"""The least sum for every total, by dynamic programming over the targets.

    .. math:: s_t(K) = \min_k s_{t - 1}(K - k) + v_{t, k}

    Args:
        values: of each target, by number of terms from 0, shape `(*batch, targets, sizes)`.

    Returns:
        Sums by total from 0, shape `(*batch, totals)`, and for each target what it takes of each total, same shape.

    Example:
        >>> best_sums(torch.tensor([[4.0, 1.0], [9.0, 0.0]]))[0]
        tensor([13.,  4.,  1.])
    """
    *batch, num_targets, num_sizes = values.shape
    num_totals = num_targets * (num_sizes - 1) + 1
    least = values.new_full((*batch, num_totals), torch.inf)
    least[..., 0] = 0.0
    takes = []
    for target in range(num_targets):
        options = values.new_full((*batch, num_totals, num_sizes), torch.inf)
        for size in range(num_sizes):
            options[..., size:, size] = least[..., : num_totals - size] + values[..., target, size, None]
        least, take = options.min(-1)
        takes.append(take)
    return least, takes


def shares_of(takes: Sequence[Tensor], total: Tensor) -> Tensor:
    """What each target takes of totals.

    Args:
        takes: from `best_sums`.
        total: shape `(*draws, *batch)`.

    Returns:
        Numbers of terms, shape `(*draws, *batch, targets)`.
    """
    left, counts = total, []
    for take in reversed(takes):
        counts.append(take.expand(*left.shape, -1).gather(-1, left.unsqueeze(-1)).squeeze(-1))
        left = left - counts[-1]
    return torch.stack(counts[::-1], -1)


def allocate(residual: Tensor, total: int) -> Tensor:
    """Numbers of terms, one per target, that add up to at most `total` with the least sum of residuals.

    Args:
        residual: by number of terms from 0, shape `(*batch, targets, sizes)`.
        total: budget of all targets together.

    Returns:
        Numbers of terms, shape `(*batch, targets)`.

    Example:
        >>> allocate(torch.tensor([[4.0, 1.0, 0.5], [9.0, 8.0, 0.0]]), 3)
        tensor([1, 2])
    """
    sums, takes = best_sums(residual)
    return shares_of(takes, sums[..., : total + 1].argmin(-1))
