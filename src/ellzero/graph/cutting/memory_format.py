"""Selecting indices makes a tensor contiguous; here it gets back the order in memory that it had."""

__all__ = ["laid_out_like"]

import torch
from torch import Tensor

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def laid_out_like(before: Tensor, small: Tensor) -> Tensor:
    """The same numbers, channels last in memory if they were so before.

    Args:
        before: a stored tensor.
        small: what is left of it.

    Example:
        >>> images = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
        >>> laid_out_like(images, images[:, :2].contiguous()).stride()
        (32, 1, 8, 2)
    """
    memory_format = _FORMATS.get(before.dim())
    if memory_format is None or before.is_contiguous() or not before.is_contiguous(memory_format=memory_format):
        return small
    return small.contiguous(memory_format=memory_format)
