"""Modules that keep facts about their tensors elsewhere, and correct them when the tensors are cut."""

__all__ = ["FollowsCut"]

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class FollowsCut(nn.Module, ABC):
    """A module with plain attributes that belong to the indices of its tensors, such as a list of names.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> class Named(nn.Linear, FollowsCut):
        ...     names = ("a", "b", "c")
        ...     def follow_cut(self, kept):
        ...         self.names = tuple(self.names[i] for i in kept.get(("weight", 1), range(len(self.names))))
    """

    @abstractmethod
    def follow_cut(self, kept: Mapping[tuple[str, int], Tensor]) -> None:
        """Make the attributes agree with the tensors, which are cut already; called on the copy that `prune` makes.

        Args:
            kept: for each stored dimension of this module and of those within it that was cut, by name and number, the
                indices that stay, int64. Left out are dimensions that no group has.
        """
