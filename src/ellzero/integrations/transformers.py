"""Hugging Face Transformers: a configuration that describes the pruned network, so that it can be saved and loaded."""

__all__ = ["fit_config"]

import copy
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import nn

from ellzero.errors import SurgeryError
from ellzero.graph import structure_of

Shapes: TypeAlias = dict[str, tuple[int, ...]]


def fit_config(small: Any) -> dict[str, tuple[int, int]]:
    """Make `small.config` describe a pruned model, so that `save_pretrained` and `from_pretrained` work.

    A configuration holds one number of heads and one width for all layers. Every whole number in it that is a multiple
    of the size of a cut group is a candidate to go down in proportion; a change is kept if more tensors of a model that
    is built from the configuration, without numbers, have the shapes of the pruned one.

    Args:
        small: what `prune` made of a `PreTrainedModel`; its configuration is changed in place, and only if all fits.

    Returns:
        For each changed field the value before and after.

    Raises:
        SurgeryError: if no configuration describes the network, because its layers have different widths (prune with
            `uniform=True`) or its class derives one width from another; the message names the first such tensor.
        TypeError: if it is not a model with a configuration.

    Example:
        >>> fit_config(nn.Linear(2, 2))
        Traceback (most recent call last):
        ...
        TypeError: expected a pruned PreTrainedModel, got Linear, which has no config
    """
    config = getattr(small, "config", None)
    if not isinstance(small, nn.Module) or config is None:
        raise TypeError(f"expected a pruned PreTrainedModel, got {type(small).__name__}, which has no config")
    wanted = _shapes(small)
    found = copy.deepcopy(config)
    if (head_width := _head_width(config)) is not None:
        found.head_dim = head_width
    matches = _matches(type(small), found, wanted)
    improved = True
    while improved:
        improved = False
        for field, value in _changes(small, found):
            trial = copy.deepcopy(found)
            setattr(trial, field, value)
            now = _matches(type(small), trial, wanted)
            if now > matches:
                found, matches, improved = trial, now, True
    _check(type(small), found, wanted)
    changed = {
        field: (getattr(config, field), getattr(found, field))
        for field in vars(found)
        if type(getattr(found, field)) is int and getattr(config, field, None) != getattr(found, field)
    }
    if set(changed) == {"head_dim"}:  # written out, but as it was
        return {}
    for field, (_, after) in changed.items():
        setattr(config, field, after)
    return changed


def _check(kind: type[nn.Module], config: Any, wanted: Shapes) -> None:
    built = _built(kind, config)
    different = [name for name, shape in wanted.items() if built.get(name) != shape]
    if different:
        raise SurgeryError(
            f"no configuration of {kind.__name__} describes this network: {different[0]!r} has shape "
            f"{wanted[different[0]]}. Its layers have different widths, or the class derives one width from another; "
            "prune(..., uniform=True) gives all layers of a kind the same width. The network itself works as it is: "
            "save it with ellzero.save"
        )


def _changes(small: nn.Module, config: Any) -> Iterator[tuple[str, int]]:
    """Fields that may have gone down, each with every value that the width of a group suggests."""
    structure = structure_of(small)
    widths = structure.plan.widths(structure.channels).values()
    ratios = sorted({(before, after) for before, after in widths if 0 < after < before})
    for field, value in vars(config).items():
        if type(value) is int and value > 1:
            yield from ((field, value // before * after) for before, after in ratios if value % before == 0)


def _head_width(config: Any) -> int | None:
    """The width of a head that a configuration leaves to be derived from two numbers, one of which may change."""
    width, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    is_open = hasattr(config, "head_dim") and config.head_dim is None
    return width // heads if is_open and width and heads else None


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _built(kind: type[nn.Module], config: Any) -> Shapes:
    """The shapes of a model of this configuration; none if it is refused."""
    try:
        with torch.device("meta"):
            return _shapes(kind(type(config).from_dict(config.to_dict())))
    except Exception:  # whatever a class raises when numbers do not fit together
        return {}


def _matches(kind: type[nn.Module], config: Any, wanted: Shapes) -> int:
    return sum(wanted.get(name) == shape for name, shape in _built(kind, config).items())
