"""The zoo: small networks in which every hard point of real ones occurs, with random weights in float64."""

__all__ = ["NETWORKS", "build"]

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from networks.architectures import ARCHITECTURES
from networks.assorted import ASSORTED
from networks.convolutional import CONVOLUTIONAL
from networks.sequential import SEQUENTIAL

NETWORKS: Mapping[str, Callable[[], tuple[nn.Module, Any]]] = MappingProxyType(
    {**CONVOLUTIONAL, **SEQUENTIAL, **ASSORTED, **ARCHITECTURES}
)
"""Every network by name; call `build`, not these."""


def build(name: str) -> tuple[nn.Module, Any]:
    """Make one network of the zoo, always with the same numbers.

    Args:
        name: one of `NETWORKS`.

    Returns:
        The network in float64 and evaluation mode, and an example for it. Weights and statistics that start at zero or
        one are random too, so that nothing is hidden by them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        model, example = NETWORKS[name]()
        model = model.double().eval()
        _randomise(model)
        return model, tree_map(_double, example)


@torch.no_grad()
def _randomise(model: nn.Module) -> None:
    for parameter in model.parameters():
        scale = 0.5 * max(1, parameter[:1].numel()) ** -0.5 if parameter.dim() > 1 else 0.3
        parameter.add_(torch.randn_like(parameter), alpha=scale)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)


def _double(leaf: Any) -> Any:
    return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf
