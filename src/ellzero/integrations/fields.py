"""The numbers in a configuration, also in those within it, and what they may have become."""

__all__ = [
    "Field",
    "changed_layers",
    "get",
    "guesses",
    "is_head_width",
    "layers_of",
    "number_of",
    "set_layers",
    "set_to",
]

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ellzero.graph import Structure

Field: TypeAlias = tuple[str, ...]
"""Names of the configurations within configurations that lead to a number, and its own name."""

Layers: TypeAlias = dict[int, dict[str, int]]
"""For numbers of layers the fields in which they differ from the others."""


def _parts(config: Any) -> Iterator[tuple[Field, Any]]:
    """The configuration, and those within it (of the text, of the images)."""
    yield (), config
    for name, value in vars(config).items():
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            yield from (((name, *path), part) for path, part in _parts(value))


def _numbers(config: Any) -> Iterator[tuple[Field, int | None]]:
    """Whole numbers, and fields that are left open."""
    for path, part in _parts(config):
        for name, value in vars(part).items():
            if not name.startswith("_") and (value is None or (type(value) is int and value > 1)):
                yield (*path, name), value


def get(config: Any, field: Field) -> Any:
    """A number; `vars` does not mind that it may differ between layers."""
    for name in field:
        config = vars(config).get(name)
    return config


def set_to(config: Any, field: Field, value: int) -> Any:
    """A copy of the configuration with another number."""
    twin = copy.deepcopy(config)
    part = twin
    for name in field[:-1]:
        part = vars(part)[name]
    setattr(part, field[-1], value)
    return twin


def number_of(config: Any, fields: Sequence[Field]) -> Mapping[str, Any]:
    """Numbers by name, with dots."""
    return {".".join(field): get(config, field) for field in fields}


def is_head_width(field: Field) -> bool:
    """Whether a number is the width of a head, which stays, because heads go as a whole."""
    return any(part in field[-1] for part in ("head_dim", "d_kv", "head_size", "kv_channels"))


def guesses(config: Any, structure: Structure, *, layer: int | None = None) -> Iterator[tuple[Field, int]]:
    """Every field that may have changed, with every value that the width of a cut group suggests.

    Args:
        config: of the network before.
        structure: how it was cut.
        layer: only the groups of this layer, if given.
    """
    widths = structure.plan.widths(structure.channels)
    mine = [pair for name, pair in widths.items() if layer is None or f".{layer}." in f"{name}."]
    ratios = sorted({(before, after) for before, after in mine if 0 < after < before})
    for field, value in _numbers(config):
        for before, after in ratios:
            if value is None:
                yield field, after
            elif value % before == 0:
                yield field, value // before * after


def layers_of(config: Any) -> Layers:
    """What differs between layers already."""
    found = config.to_dict().get("per_layer_config") or {}
    return {int(layer): dict(fields) for layer, fields in found.items()}


def set_layers(config: Any, layers: Layers) -> Any:
    """A copy of the configuration with other differences between layers."""
    twin = copy.deepcopy(config)
    twin.per_layer_config = copy.deepcopy(layers)
    return twin


def changed_layers(before: Layers, after: Layers, config: Any) -> dict[str, tuple[Any, Any]]:
    """For each number of a layer that is another now, what it was and is; names as in `per_layer_config`."""
    found = {}
    for layer, fields in sorted(after.items()):
        for name, value in fields.items():
            old = before.get(layer, {}).get(name, get(config, (name,)))
            if old != value:
                found[f"per_layer_config.{layer}.{name}"] = (old, value)
    return found
