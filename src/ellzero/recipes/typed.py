"""Settings from plain data, as it comes from YAML, JSON or a command line, and back."""

__all__ = ["accepted", "settings_from", "settings_to_dict", "type_of"]

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ellzero.errors import nearest
from ellzero.recipes.settings import Checked

_Settings = TypeVar("_Settings", bound=Checked)


def accepted(kind: type[Checked]) -> tuple[str, ...]:
    """Names of the settings that a recipe can be given, in order."""
    return tuple(field.name for field in fields(kind) if field.name not in kind.unused)


def type_of(kind: type[Checked], name: str) -> Any:
    """What a setting is made of: `int`, `float`, `bool`, `str`, `tuple` or `Mapping`; `str | None` counts as `str`."""
    hint = get_type_hints(kind)[name]
    present = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint):
        hint = present[0]
    return get_origin(hint) or hint


def settings_from(kind: type[_Settings], plain: Mapping[str, object]) -> _Settings:
    """Build settings from plain data; what is left out keeps its default.

    A penalty takes the place of a budget that is there by default only.

    Args:
        kind: class of the settings.
        plain: value by name.

    Returns:
        The settings, checked.

    Raises:
        ValueError: if a name is unknown (the nearest one is offered), or a value is out of range.
        TypeError: if a value is of the wrong type.

    Example:
        >>> from ellzero.recipes.settings import Settings
        >>> settings_from(Settings, {"budget": {"params": 0.1}, "epochs": 3}).epochs
        3
        >>> settings_from(Settings, {"epoch": 3})
        Traceback (most recent call last):
        ...
        ValueError: unknown setting 'epoch'; did you mean 'epochs'?
    """
    known = accepted(kind)
    for name in plain:
        if name in kind.unused:
            raise ValueError(f"{name!r} means nothing here, {kind.__name__} does without; leave it out")
        if name not in known:
            raise ValueError(f"unknown setting {name!r}{nearest(str(name), known)}")
    given: dict[str, Any] = {name: _typed(name, value, type_of(kind, name)) for name, value in plain.items()}
    if given.get("penalty") and "budget" not in given:
        given["budget"] = {}
    settings = kind(**given)
    settings.check()
    return settings


def settings_to_dict(settings: Checked) -> dict[str, Any]:
    """Plain data that `settings_from` reads back."""
    plain = {name: value for name, value in asdict(settings).items() if name not in settings.unused}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _typed(name: str, value: object, wanted: Any) -> object:
    """The value, with whole numbers and texts such as `1e-3` (which YAML takes for text) read as floats."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is float and (is_number or isinstance(value, str)):
        return _float(name, value)
    if wanted is tuple and isinstance(value, Iterable) and all(isinstance(part, str) for part in value):
        return (value,) if isinstance(value, str) else tuple(value)
    if wanted is Mapping and isinstance(value, Mapping):
        return {str(kind): _amount(f"{name}: {kind}", amount) for kind, amount in value.items()}
    if wanted in (bool, str) and isinstance(value, wanted):
        return value
    if wanted is int and is_number and isinstance(value, int):
        return value
    if value is None and name == "data":
        return None
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    words |= {tuple: "a list of texts", Mapping: "a mapping such as {params: 0.1}"}
    raise TypeError(f"{name} must be {words[wanted]}, got {value!r}")


def _amount(name: str, amount: object) -> object:
    if isinstance(amount, Mapping):
        return {str(pattern): _float(f"{name}: {pattern}", number) for pattern, number in amount.items()}
    return _float(name, amount)


def _float(name: str, value: object) -> float:
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise TypeError(f"{name} must be a number, got {value!r}; write it as in 0.1")
