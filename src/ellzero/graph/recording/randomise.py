"""Random numbers in the place of a network's own, and of its example's, so that zeros and ones hide nothing."""

__all__ = ["randomised", "randomised_example", "smaller"]

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ellzero.graph.recording.copies import copied
from ellzero.graph.recording.example import Example, is_floating

_LENGTH = 64
"""Images that are larger are cut down to so many rows and columns."""


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Copy a network in float64 and evaluation mode, with noise on parameters and on statistics of batch norms.

    Args:
        model: any module; it is not changed.
        seed: of the noise.
    """
    noise = _Noise(seed)
    memo = {id(one): nn.Parameter(_varied(one.detach(), noise), one.requires_grad) for one in model.parameters()}
    twin = copied(model, memo).double().eval()
    with torch.no_grad():
        for mean, variance in _statistics(twin):
            mean.add_(noise(mean), alpha=0.3)
            variance.mul_(noise(mean).abs() + 0.5)
    return twin


def _varied(parameter: Tensor, noise: "_Noise") -> Tensor:
    if not parameter.is_floating_point():
        return parameter.clone()
    scale = 0.3 * max(1, parameter[:1].numel()) ** -0.5 if parameter.dim() > 1 else 1.0
    return noise(parameter).mul_(scale).add_(parameter)


def _statistics(model: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            mean, variance = module.running_mean, module.running_var
            if isinstance(mean, Tensor) and isinstance(variance, Tensor):
                yield mean, variance


def randomised_example(example: Example, seed: int) -> Example:
    """Random numbers in the place of all floating ones, in float64."""
    noise = _Noise(seed + 1)
    return tree_map(lambda leaf: noise(leaf) if is_floating(leaf) else leaf, example)


def smaller(example: Example) -> Example | None:
    """The upper left corner of images and volumes, or none if they are small already.

    Args:
        example: shapes `(batch, channels, rows, columns)`, or one dimension more.
    """
    large = [leaf for leaf in tree_leaves(example) if is_floating(leaf) and max((0, *_sizes(leaf))) > _LENGTH]

    def corner(leaf: object) -> object:
        if not is_floating(leaf):
            return leaf
        for dim in range(2, leaf.dim() if leaf.dim() in (4, 5) else 2):
            leaf = leaf.narrow(dim, 0, min(leaf.shape[dim], _LENGTH))
        return leaf

    return tree_map(corner, example) if large else None


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[2:]) if tensor.dim() in (4, 5) else ()


class _Noise:
    """Normal random numbers of the shape and on the device of a tensor, in float64; as fine as float32 is enough."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, tensor: Tensor) -> Tensor:
        drawn = torch.randn(tensor.shape, generator=self._generator)
        return drawn.to(tensor.device, torch.float64)
