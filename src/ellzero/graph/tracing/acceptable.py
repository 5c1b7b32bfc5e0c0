"""What is refused before a network is traced: networks, examples and rules with which no trace would be one."""

__all__ = ["check_example", "check_network", "check_rules"]

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from ellzero.errors import TraceError


def check_network(model: nn.Module) -> None:
    """Refuse networks that hide what they do.

    Raises:
        TypeError: if it is no module.
        TraceError: if it, or a part of it, is compiled by `torch.jit` or runs in several copies.
        ValueError: if a tensor of it gets its shape in the first forward pass.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a network to trace, an nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TraceError(
                f"{name or 'the network'!r} is compiled by torch.jit, which hides what it does; do it later"
            )
        if isinstance(module, (DataParallel, DistributedDataParallel)):
            raise TraceError(
                f"{name or 'the network'!r} is wrapped in {type(module).__name__}, which runs it in several copies or "
                "processes; give what it wraps, .module, and wrap what you get"
            )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            what = "weight" if isinstance(tensor, nn.Parameter) else "buffer"
            raise ValueError(f"the {what} {name!r} has no shape yet; call the network once on real inputs first")


def check_example(example: Any) -> None:
    """Refuse tensors whose rows have different shapes.

    Raises:
        TraceError: if there is a nested tensor.
    """
    if any(isinstance(leaf, Tensor) and leaf.is_nested for leaf in tree_leaves(example)):
        raise TraceError(
            "the example holds a nested tensor, expected tensors whose rows all have one shape; give a padded one: "
            "torch.nested.to_padded_tensor(x, 0.0)"
        )


def check_rules(rules: Mapping[str, Callable[..., None]]) -> None:
    """Refuse what is no table of rules.

    Raises:
        TypeError: if it is no mapping from names of operations to functions.
    """
    expected = 'expected a mapping from names of operations to functions, such as {"mylib.smooth": mixes(-1)}'
    if not isinstance(rules, Mapping):
        raise TypeError(f"rules are given as {type(rules).__name__}, {expected}")
    for name, rule in rules.items():
        if not isinstance(name, str) or not callable(rule):
            raise TypeError(f"there is a rule {rule!r} for {name!r}, {expected}")
