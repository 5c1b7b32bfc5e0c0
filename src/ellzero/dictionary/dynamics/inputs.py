"""Names, dictionaries and budgets that fit what was measured."""

__all__ = ["check_limit", "check_resolution", "library_for", "limit_of", "measured_names"]

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ellzero.dictionary.dynamics.coupled import Limit
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.libraries import polynomial


def measured_names(states: int, controls: int, parameters: int = 0) -> tuple[str, ...]:
    """Default names of states, controls and parameters.

    Args:
        states: how many states.
        controls: how many controls and parameters together.
        parameters: how many of them are parameters.

    Example:
        >>> measured_names(2, 2, 1)
        ('x0', 'x1', 'u0', 'p0')
    """
    named = [f"x{index}" for index in range(states)]
    named += [f"u{index}" for index in range(controls - parameters)]
    return (*named, *(f"p{index}" for index in range(parameters)))


def library_for(
    candidates: Dictionary | Callable[[Sequence[str]], Dictionary] | None,
    names: Sequence[str],
    states: int,
    controls: int,
    given: Sequence[str] | None,
) -> Dictionary:
    """The dictionary for measured states and controls.

    Args:
        candidates: a dictionary, a function of the names, or None for polynomials of degree two.
        names: of states and controls, for those that are made here.
        states: how many states.
        controls: how many controls and parameters.
        given: names that the user gave, which a ready dictionary must bear; None if there are none.

    Returns:
        A dictionary whose inputs are the states and then the controls.

    Raises:
        ValueError: if numbers or names do not fit, or names clash.
        TypeError: if it is no dictionary.
    """
    if len(names) != states + controls:
        raise ValueError(
            f"there are {states} states and {controls} controls, but {len(names)} feature names: {', '.join(names)}"
        )
    for name in names:
        if list(names).count(name) > 1:
            raise ValueError(f"two of the feature names are {name!r}; give each state and control a name of its own")
    if not isinstance(candidates, Dictionary):
        made = polynomial(tuple(names), 2) if candidates is None else candidates(tuple(names))
        if not isinstance(made, Dictionary):
            raise TypeError(f"the dictionary function returned {type(made).__name__}; it must return a Dictionary")
        candidates = made
    if len(candidates.inputs) != states + controls:
        raise ValueError(
            f"the dictionary has {len(candidates.inputs)} inputs ({', '.join(candidates.inputs)}), but there are "
            f"{states} states and {controls} controls; make one for {', '.join(names)}"
        )
    if given is not None and tuple(given) != candidates.inputs:
        raise ValueError(f"the dictionary is made for {candidates.inputs}, but the feature names are {tuple(given)}")
    return candidates


def limit_of(terms: Any) -> Limit:
    """A budget as it was given: one number, one for each equation, or None; NumPy's numbers and arrays as well.

    Args:
        terms: whole numbers.

    Raises:
        TypeError: if it is something else.

    Example:
        >>> limit_of(np.array([2, 3])).each
        (2, 3)
    """
    whole = (int, np.integer)
    given = terms.tolist() if isinstance(terms, np.ndarray) else terms
    if given is None:
        return Limit()
    if isinstance(given, whole) and not isinstance(given, bool):
        return Limit(int(given))
    if isinstance(given, Sequence) and not isinstance(given, str):
        listed = list(given)
        if listed and all(isinstance(one, whole) and not isinstance(one, bool) for one in listed):
            return Limit(None, tuple(map(int, listed)))
    raise TypeError(f"terms must be a number, one number for each equation, or None, got {terms!r}; try terms=7")


def check_limit(limit: Limit, states: int, terms: int) -> None:
    """Refuse budgets that no equations can use up.

    Args:
        limit: the budget.
        states: how many equations.
        terms: candidate terms of each.

    Raises:
        ValueError: if the budget is negative, larger than the dictionary, or for another number of equations.
    """
    if limit.each is not None and len(limit.each) != states:
        raise ValueError(f"terms has {len(limit.each)} entries for {states} equations; give one for each, or a sum")
    for number, most in [(limit.total, states * terms), *((each, terms) for each in limit.each or ())]:
        if number is None:
            continue
        if number < 0:
            raise ValueError(f"the number of terms must be a whole number, 0 or more, got {number!r}; try terms=7")
        if number > most:
            raise ValueError(
                f"a budget of {number} terms is larger than the dictionary, which has {terms} terms for each of "
                f"{states} equations; allow at most {most}"
            )


def check_resolution(resolution: float) -> None:
    """Refuse a resolution that is no share.

    Args:
        resolution: error that data are believed to have at least, as a share of their spread.

    Raises:
        ValueError: if it does not lie between 0 and 1.
    """
    if not 0 < resolution < 1:
        raise ValueError(f"the resolution must lie between 0 and 1, got {resolution}; try 1e-4")
