"""Shuffled batches of tensors that are held in memory, the same for the same seed."""

__all__ = ["Batches"]

from collections.abc import Iterator

import torch
from torch import Tensor


class Batches:
    """Batches of a data set that fits into memory; every pass has another order, all determined by the seed.

    Args:
        inputs: shape `(samples, ...)`.
        targets: shape `(samples, ...)`.
        size: samples per batch; what is left over at the end of a pass is dropped.
        seed: of the orders.

    Raises:
        ValueError: if the numbers of inputs and targets differ, or there are fewer than one batch.

    Example:
        >>> sorted(int(y) for _, pair in Batches(torch.zeros(4, 1), torch.arange(4), size=2, seed=0) for y in pair)
        [0, 1, 2, 3]
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, size: int, seed: int) -> None:
        if len(inputs) != len(targets):
            raise ValueError(f"there are {len(inputs)} inputs but {len(targets)} targets; give one target per input")
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= len(inputs):
            raise ValueError(f"a batch must hold 1 to {len(inputs)} samples, got {size!r}; give a whole number")
        self.inputs, self.targets, self.size = inputs, targets, size
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.inputs) // self.size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.inputs), generator=self._generator).to(self.inputs.device)
        for start in range(0, len(self) * self.size, self.size):
            chosen = order[start : start + self.size]
            yield self.inputs[chosen], self.targets[chosen]
