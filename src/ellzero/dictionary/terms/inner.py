"""Polynomials in named inputs: what stands inside of a function."""

__all__ = ["Inner", "Powers", "by_name", "check_name", "joined", "monomial_text", "number_text", "variables"]

import keyword
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ellzero.dictionary.terms.limits import MOST_PARTS, check_count, check_degree

Powers: TypeAlias = tuple[tuple[str, int], ...]
"""A monomial: names of inputs with positive powers, in the order of `by_name`; the constant has none."""


@dataclass(frozen=True)
class Inner:
    r"""A polynomial in named inputs with real coefficients; plain data, equal when its terms are.

    .. math:: \sum_i c_i \prod_j x_j^{k_{ij}}

    Args:
        parts: monomials with their coefficients. They are put in order; zeros are dropped, equal monomials added.

    Raises:
        ValueError: if a name is no identifier, a power not positive or far too large, or a coefficient is not finite.

    Example:
        >>> x, y = variables("x y")
        >>> print(2 * x - y)
        2 x - y
        >>> 1 + x**2 == x * x + 1
        True
    """

    parts: tuple[tuple[Powers, float], ...]

    def __post_init__(self) -> None:
        found: dict[Powers, float] = {}
        for powers, coefficient in self.parts:
            key = _monomial(powers)
            found[key] = found.get(key, 0.0) + _float(coefficient)
        check_count(len(found), "the number of monomials of a polynomial", most=MOST_PARTS)
        for powers, coefficient in found.items():
            if not math.isfinite(coefficient):
                raise ValueError(f"the coefficient of {monomial_text(powers)} is {coefficient}; give a finite number")
        ordered = sorted((item for item in found.items() if item[1] != 0), key=lambda item: _rank(item[0]))
        object.__setattr__(self, "parts", tuple(ordered))

    @classmethod
    def of(cls, name: str) -> "Inner":
        """The input of that name."""
        return cls(((((name, 1),), 1.0),))

    @classmethod
    def constant(cls, value: float) -> "Inner":
        """A number."""
        return cls((((), float(value)),))

    @property
    def name(self) -> str:
        """The name of the input, if it is nothing but an input; otherwise empty."""
        match self.parts:
            case ((((name, 1),), 1.0),):
                return name
        return ""

    @property
    def inputs(self) -> frozenset[str]:
        """The names that it depends on."""
        return frozenset(name for powers, _ in self.parts for name, _ in powers)

    def __add__(self, other: "Inner | float") -> "Inner":
        return Inner((*self.parts, *_inner(other).parts))

    def __mul__(self, other: "Inner | float") -> "Inner":
        return Inner(
            tuple(((*one, *two), a * b) for one, a in self.parts for two, b in _inner(other).parts)
        )  # fmt: skip

    def __pow__(self, power: int) -> "Inner":
        if isinstance(power, bool) or not isinstance(power, int) or power < 0:
            raise ValueError(f"a polynomial can be raised to whole powers from 0 on, got {power!r}")
        check_degree(power, "the power of a polynomial")
        result = Inner.constant(1.0)
        for _ in range(power):
            result = result * self
        return result

    def __neg__(self) -> "Inner":
        return self * -1.0

    def __sub__(self, other: "Inner | float") -> "Inner":
        return self + -_inner(other)

    def __rsub__(self, other: float) -> "Inner":
        return -self + other

    def __truediv__(self, number: float) -> "Inner":
        return self * (1.0 / number)

    __radd__ = __add__
    __rmul__ = __mul__

    def substituted(self, values: Mapping[str, "Inner"]) -> "Inner":
        """The same polynomial with polynomials in the place of some inputs."""
        result = Inner(())
        for powers, coefficient in self.parts:
            product = Inner.constant(coefficient)
            for name, power in powers:
                product = product * values.get(name, Inner.of(name)) ** power
            result = result + product
        return result

    def text(self, order: Sequence[str] = ()) -> str:
        """As it is printed, with inputs in the order given: `2 x - y`."""
        shown = ""
        for powers, coefficient in self.parts:
            size, sign = abs(coefficient), "-" if coefficient < 0 else "+"
            number = "" if size == 1 and powers else number_text(size)
            body = " ".join(filter(None, [number, monomial_text(powers, order) if powers else ""]))
            shown += f" {sign} {body}" if shown else f"-{body}" if sign == "-" else body
        return shown or "0"

    def __str__(self) -> str:
        return self.text()

    def __deepcopy__(self, memo: object) -> "Inner":
        return self


def variables(names: str | Sequence[str]) -> tuple[Inner, ...]:
    """Inputs to write polynomials with.

    Args:
        names: separated by spaces or commas, or a sequence.

    Example:
        >>> x, y = variables("x y")
        >>> print((x + y) ** 2)
        x^2 + 2 x y + y^2
    """
    listed = re.split(r"[\s,]+", names.strip()) if isinstance(names, str) else names
    return tuple(Inner.of(name) for name in listed)


def check_name(name: str, what: str = "an input") -> str:
    """Refuse names that could not be told from an operation when they are printed.

    Raises:
        ValueError: if it is no identifier.
        TypeError: if it is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} must be a string, got {name!r}")
    if not name.isidentifier() or name in ("True", "False", "None"):
        hint = re.sub(r"\W+", "_", name).strip("_") or "x"
        hint = hint if hint.isidentifier() and not keyword.iskeyword(hint) else f"x_{hint}"
        raise ValueError(
            f"the name of {what} must be made of letters, digits and underscores and not begin with a digit, got "
            f"{name!r}; try {hint!r}"
        )
    if unicodedata.normalize("NFKC", name) != name:  # Python would take it for another name
        hint = unicodedata.normalize("NFKC", name)
        raise ValueError(f"the name of {what} has letters that Python reads as others, got {name!r}; write {hint!r}")
    return name


def by_name(name: str) -> tuple[tuple[str, int], ...]:
    """How names are ordered: numbers in them by their value, so that `x2` comes before `x10`."""
    return tuple((text, int(number or -1)) for text, number in re.findall(r"(\D*)(\d*)", name) if text or number)


def monomial_text(powers: Powers, order: Sequence[str] = ()) -> str:
    """`x^2 y`, with inputs in the order given."""
    place = {name: number for number, name in enumerate(order)}
    ordered = sorted(powers, key=lambda item: (place.get(item[0], len(place)), by_name(item[0])))
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in ordered) or "1"


def number_text(value: float, digits: int | None = None) -> str:
    """A number with so many significant digits; with as many as it takes to read it back, if nothing is said."""
    if digits is not None:
        return f"{value:.{digits}g}"
    return f"{value:.15g}" if float(f"{value:.15g}") == value else repr(value)


def joined(parts: Sequence[tuple[float, str]]) -> str:
    """Put a sum together of numbers, whose signs become operations, and what is shown of them without the sign.

    Example:
        >>> joined([(-10.0, "10 x"), (28.0, "28 y"), (-1.0, "z")])
        '-10 x + 28 y - z'
    """
    shown = ""
    for number, body in parts:
        minus = number < 0
        shown += f" {'-' if minus else '+'} {body}" if shown else f"-{body}" if minus else body
    return shown or "0"


def _monomial(powers: Powers) -> Powers:
    found: dict[str, int] = {}
    for name, power in powers:
        check_name(name)
        if isinstance(power, bool) or not isinstance(power, int) or power < 1:
            raise ValueError(f"the power of {name!r} in a polynomial must be a positive whole number, got {power!r}")
        found[name] = found.get(name, 0) + power
    check_degree(sum(found.values()), "the degree of a monomial")
    return tuple(sorted(found.items(), key=lambda item: by_name(item[0])))


def _float(coefficient: float) -> float:
    try:
        return float(coefficient)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def _rank(powers: Powers) -> tuple[object, ...]:
    return sum(power for _, power in powers), [(by_name(name), -power) for name, power in powers]


def _inner(value: "Inner | float") -> Inner:
    if isinstance(value, Inner):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a polynomial or a number, got {type(value).__name__}; try variables('x y')")
    return Inner.constant(value)
