"""What an error of a network says, and where in the network it came from."""

__all__ = ["first_line", "place_of"]

import traceback

from torch import nn


def first_line(error: Exception) -> str:
    """What an error says first, or its kind if it says nothing.

    Example:
        >>> first_line(ValueError("no such width\\nin this layer")), first_line(KeyError())
        ('no such width', 'KeyError')
    """
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


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
