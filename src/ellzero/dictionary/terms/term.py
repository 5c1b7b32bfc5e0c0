"""Candidate terms as plain data: products of functions of polynomials; equal data is the same term."""

__all__ = ["Factor", "Term"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner, by_name, check_name
from ellzero.dictionary.terms.limits import check_degree

_ORDER = {name: number for number, name in enumerate(FUNCTIONS)}


@dataclass(frozen=True)
class Factor:
    r"""A function of a polynomial, raised to a whole power: :math:`f(p(x))^k`.

    Args:
        function: one of `FUNCTIONS`, or the name of a function of your own.
        inner: its argument. That of an even function is written with a positive first coefficient.
        power: any whole number but zero.
        more: further arguments, for functions of your own.

    Raises:
        ValueError: if the power is not a whole number, zero or far too large, or a name is no identifier.

    Example:
        >>> from ellzero.dictionary.terms.inner import variables
        >>> x, y = variables("x y")
        >>> print(Factor("sin", 2 * x - y, 2))
        sin(2 x - y)^2
    """

    function: str
    inner: Inner
    power: int = 1
    more: tuple[Inner, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.function, "a function")
        if isinstance(self.power, bool) or not isinstance(self.power, int) or self.power == 0:
            raise ValueError(f"the power of {self.function!r} must be a whole number but zero, got {self.power!r}")
        check_degree(abs(self.power), f"the power of {self.function!r}")
        known = FUNCTIONS.get(self.function)
        if known is not None and self.more:
            raise ValueError(f"{self.function!r} takes one argument, got {1 + len(self.more)}")
        if known is not None and known.parity == "even" and self.inner.parts and self.inner.parts[0][1] < 0:
            object.__setattr__(self, "inner", -self.inner)

    @property
    def arguments(self) -> tuple[Inner, ...]:
        """All arguments."""
        return (self.inner, *self.more)

    @property
    def inputs(self) -> frozenset[str]:
        """The names that it depends on."""
        return frozenset().union(*(argument.inputs for argument in self.arguments))

    @property
    def is_input(self) -> bool:
        """Whether it is a power of an input."""
        return self.function == "identity" and bool(self.inner.name)

    def text(self, order: Sequence[str] = ()) -> str:
        """As it is printed, without the sign of the power: `x^2`, `sin(2 x)`, `(1 + x^2)`."""
        inside = ", ".join(argument.text(order) for argument in self.arguments)
        name = "" if self.function == "identity" else self.function
        base = inside if self.is_input else f"{name}({inside})"
        return base if abs(self.power) == 1 else f"{base}^{abs(self.power)}"

    def __str__(self) -> str:
        return self.text() if self.power > 0 else f"1/{self.text()}"

    def __deepcopy__(self, memo: object) -> "Factor":
        return self


@dataclass(frozen=True)
class Term:
    """A product of factors in canonical order: equal factors are merged, so that equal terms compare equal.

    Args:
        factors: in any order; none for the constant term.

    Raises:
        ValueError: if the powers together are far too large.

    Example:
        >>> from ellzero.dictionary.terms.inner import variables
        >>> x, y = variables("x y")
        >>> term = Term.of("sin", 2 * x) * Term.of("identity", y) ** 2
        >>> print(term)
        y^2 sin(2 x)
        >>> term == Term.of("identity", y) * Term.of("sin", 2 * x) * Term.of("identity", y)
        True
        >>> print(Term.variable("x") * Term.of("identity", 1 + x**2, -1))
        x/(1 + x^2)
    """

    factors: tuple[Factor, ...] = ()

    def __post_init__(self) -> None:
        found: dict[tuple[str, tuple[Inner, ...]], Factor] = {}
        powers: dict[tuple[str, tuple[Inner, ...]], int] = {}
        for factor in self.factors:
            key = (factor.function, factor.arguments)
            found.setdefault(key, factor)
            powers[key] = powers.get(key, 0) + factor.power
        merged = [replace(factor, power=powers[key]) for key, factor in found.items() if powers[key]]
        check_degree(sum(abs(factor.power) for factor in merged), "the degree of a term")
        object.__setattr__(self, "factors", tuple(sorted(merged, key=_rank)))

    @classmethod
    def constant(cls) -> "Term":
        """The term that is 1 everywhere."""
        return cls()

    @classmethod
    def variable(cls, name: str, power: int = 1) -> "Term":
        """A power of an input."""
        return cls((Factor("identity", Inner.of(name), power),)) if power else cls()

    @classmethod
    def of(cls, function: str, inner: Inner, power: int = 1) -> "Term":
        """A function of a polynomial; a monomial without a function becomes its powers."""
        match inner.parts:
            case ((powers, 1.0),) if function == "identity":
                return cls(tuple(Factor("identity", Inner.of(name), own * power) for name, own in powers))
        return cls((Factor(function, inner, power),))

    @property
    def inputs(self) -> frozenset[str]:
        """The names that it depends on."""
        return frozenset().union(*(factor.inputs for factor in self.factors))

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions in it, `identity` left out."""
        return frozenset(factor.function for factor in self.factors) - {"identity"}

    @property
    def degree(self) -> int:
        """The sum of the powers of its factors, without their signs."""
        return sum(abs(factor.power) for factor in self.factors)

    def __mul__(self, other: "Term") -> "Term":
        return Term((*self.factors, *other.factors))

    def __pow__(self, power: int) -> "Term":
        return Term(tuple(replace(f, power=f.power * power) for f in self.factors)) if power else Term()

    def text(self, order: Sequence[str] = ()) -> str:
        """As it is printed, with inputs in the order given: `x^2 y`, `sin(2 x)`, `x/(1 + x^2)`; `1` if constant."""
        place = {name: number for number, name in enumerate(order)}
        ordered = sorted(self.factors, key=lambda f: (not f.is_input, place.get(f.inner.name, 0) if f.is_input else 0))
        above = " ".join(factor.text(order) for factor in ordered if factor.power > 0) or "1"
        below = "/".join(factor.text(order) for factor in ordered if factor.power < 0)
        return f"{above}/{below}" if below else above

    def __str__(self) -> str:
        return self.text()

    def __deepcopy__(self, memo: object) -> "Term":
        return self


def _rank(factor: Factor) -> tuple[object, ...]:
    inner = tuple((tuple((by_name(name), power) for name, power in powers), c) for powers, c in factor.inner.parts)
    rest = tuple(str(argument) for argument in factor.more)
    place = _ORDER.get(factor.function, len(_ORDER))
    return not factor.is_input, inner, place, factor.function, rest
