"""Equations as a function of NumPy arrays, computed from the terms themselves and not from printed text."""

__all__ = ["added", "contributions", "evaluate"]

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
    found = contributions(rows, inputs, functions, x)
    return np.stack([row.output.numpy(added(parts)) for row, parts in zip(rows, found, strict=True)], -1)


def contributions(rows: Sequence[Row], inputs: Sequence[str], functions: Functions, x: ArrayLike) -> list[Array]:
    """The terms of each equation with their coefficients, before they are added.

    Args:
        rows: the equations.
        inputs: names of the inputs.
        functions: of the user, by name.
        x: shape `(..., num_inputs)`.

    Returns:
        For each equation an array of shape `(..., num_terms)`.

    Raises:
        ValueError: if the last dimension does not hold the inputs.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] != len(inputs):
        raise ValueError(
            f"the last dimension must hold the {len(inputs)} inputs {', '.join(inputs)}; got shape {values.shape}"
        )
    columns = dict(zip(inputs, np.moveaxis(values, -1, 0), strict=True))
    found = []
    for row in rows:
        parts = [coefficient * _term(term, columns, functions) for coefficient, term in row.parts]
        found.append(np.moveaxis(np.stack(parts), 0, -1) if parts else np.zeros((*values.shape[:-1], 0)))
    return found


def added(parts: Array, *, without: int = -1) -> Array:
    """Parts of shape `(..., num_terms)` added one after the other, as the source texts do; perhaps without one."""
    total = np.zeros(parts.shape[:-1])
    for number, column in enumerate(np.moveaxis(parts, -1, 0)):
        if number != without:
            total += column
    return total


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
