"""Fold the scaling of inputs and targets into equations: what was fitted on scaled data is printed for raw data."""

__all__ = ["numbers", "scaled_inputs", "scaled_outputs"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Factor, Term

Array = NDArray[np.float64]


def scaled_inputs(dictionary: Dictionary, coefficients: Array, shift: Array, scale: Array) -> tuple[Dictionary, Array]:
    r"""Write terms of scaled inputs :math:`(x_j - m_j) / s_j` as terms of the inputs themselves.

    Positive powers are expanded; within functions and denominators the polynomial is substituted.

    Args:
        dictionary: of scaled inputs.
        coefficients: shape `(num_targets, num_terms)`.
        shift: m, one for each input.
        scale: s, one for each input.

    Returns:
        The dictionary of what there is, and its coefficients; terms that cancel exactly are left out.
    """
    values = {
        name: (Inner.of(name) - m) * (1.0 / s)
        for name, m, s in zip(dictionary.inputs, shift.tolist(), scale.tolist(), strict=True)
    }
    columns: dict[Term, Array] = {}
    for number, term in enumerate(dictionary.terms):
        for weight, new in _substituted(term, values):
            columns[new] = columns.get(new, np.zeros(len(coefficients))) + weight * coefficients[:, number]
    kept = {term: column for term, column in columns.items() if column.any()} or dict([next(iter(columns.items()))])
    ordered = sorted(kept, key=lambda term: (bool(term.functions), term.degree))
    units = dict(zip(dictionary.inputs, dictionary.units, strict=True)) if dictionary.units is not None else None
    folded = Dictionary(dictionary.inputs, ordered, functions=dictionary.functions, units=units)
    return folded, np.stack([kept[term] for term in ordered], -1)


def scaled_outputs(
    dictionary: Dictionary, coefficients: Array, outputs: Sequence[Output], shift: Array, scale: Array
) -> tuple[Dictionary, Array, tuple[Output, ...]]:
    r"""Undo the scaling of targets, :math:`y_i = m_i + s_i \hat y_i`, in the coefficients or in the output function.

    Args:
        dictionary: of raw inputs; where a sum is shifted, it gets the constant term.
        coefficients: shape `(num_targets, num_terms)`.
        outputs: one for each target.
        shift: m.
        scale: s.
    """
    found, functions = np.array(coefficients), []
    for row, (output, m, s) in enumerate(zip(outputs, shift.tolist(), scale.tolist(), strict=True)):
        offset = m + s * output.offset
        if output.function == "identity":
            found[row] *= output.scale * s
            functions.append(Output(offset=offset))
        else:
            functions.append(replace(output, scale=output.scale * s, offset=offset))
    shifts = np.array([output.offset if output.function == "identity" else 0.0 for output in functions])
    if shifts.any() and Term() not in dictionary.terms:
        dictionary = Dictionary(dictionary.inputs, [Term()]) + dictionary
        found = np.concatenate([np.zeros((len(found), 1)), found], -1)
    if shifts.any():
        found[:, dictionary.terms.index(Term())] += shifts
    plain = (Output() if output.function == "identity" else output for output in functions)
    return dictionary, found, tuple(plain)


def numbers(what: str, given: ArrayLike, num: int, *, is_scale: bool = False) -> Array:
    """One number for each input or target, float64, shape `(num,)`.

    Raises:
        ValueError: if there is another number of them, one is not finite, or a scale is zero.
    """
    found = np.asarray(given, dtype=np.float64)
    if found.shape not in ((), (num,)):
        raise ValueError(f"{what} has shape {found.shape}, expected one number, or {num} of them")
    if not np.isfinite(found).all() or (is_scale and not found.all()):
        raise ValueError(f"{what} must be finite{' and not zero' if is_scale else ''}, got {found}")
    return np.broadcast_to(found, (num,))


def _substituted(term: Term, values: Mapping[str, Inner]) -> list[tuple[float, Term]]:
    """A term of scaled inputs as a sum of terms of raw ones."""
    sums = [_factor(factor, values) for factor in term.factors]
    found = []
    for chosen in product(*sums):
        weight, new = 1.0, Term()
        for number, part in chosen:
            weight, new = weight * number, new * part
        found.append((weight, new))
    return found


def _factor(factor: Factor, values: Mapping[str, Inner]) -> list[tuple[float, Term]]:
    arguments = [argument.substituted(values) for argument in factor.arguments]
    if factor.function == "identity" and factor.power > 0:
        expanded = arguments[0] ** factor.power
        return [(c, Term.of("identity", Inner(((powers, 1.0),)))) for powers, c in expanded.parts]
    if factor.function == "identity" and len(arguments[0].parts) == 1:
        (powers, c), = arguments[0].parts  # fmt: skip
        return [(c**factor.power, Term.of("identity", Inner(((powers, 1.0),)), factor.power))]
    return [(1.0, Term((Factor(factor.function, arguments[0], factor.power, tuple(arguments[1:])),)))]
