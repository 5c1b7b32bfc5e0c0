"""Terms as pysindy writes them, such as `x0^2 x1` and `sin(1 x0)`, from and to dictionaries."""

__all__ = ["from_pysindy", "to_pysindy"]

import re
from collections.abc import Iterable, Sequence

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner, number_text
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.errors import nearest

_PIECE = re.compile(r"(?P<name>[A-Za-z_]\w*)(\((?P<inside>[^()]*)\))?(\^(?P<power>\d+))?")
_ONE = re.compile(r"1(?=[\s*]|$)")
"""The constant, by itself or as a factor: products of libraries are called `1 sin(1 x0)`."""

_SCALED = re.compile(r"(?P<number>[+-]?[\d.]+(e[+-]?\d+)?)?\s*\*?\s*(?P<name>[A-Za-z_]\w*)")


def to_pysindy(dictionary: Dictionary) -> list[str]:
    """Names of the terms in pysindy's way.

    Args:
        dictionary: any; terms that pysindy has no way to write keep their own name.

    Returns:
        One name per term.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> to_pysindy(polynomial("x0 x1", 2))
        ['1', 'x0', 'x1', 'x0^2', 'x0 x1', 'x1^2']
    """
    return [_written(term, dictionary.inputs) for term in dictionary.terms]


def from_pysindy(names: Sequence[str], inputs: Sequence[str]) -> Dictionary:
    """The dictionary behind the feature names of a pysindy model.

    Nothing is evaluated: names are taken apart into inputs, whole powers, and known functions of one scaled input.

    Args:
        names: such as those of `model.get_feature_names()`.
        inputs: names of the inputs, states first.

    Returns:
        A dictionary with these terms, in this order.

    Raises:
        ValueError: if a name cannot be read, or holds an input or a function that is not known.

    Example:
        >>> from_pysindy(["1", "x0", "x0^2 x1", "1 sin(2 x0)"], ["x0", "x1"]).names
        ('1', 'x0', 'x0^2 x1', 'sin(2 x0)')
    """
    return Dictionary(tuple(inputs), [_read(name, inputs) for name in names])


def _written(term: Term, inputs: Sequence[str]) -> str:
    if any(factor.power < 0 for factor in term.factors):
        return term.text(inputs)
    place = {name: index for index, name in enumerate(inputs)}
    ordered = sorted(term.factors, key=lambda f: (not f.is_input, place.get(f.inner.name, 0) if f.is_input else 0))
    return " ".join(_factor(factor, inputs) for factor in ordered) or "1"


def _factor(factor: Factor, inputs: Sequence[str]) -> str:
    power = "" if factor.power == 1 else f"^{factor.power}"
    match factor.inner.parts:
        case ((((name, 1),), number),) if factor.function in {"sin", "cos"}:
            return f"{factor.function}({number_text(number)} {name}){power}"
    return factor.text(inputs)


def _read(name: str, inputs: Sequence[str]) -> Term:
    found, position, text = Term.constant(), 0, name.strip()
    if not text:
        raise ValueError("a feature name is empty; the constant is called '1'")
    while position < len(text):
        if one := _ONE.match(text, position):
            position = _next(text, one.end())
            continue
        piece = _PIECE.match(text, position)
        if piece is None:
            raise ValueError(
                f"the feature name {name!r} cannot be read at {text[position:]!r}; expected inputs, powers such as "
                "x0^2 and functions such as sin(2 x0), with spaces between them"
            )
        power = int(piece["power"] or 1)
        if piece["inside"] is None:
            found = found * Term.variable(_known(piece["name"], inputs, name), power)
        else:
            function = _known(piece["name"], FUNCTIONS, name)
            found = found * Term.of(function, _inner(piece["inside"], inputs, name), power)
        position = _next(text, piece.end())
    return found


def _next(text: str, position: int) -> int:
    """Where the next factor begins."""
    return len(text) - len(text[position:].lstrip(" *"))


def _inner(text: str, inputs: Sequence[str], name: str) -> Inner:
    scaled = _SCALED.fullmatch(text.strip())
    if scaled is None:
        raise ValueError(f"the argument {text!r} in {name!r} cannot be read; expected a number and an input: sin(2 x0)")
    return float(scaled["number"] or 1) * Inner.of(_known(scaled["name"], inputs, name))


def _known(found: str, known: Iterable[str], name: str) -> str:
    names = list(known)
    if found not in names:
        raise ValueError(f"{found!r} in the feature name {name!r} is not known{nearest(found, names)}")
    return found
