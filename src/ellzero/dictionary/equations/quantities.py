"""Units of coefficients: whether equations add quantities of one kind."""

__all__ = ["check_coefficient_units", "coefficient_units"]

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.units import Unit, units_of


def coefficient_units(
    targets: tuple[str, ...],
    dictionary: Dictionary,
    support: NDArray[np.bool_],
    units: Mapping[str, str | Unit],
) -> dict[tuple[str, str], Unit]:
    """The unit that each coefficient must have, by target and term.

    Args:
        targets: what is computed.
        dictionary: the terms, of inputs with units.
        support: which terms are there, shape `(num_targets, num_terms)`.
        units: of the targets by name; those that are not named are pure numbers.

    Raises:
        ValueError: if the inputs have no units, a name is unknown, or a term adds different quantities.
    """
    of_terms = dictionary.term_units
    if of_terms is None:
        raise ValueError("the inputs have no units; give some to the dictionary: polynomial(..., units={'x': 'm'})")
    of_targets = units_of(targets, units) or ()
    return {(targets[i], dictionary.names[j]): of_targets[i] / of_terms[j] for i, j in np.argwhere(support).tolist()}


def check_coefficient_units(found: Mapping[tuple[str, str], Unit], constants: Sequence[str | Unit]) -> None:
    """Refuse coefficients that are neither pure numbers nor in the unit of a constant.

    Args:
        found: the unit that each coefficient must have, by target and term.
        constants: units that a coefficient may have.

    Raises:
        ValueError: if a coefficient would need another unit; the term is named.
    """
    allowed = {Unit(), *map(Unit.parse, constants)}
    for (target, term), unit in found.items():
        if unit not in allowed:
            known = ", ".join(sorted(map(str, allowed)))
            raise ValueError(
                f"the coefficient of {term!r} in {target!r} would be in {unit}, expected one of {known}; leave the "
                f"term out, or allow it: constants=[{str(unit)!r}]"
            )
