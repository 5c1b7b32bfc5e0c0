"""Where in a network an error came from."""

__all__ = ["place_of"]

import traceback

from torch import nn


def place_of(network: nn.Module, error: BaseException) -> str:
    """The innermost module whose code an error passed through, as the end of a sentence.

    Args:
        network: whose forward pass raised it.
        error: as it was caught.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> try:
        ...     net(torch.zeros(1, 5))
        ... except RuntimeError as error:
        ...     place_of(net, error)
        "in '0'"
    """
    names = {id(module): name for name, module in network.named_modules()}
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = names.get(id(frame.f_locals.get("self")), found)
    return f"in {found!r}" if found else "in the network itself"
