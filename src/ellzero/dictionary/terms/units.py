"""Units as exponents of base units: of inputs, and of the terms made of them."""

__all__ = ["Unit", "units_of"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.errors import nearest

_NAME = re.compile(r"[^\W\d_]+(?:_[^\W\d_]+)*")
_PART = re.compile(rf"({_NAME.pattern})(?:\^\(?(-?\d+(?:/\d+)?)\)?)?")
_KEEP = frozenset({"identity", "abs"})


@dataclass(frozen=True)
class Unit:
    """A product of powers of base units; none for a pure number.

    Args:
        powers: names with exponents, in any order; zeros are dropped. Names are made of letters, such as `m`, `µm` or
            `mol`, perhaps with single underscores between them.

    Raises:
        ValueError: if a name is made of something else.

    Example:
        >>> Unit.parse("m/s^2") * Unit.parse("s")
        Unit('m s^-1')
    """

    powers: tuple[tuple[str, Fraction], ...] = ()

    def __post_init__(self) -> None:
        found: dict[str, Fraction] = {}
        for name, power in self.powers:
            if not _NAME.fullmatch(name):
                raise ValueError(f"the unit {name!r} is not made of letters; write it like 'm' or 'mol'")
            found[name] = found.get(name, Fraction(0)) + power
        object.__setattr__(self, "powers", tuple(sorted((name, power) for name, power in found.items() if power)))

    @classmethod
    def parse(cls, text: "str | Unit") -> "Unit":
        """Read `"m/s^2"`, `"kg m^2 s^-1"`, or `""` and `"1"` for a pure number; what follows a `/` is divided by.

        Raises:
            ValueError: if it cannot be read.
        """
        if isinstance(text, Unit):
            return text
        powers = []
        for number, chunk in enumerate(re.split(r"/(?![^(]*\))", text)):
            for part in re.split(r"[\s*]+", chunk.strip()):
                if part in ("", "1"):
                    continue
                found = _PART.fullmatch(part)
                if found is None or re.search(r"/0+\b", part):
                    raise ValueError(f"the unit {text!r} cannot be read at {part!r}; write it like 'kg m/s^2'")
                powers.append((found[1], Fraction(found[2] or 1) * (-1 if number else 1)))
        return cls(tuple(powers))

    @classmethod
    def of_term(cls, term: Term, inputs: Mapping[str, "Unit"]) -> "Unit":
        """The unit of a term.

        Raises:
            ValueError: if it adds quantities of different units, takes a function of one that has a unit, or depends on
                something that has no unit.
        """
        for name in sorted(term.inputs - inputs.keys()):
            raise ValueError(f"there is no unit for {name!r} in the term {str(term)!r}{nearest(name, inputs)}")
        result = cls()
        for factor in term.factors:
            result = result * _of_factor(factor, inputs) ** factor.power
        return result

    def __mul__(self, other: "Unit") -> "Unit":
        return Unit((*self.powers, *other.powers))

    def __pow__(self, power: int | Fraction) -> "Unit":
        return Unit(tuple((name, own * power) for name, own in self.powers))

    def __truediv__(self, other: "Unit") -> "Unit":
        return self * other**-1

    def __str__(self) -> str:
        shown = [name if power == 1 else f"{name}^{_exponent(power)}" for name, power in self.powers]
        return " ".join(shown) or "1"

    def __repr__(self) -> str:
        return f"Unit({str(self)!r})"


def units_of(inputs: Sequence[str], units: Mapping[str, str | Unit] | None) -> tuple[Unit, ...] | None:
    """The unit of each input, in order; those that are not named are pure numbers.

    Raises:
        ValueError: if something is named that is no input, or a unit cannot be read.
    """
    if units is None:
        return None
    for name in units:
        if name not in inputs:
            raise ValueError(f"there is a unit for {name!r}, which is no input{nearest(name, inputs)}")
    return tuple(Unit.parse(units.get(name, "")) for name in inputs)


def _exponent(power: Fraction) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


def _of_factor(factor: Factor, inputs: Mapping[str, Unit]) -> Unit:
    found = [_of_inner(argument, inputs, factor) for argument in factor.arguments]
    if factor.function in _KEEP:
        return found[0]
    if factor.function == "sqrt":
        return found[0] ** Fraction(1, 2)
    for unit in found if factor.function != "sign" else ():
        if unit != Unit():
            raise ValueError(
                f"{factor} takes a function of a quantity in {unit}; scale the input to a pure number first"
            )
    return Unit()


def _of_inner(inner: Inner, inputs: Mapping[str, Unit], factor: Factor) -> Unit:
    found = []
    for powers, _ in inner.parts:
        unit = Unit()
        for name, power in powers:
            unit = unit * inputs[name] ** power
        found.append(unit)
    if any(unit != found[0] for unit in found):
        shown = " and ".join(dict.fromkeys(map(str, found)))
        raise ValueError(f"{factor} adds quantities in {shown}; scale the inputs to pure numbers")
    return found[0] if found else Unit()
