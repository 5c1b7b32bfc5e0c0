"""Copy a network as `copy.deepcopy` does, several times as fast."""

__all__ = ["copied", "not_copied"]

import copy
import warnings
from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ellzero.errors import TraceError

_ATOMS = frozenset([type(None), bool, int, float, complex, str, bytes, type, torch.dtype, torch.device, torch.Size])
_CONTAINERS = frozenset([dict, OrderedDict, list, set])
_METHODS = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__")
_IN_PARTS = frozenset(["_parameters", "_buffers", "_modules"])


def copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a network; what is shared in it is shared in the copy.

    Most of what a module holds are plain numbers and empty tables of hooks, which need no closer look.

    Args:
        model: any module; one that says itself how it is copied is asked.
        memo: what stands for an object in the copy, by the object's `id`: usually for every tensor; extended.

    Returns:
        What `copy.deepcopy(model, memo)` returns.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        >>> blank = {id(weight): nn.Parameter(torch.zeros_like(weight)) for weight in net.parameters()}
        >>> copied(net, blank)[0].bias
        Parameter containing:
        tensor([0., 0., 0.], requires_grad=True)
    """
    with warnings.catch_warnings():
        # PyTorch 2.13 warns of how it copies the inputs' structure of an exported graph itself.
        warnings.filterwarnings("ignore", message="`isinstance.treespec", category=FutureWarning)
        return _copied(model, memo)


def not_copied(model: nn.Module, error: Exception) -> TraceError:
    """What to say of a network that cannot be copied: which part of it is in the way, if that is known.

    Args:
        model: the network.
        error: what copying it raised.
    """
    advice = "keep locks, files and generators out of it"
    is_computed = "graph leaves" in str(error)
    for name, module in model.named_modules() if is_computed else ():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, BasePruningMethod):
                advice = (
                    f"{name!r} has a mask of torch.nn.utils.prune; make it permanent first: torch.nn.utils.prune.remove"
                )
            elif isinstance(hook, (WeightNorm, SpectralNorm)):
                advice = (
                    f"a hook computes a weight of {name!r} anew in every call; use the function of the same name in "
                    "torch.nn.utils.parametrizations instead"
                )
    return TraceError(f"the network cannot be copied ({str(error).split('  If you were')[0]}); {advice}")


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    plain = [module for module in model.modules() if id(module) not in memo and _is_plain(type(module))]
    for module in plain:
        memo[id(module)] = type(module).__new__(type(module))
    for module in reversed(plain):  # a module's children before itself
        held = module.__getstate__()
        memo[id(module)].__setstate__({
            name: value if type(value) in _ATOMS else _part(name, value, memo) for name, value in held.items()
        })  # fmt: skip
    result: nn.Module = copy.deepcopy(model, memo)
    return result


def _is_plain(kind: type) -> bool:
    """Whether its objects are copied by copying what they hold."""
    has_own = any(getattr(kind, name, None) is not getattr(nn.Module, name, None) for name in _METHODS)
    return not has_own and not any(vars(base).get("__slots__") for base in kind.__mro__)


def _part(name: str, value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _CONTAINERS and not value:
        return memo.setdefault(id(value), kind())
    if kind is tuple and all(type(part) in _ATOMS for part in value):
        return value
    if kind is dict and name in _IN_PARTS:
        parts = {key: memo[id(part)] if id(part) in memo else copy.deepcopy(part, memo) for key, part in value.items()}
        return memo.setdefault(id(value), parts)
    return copy.deepcopy(value, memo)
