"""Equations as a JSON file: terms as data, a checksum, and nothing that is ever executed."""

__all__ = ["Parts", "read", "write"]

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ellzero.artifacts.errors import (
    ArtifactDamagedError,
    ArtifactMismatchError,
    ArtifactMissingError,
    ArtifactVersionError,
)
from ellzero.artifacts.replace import written_file
from ellzero.artifacts.strict import conform, parse
from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.dictionary.terms.units import Unit

FORMAT, VERSION = "ellzero equations", 1

_INNER = [{"coefficient": float, "powers": {str: int}}]
_FACTOR = {"function": str, "arguments": [_INNER], "power": int}
_OUTPUT = {"function": str, "scale": float, "offset": float, "low": (float, None), "high": (float, None)}
_SCHEMA = {
    "inputs": [str],
    "units": ([str], None),
    "targets": [str],
    "terms": [[_FACTOR]],
    "coefficients": [[float]],
    "outputs": [_OUTPUT],
}


class Parts(NamedTuple):
    """What equations are made of."""

    targets: tuple[str, ...]
    dictionary: Dictionary
    coefficients: list[list[float]]
    outputs: tuple[Output, ...]


def write(path: Path, parts: Parts, *, overwrite: bool) -> None:
    """Write a file as a whole or not at all.

    Args:
        path: where to.
        parts: what is written.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ArtifactExistsError: if something is there that may not be replaced.
        ArtifactUnsavedError: if the disk does not take it; what was there before stays.
    """
    units = parts.dictionary.units
    content = {
        "inputs": list(parts.dictionary.inputs),
        "units": None if units is None else [str(unit) for unit in units],
        "targets": list(parts.targets),
        "terms": [[_plain(factor) for factor in term.factors] for term in parts.dictionary.terms],
        "coefficients": parts.coefficients,
        "outputs": [_plain_output(output) for output in parts.outputs],
    }
    data = {"format": FORMAT, "version": VERSION, "sha256": _digest(content), "equations": content}
    with written_file(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read(path: Path, functions: Mapping[str, Callable[..., Tensor]]) -> Parts:
    """Read what `write` wrote, and refuse everything else; no name in it is used before it is known.

    Args:
        path: the file.
        functions: of the user, by name; those that the terms need.

    Raises:
        ArtifactMissingError: if there is no such file, or it cannot be read.
        ArtifactDamagedError: if it is cut short, was changed, or holds something else than equations.
        ArtifactVersionError: if it was written in a format that this version does not know.
        ArtifactMismatchError: if a term needs a function that is not given.
    """
    try:
        data = parse(path.read_bytes(), path.name)
    except OSError as error:
        raise ArtifactMissingError(f"{str(path)!r} cannot be read ({error.strerror}); check the path") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ArtifactDamagedError(f"{path.name!r} holds no equations; give a file that Equations.save wrote")
    if data.get("version") != VERSION:
        raise ArtifactVersionError(
            f"{path.name!r} has the format {data.get('version')!r}, expected {VERSION}; it was written by another "
            "version of ellzero, use that one"
        )
    conform(data, {"format": str, "version": int, "sha256": str, "equations": _SCHEMA}, path.name)
    content = data["equations"]
    if _digest(content) != data["sha256"]:
        raise ArtifactDamagedError(f"{path.name!r} was changed after it was saved: the checksum differs; save it again")
    needed = {factor["function"] for term in content["terms"] for factor in term}
    for name in sorted(needed - FUNCTIONS.keys() - functions.keys()):
        raise ArtifactMismatchError(
            f"a term of {path.name!r} needs the function {name!r}, which is not given; "
            f"write load(path, functions={{{name!r}: ...}})"
        )
    try:
        return _parts(content, functions)
    except (ValueError, TypeError, OverflowError) as error:
        raise ArtifactDamagedError(f"{path.name!r} holds no sound equations: {error}; save them again") from error


def _parts(content: Mapping[str, Any], functions: Mapping[str, Callable[..., Tensor]]) -> Parts:
    inputs = tuple(content["inputs"])
    texts = content["units"]
    units = None if texts is None else {n: Unit.parse(text) for n, text in zip(inputs, texts, strict=True)}
    terms = [Term(tuple(_factor(entry) for entry in factors)) for factors in content["terms"]]
    dictionary = Dictionary(inputs, terms, functions=functions, units=units)
    coefficients = [[float(value) for value in row] for row in content["coefficients"]]
    return Parts(tuple(content["targets"]), dictionary, coefficients, tuple(map(_output, content["outputs"])))


def _plain(factor: Factor) -> dict[str, Any]:
    arguments = [[{"coefficient": c, "powers": dict(powers)} for powers, c in one.parts] for one in factor.arguments]
    return {"function": factor.function, "arguments": arguments, "power": factor.power}


def _factor(entry: Mapping[str, Any]) -> Factor:
    parts = [tuple((tuple(p["powers"].items()), p["coefficient"]) for p in one) for one in entry["arguments"]]
    if not parts:
        raise ValueError(f"the function {entry['function']!r} has no argument")
    first, *more = [Inner(one) for one in parts]
    return Factor(entry["function"], first, entry["power"], tuple(more))


def _plain_output(output: Output) -> dict[str, Any]:
    low, high = (value if math.isfinite(value) else None for value in (output.low, output.high))
    return {"function": output.function, "scale": output.scale, "offset": output.offset, "low": low, "high": high}


def _output(entry: Mapping[str, Any]) -> Output:
    low = -math.inf if entry["low"] is None else entry["low"]
    high = math.inf if entry["high"] is None else entry["high"]
    return Output(entry["function"], entry["scale"], entry["offset"], low, high)


def _digest(content: Mapping[str, Any] | Sequence[Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
