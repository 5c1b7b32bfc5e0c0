"""Copy a network, which may be an exported graph."""

__all__ = ["copied"]

import copy
import warnings
from typing import Any

from torch import nn


def copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a network deeply.

    Args:
        model: any module.
        memo: for the identity of a tensor what is put in its place.
    """
    with warnings.catch_warnings():
        # PyTorch 2.13 warns of how it copies the inputs' structure of a graph itself.
        warnings.filterwarnings("ignore", message="`isinstance.treespec", category=FutureWarning)
        twin: nn.Module = copy.deepcopy(model, memo)
    return twin
