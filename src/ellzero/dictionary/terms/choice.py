"""Terms chosen by their numbers, by their names, or by a mask."""

__all__ = ["Chosen", "indices_of"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ellzero.errors import nearest

Chosen = Sequence[int] | Sequence[str] | Sequence[bool] | Tensor | NDArray[np.bool_] | NDArray[np.int64]
"""Terms by their numbers, by their names, or by a mask."""


def indices_of(chosen: Chosen, names: Sequence[str]) -> list[int]:
    """The numbers of the terms that are chosen, in the order in which they are given.

    Args:
        chosen: numbers or names of terms, or a mask of shape `(num_terms,)`.
        names: of all terms.

    Raises:
        ValueError: if a name or a number is unknown, or a mask has another length.

    Example:
        >>> indices_of(["x^2", "1"], ("1", "x", "x^2")), indices_of([False, True, True], ("1", "x", "x^2"))
        ([2, 0], [1, 2])
    """
    if isinstance(chosen, str):
        raise ValueError(f"terms are chosen by a list of names, got the string {chosen!r}; write [{chosen!r}]")
    values: list[object] = chosen.tolist() if isinstance(chosen, (Tensor, np.ndarray)) else list(chosen)
    if values and all(isinstance(value, bool) for value in values):
        if len(values) != len(names):
            raise ValueError(f"the mask has {len(values)} entries for {len(names)} terms")
        return [number for number, is_chosen in enumerate(values) if is_chosen]
    return [_number(value, names) for value in values]


def _number(value: object, names: Sequence[str]) -> int:
    if isinstance(value, str):
        if value not in names:
            raise ValueError(f"there is no term {value!r}{nearest(value, names)}")
        return names.index(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(names):
        raise ValueError(f"terms are numbered from 0 to {len(names) - 1}, got {value!r}")
    return value
