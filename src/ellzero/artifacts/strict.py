"""Read JSON that nobody vouches for: no duplicate keys, no odd numbers, exactly the keys and types expected."""

__all__ = ["Schema", "conform", "parse"]

import json
import math
from typing import Any, TypeAlias

from ellzero.artifacts.errors import ArtifactDamagedError

Schema: TypeAlias = Any
"""A type; `[s]` for a list of `s`; `{str: s}` for any keys; `{"a": s, ...}` for exactly these keys; a tuple for any
one of several schemas; a frozenset for any one of several values."""

_LARGEST = 2**53
"""JSON readers agree on integers up to here."""


def parse(content: bytes, name: str) -> Any:
    r"""Read JSON and refuse what is ambiguous in it.

    Args:
        content: the file.
        name: of the file, for the message.

    Raises:
        ArtifactDamagedError: if it is not UTF-8, not JSON, holds a key twice, or holds NaN or infinity.

    Example:
        >>> parse(b'{"bytes": 3}\n', "manifest.json")
        {'bytes': 3}
    """
    if not content.endswith(b"}\n"):
        if content.strip() and not content.lstrip().startswith(b"{"):
            raise ArtifactDamagedError(f"{name!r} does not hold a JSON object; give a file that ellzero wrote")
        raise ArtifactDamagedError(f"{name!r} ends in the middle, it is cut short; copy the whole folder again")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ArtifactDamagedError(f"{name!r} is no sound JSON ({error}); copy the whole folder again") from error


def conform(value: object, schema: Schema, where: str) -> None:
    """Check a tree of JSON values against the types expected.

    Args:
        value: what `parse` returned.
        schema: what is expected.
        where: the name of the value, for the message.

    Raises:
        ArtifactDamagedError: at the first value that is something else.

    Example:
        >>> conform({"size": 3}, {"size": int}, "group")
        >>> conform({"size": "3"}, {"size": int}, "group")
        Traceback (most recent call last):
        ...
        ellzero.artifacts.errors.ArtifactDamagedError: group.size is '3', expected int; ...
    """
    match schema:
        case tuple():
            _conform_to_any(value, schema, where)
        case frozenset():
            _expect(isinstance(value, str) and value in schema, value, f"one of {sorted(schema)}", where)
        case [one]:
            items = value if isinstance(value, list) else []
            _expect(items is value, value, "a list", where)
            for number, item in enumerate(items):
                conform(item, one, f"{where}[{number}]")
        case dict():
            _conform_to_keys(value, schema, where)
        case _:
            _expect(_is_a(value, schema), value, "null" if schema is None else schema.__name__, where)


def _conform_to_any(value: object, schemas: tuple[Schema, ...], where: str) -> None:
    for schema in schemas[:-1]:
        try:
            return conform(value, schema, where)
        except ArtifactDamagedError:
            continue
    return conform(value, schemas[-1], where)


def _conform_to_keys(value: object, schema: dict[Any, Schema], where: str) -> None:
    if not isinstance(value, dict):
        return _expect(False, value, "an object", where)
    if str in schema:
        schema = dict.fromkeys(value, schema[str])
    for key in sorted(schema.keys() ^ value.keys()):
        problem = "is missing" if key in schema else "is not known here"
        raise ArtifactDamagedError(f"{where}.{key} {problem}; the file was not written by ellzero, save it again")
    for key, one in schema.items():
        conform(value[key], one, f"{where}.{key}")
    return None


def _is_a(value: object, kind: type | None) -> bool:
    if kind is None:
        return value is None
    if type(value) is int:
        return kind in (int, float) and abs(value) <= _LARGEST
    return type(value) is kind and (type(value) is not float or math.isfinite(value))


def _expect(is_right: bool, value: object, expected: str, where: str) -> None:
    if not is_right:
        shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:60]}..."
        raise ArtifactDamagedError(
            f"{where} is {shown}, expected {expected}; the file was not written by ellzero, save it again"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {twice!r} stands there twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")
