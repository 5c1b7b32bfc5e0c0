"""How terms are computed: each function once, then products of two, level by level."""

__all__ = ["Atom", "Tables", "tabulate"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Term

_Key: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Atom:
    """A function of polynomials, or one over it; the constant is the function `one` without arguments."""

    function: str
    arguments: tuple[Inner, ...] = ()
    is_reciprocal: bool = False


@dataclass(frozen=True)
class Tables:
    """A program for all terms of a dictionary.

    The rows of a pool are the atoms, followed by products: row `first[k]` times atom `second[k]`. The products come
    level by level, and each multiplies rows of the level before: `levels` are the numbers of products of each. Term `t`
    is row `order[t]`.

    Attributes:
        atoms: what is computed by a function.
        first: for each product a row of the level before, counted within that level.
        second: for each product an atom.
        levels: how many products each level has.
        order: for each term its row.
    """

    atoms: tuple[Atom, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    levels: tuple[int, ...]
    order: tuple[int, ...]


def tabulate(terms: Sequence[Term]) -> Tables:
    """Write the program: every atom and every product once.

    Args:
        terms: what is to be computed.

    Example:
        >>> table = tabulate([Term.variable("x"), Term.variable("x", 3)])
        >>> len(table.atoms), table.levels, table.order
        (1, (1, 1), (0, 2))
    """
    atoms: dict[Atom, int] = {}
    keys = [tuple(sorted(atoms.setdefault(atom, len(atoms)) for atom in _atoms(term))) for term in terms]
    needed = {key[:length] for key in keys for length in range(1, len(key) + 1)}
    first: list[int] = []
    second: list[int] = []
    levels: list[int] = []
    below: dict[_Key, int] = {(number,): number for number in range(len(atoms))}
    row: dict[_Key, int] = dict(below)
    for length in range(2, max([1, *map(len, keys)]) + 1):
        here = sorted(key for key in needed if len(key) == length)
        first += [below[key[:-1]] for key in here]
        second += [key[-1] for key in here]
        levels.append(len(here))
        below = {key: number for number, key in enumerate(here)}
        row |= {key: len(row) + number for number, key in enumerate(here)}
    return Tables(tuple(atoms), tuple(first), tuple(second), tuple(levels), tuple(row[key] for key in keys))


def _atoms(term: Term) -> list[Atom]:
    """Each factor as often as its power says; the constant term is one atom."""
    if not term.factors:
        return [Atom("one")]
    return [
        Atom(factor.function, factor.arguments, factor.power < 0)
        for factor in term.factors
        for _ in range(abs(factor.power))
    ]
