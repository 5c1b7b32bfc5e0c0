"""All tensors that a network returns, however deep they are hidden."""

__all__ = ["tensors_in"]

import enum
import numbers
from collections.abc import Iterable, Mapping, Set
from typing import Any

import torch
from torch import Tensor

from ellzero.errors import TraceError

_PLAIN = (str, bytes, numbers.Number, enum.Enum, torch.dtype, torch.device, torch.Size, type, type(None))


def tensors_in(output: Any) -> list[Tensor]:
    """Collect the tensors of mappings, sequences, dataclasses and other objects, in order; caches of keys are left out.

    Args:
        output: what a network returned.

    Returns:
        Its tensors; one that is held twice is listed twice.

    Raises:
        TraceError: if there is an object that cannot be looked into; a tensor in it would be missed.

    Example:
        >>> tensors_in({"logits": torch.zeros(1), "hidden": (torch.ones(1), None, "name")})
        [tensor([0.]), tensor([1.])]
    """
    return list(_walk(output, frozenset()))


def _walk(output: Any, within: frozenset[int]) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif not isinstance(output, _PLAIN) and id(output) not in within:
        for part in _parts(output):
            yield from _walk(part, within | {id(output)})


def _parts(output: Any) -> Iterable[Any]:
    if isinstance(output, Mapping):
        return output.values()
    if callable(getattr(output, "get_seq_length", None)):
        return []  # keys and values of earlier positions: what the network remembers, not what it answers
    if isinstance(output, (list, tuple, Set)):
        return [*output, *getattr(output, "__dict__", {}).values()]
    if hasattr(output, "__dict__") or hasattr(type(output), "__slots__"):
        slots = [getattr(output, name) for name in getattr(type(output), "__slots__", ()) if hasattr(output, name)]
        return [*getattr(output, "__dict__", {}).values(), *slots]
    raise TraceError(
        f"the network returns a {type(output).__name__}, which cannot be looked into; return tensors in tuples, lists, "
        "mappings or dataclasses"
    )
