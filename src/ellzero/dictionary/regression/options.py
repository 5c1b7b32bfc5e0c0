"""What options may be: whole numbers, names of columns, times. Anything else is refused with its name."""

__all__ = ["check_effort", "check_flag", "column_number", "columns_named", "whole"]

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor


def whole(value: Any, name: str, *, least: int, most: int | None = None) -> int:
    """A whole number within limits, of Python, NumPy or torch.

    Args:
        value: what a caller gave.
        name: what the message calls it.
        least: smallest number that is allowed.
        most: largest one; None for no limit.

    Returns:
        The number.

    Raises:
        TypeError: if it is not a whole number; True and 2.0 are none.
        ValueError: if it is out of range.

    Example:
        >>> whole(2, "depth", least=1, most=2)
        2
    """
    limits = f"{least} or more" if most is None else f"{least} to {most}"
    try:
        if isinstance(value, bool) or (isinstance(value, Tensor) and value.dtype.is_floating_point):
            raise TypeError
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, {limits}, got {value!r}; try {name}={least}") from error
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} must be {limits}, got {number}; try {name}={max(least, min(number, most or number))}")
    return number


def column_number(index: Any, name: str) -> int:
    """The number that names a column, as it is.

    Raises:
        TypeError: if it is not a whole number.
    """
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise TypeError(f"{name} must name columns by whole numbers, got {index!r}; write numbers from 0 upwards")
    return operator.index(index)


def columns_named(indices: Iterable[Any], num_columns: int, name: str) -> list[int]:
    """Columns by their numbers, negative ones from the end, each once and in order.

    Args:
        indices: what a caller gave.
        num_columns: how many columns there are.
        name: what the message calls it.

    Returns:
        Numbers from 0.

    Raises:
        TypeError: if an index is not a whole number.
        ValueError: if there is no such column.

    Example:
        >>> columns_named([-1, 0], 4, "always")
        [0, 3]
    """
    found = set()
    for index in indices:
        number = column_number(index, name)
        if not -num_columns <= number < num_columns:
            raise ValueError(
                f"{name} names column {number}, but there are {num_columns} columns, 0 to {num_columns - 1}; drop it"
            )
        found.add(number % num_columns)
    return sorted(found)


def check_effort(*, depth: Any, starts: Any = 1, gates: Any = 0, seconds: float = 0.0) -> None:
    """Refuse efforts that cannot be meant; see `best_subset` for them.

    Raises:
        TypeError: if a count is not a whole number.
        ValueError: if a count or the time is out of range.
    """
    whole(depth, "depth", least=1, most=2)
    whole(starts, "starts", least=1)
    whole(gates, "gates", least=0)
    if not seconds >= 0:
        raise ValueError(f"seconds must not be negative, got {seconds}; give seconds=0 for no proof")


def check_flag(value: Any, name: str) -> None:
    """Refuse what is neither True nor False: the text "no" would count as true.

    Args:
        value: what a caller gave.
        name: what the message calls it.

    Raises:
        TypeError: if it is no boolean of Python or NumPy.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}; try {name}=False")
