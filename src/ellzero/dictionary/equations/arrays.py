"""Equations as a function of NumPy arrays, computed from the terms themselves and not from printed text."""

__all__ = ["evaluate", "sums"]

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ellzero.dictionary.equations.rows import Row
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Factor, Term

Array = NDArray[np.float64]
Functions = Mapping[str, Callable[..., torch.Tensor]]


def evaluate(rows: Sequence[Row], inputs: Sequence[str], functions: Functions, x: ArrayLike) -> Array:
    """The targets in float64.

    Args:
        rows: the equations.
        inputs: names of the inputs.
        functions: of the user, by name.
        x: shape `(..., num_inputs)`.

    Returns:
        Targets, shape `(..., num_targets)`.

    Raises:
        ValueError: if the last dimension does not hold the inputs.
    """
    return np.stack([row.output.numpy(total) for row, total, _ in _totals(rows, inputs, functions, x)], -1)


def sums(rows: Sequence[Row], inputs: Sequence[str], functions: Functions, x: ArrayLike) -> Array:
    """For each target the sum of the sizes of its terms, what rounding is relative to, shape `(..., num_targets)`."""
    return np.stack([size for _, _, size in _totals(rows, inputs, functions, x)], -1)


def _totals(
    rows: Sequence[Row], inputs: Sequence[str], functions: Functions, x: ArrayLike
) -> list[tuple[Row, Array, Array]]:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] != len(inputs):
        raise ValueError(
            f"the last dimension must hold the {len(inputs)} inputs {', '.join(inputs)}; got shape {values.shape}"
        )
    columns = dict(zip(inputs, np.moveaxis(values, -1, 0), strict=True))
    found = []
    for row in rows:
        total, size = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
        for coefficient, term in row.parts:
            part = coefficient * _term(term, columns, functions)
            total, size = total + part, size + np.abs(part)
        found.append((row, total, size))
    return found


def _term(term: Term, columns: Mapping[str, Array], functions: Functions) -> Array:
    product = np.ones_like(next(iter(columns.values())))
    for factor in term.factors:
        value = _factor(factor, columns, functions)
        for _ in range(abs(factor.power)):
            product = product * value if factor.power > 0 else product / value
    return product


def _factor(factor: Factor, columns: Mapping[str, Array], functions: Functions) -> Array:
    arguments = [_inner(argument, columns) for argument in factor.arguments]
    if factor.function in functions:
        tensors = [torch.from_numpy(np.array(argument)) for argument in arguments]
        return np.asarray(functions[factor.function](*tensors).numpy())
    return FUNCTIONS[factor.function].numpy(arguments[0])


def _inner(inner: Inner, columns: Mapping[str, Array]) -> Array:
    total = np.zeros_like(next(iter(columns.values())))
    for powers, coefficient in inner.parts:
        part = np.full_like(total, coefficient)
        for name, power in powers:
            part = part * columns[name] ** power
        total = total + part
    return total
