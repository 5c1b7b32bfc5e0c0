"""Every place where a network holds a tensor, under every name that the tensor has."""

__all__ = ["Places", "places"]

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Places:
    """The tensors of a network by name.

    Attributes:
        tensors: parameters and buffers under all their names.
        is_stored: for each name whether it is a parameter or a persistent buffer.
    """

    tensors: Mapping[str, Tensor]
    is_stored: Mapping[str, bool]

    def first_names(self) -> dict[int, str]:
        """For the identity of each tensor that is to be stored, the first of its names."""
        first: dict[int, str] = {}
        for name, tensor in self.tensors.items():
            if self.is_stored[name]:
                first.setdefault(id(tensor), name)
        return first


def places(model: nn.Module) -> Places:
    """Go through a network in the order of its modules, and by name within each.

    Gates that are attached to a weight and taken off again change the order in which a module lists its tensors. The
    order here does not, and so a tied tensor keeps its first name.

    Args:
        model: any module.

    Example:
        >>> list(places(nn.BatchNorm1d(2)).tensors)
        ['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight']
    """
    tensors, is_stored = {}, {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, tensor in sorted({**module._parameters, **module._buffers}.items()):
            if tensor is not None:
                full = f"{prefix}.{name}" if prefix else name
                tensors[full] = tensor
                is_stored[full] = name not in module._non_persistent_buffers_set
    return Places(tensors, is_stored)
