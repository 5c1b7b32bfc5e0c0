"""The state of a network after its last good step, to go back to when a step goes wrong."""

__all__ = ["LastGood"]

import torch
from torch import Tensor, nn


class LastGood:
    """A copy of everything that training changes: weights, gates, running statistics, multipliers and counters.

    Args:
        network: it must keep its tensors (their values may change).

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> last_good = LastGood(layer)
        >>> _ = nn.init.constant_(layer.bias, float("nan"))
        >>> last_good.restore()
        >>> bool(layer.bias.isnan().any())
        False
    """

    def __init__(self, network: nn.Module) -> None:
        trained = [parameter.detach() for parameter in network.parameters() if parameter.requires_grad]
        self._weights = [tensor for tensor in trained if tensor.is_floating_point()]
        self._tensors: list[Tensor] = [*trained, *(buffer.detach() for buffer in network.buffers())]
        self._copies = [tensor.clone() for tensor in self._tensors]

    @torch.no_grad()
    def save(self) -> None:
        """Copy the state as it is now."""
        torch._foreach_copy_(self._copies, self._tensors)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the last copy back, bit for bit."""
        torch._foreach_copy_(self._tensors, self._copies)

    def is_finite_now(self) -> bool:
        """Whether every weight and every gate is finite."""
        return bool(nn.utils.get_total_norm(self._weights).isfinite())
