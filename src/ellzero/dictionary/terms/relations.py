"""Linear relations among the terms of a dictionary: the null space of its columns, written so that people know it."""

__all__ = ["Relation", "relations"]

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.inner import joined, number_text

Array = NDArray[np.float64]

_LARGEST_DENOMINATOR = 64
_PROBES = 64


@dataclass(frozen=True)
class Relation:
    """One redundant term as a sum of others.

    Attributes:
        term: the name of the redundant term.
        coefficients: of the others, by name: the term is the sum of them. Whole numbers and simple fractions are exact.
        is_identity: whether it holds for all inputs, and not on the samples only.
    """

    term: str
    coefficients: Mapping[str, float | Fraction]
    is_identity: bool

    def __str__(self) -> str:
        """`c^2 + s^2 - 1 = 0`; the constant stands last, the first coefficient is positive."""
        parts = [(-1 * value, name) for name, value in self.coefficients.items() if name != "1"]
        parts.append((1, self.term))
        parts += [(-1 * value, name) for name, value in self.coefficients.items() if name == "1"]
        sign = -1 if parts[0][0] < 0 else 1
        return f"{joined([(float(sign * value), _part(abs(value), name)) for value, name in parts])} = 0"


def relations(dictionary: Dictionary, columns: Array, tolerance: float) -> tuple[Relation, ...]:
    """All relations: each redundant term in terms of independent ones before it.

    Args:
        dictionary: the terms.
        columns: their values on samples, float64, shape `(num_samples, num_terms)`.
        tolerance: the relative distance to the span of others below which a term is redundant.
    """
    lengths = np.linalg.norm(columns, axis=0)
    lengths = np.where(lengths > 0, lengths, 1.0)
    _, triangle = np.linalg.qr(columns / lengths)  # the same inner products in as many rows as there are terms
    basis: list[int] = []
    orthogonal = np.zeros((len(triangle), 0))
    found = []
    for number in range(len(dictionary)):
        column = triangle[:, number]
        rest = column - orthogonal @ (orthogonal.T @ column)
        rest = rest - orthogonal @ (orthogonal.T @ rest)  # twice is enough
        if np.linalg.norm(rest) > tolerance:
            basis.append(number)
            orthogonal = np.column_stack([orthogonal, rest / np.linalg.norm(rest)])
        else:
            scaled = np.linalg.lstsq(triangle[:, basis], column, rcond=None)[0] if basis else np.zeros(0)
            sums = _readable(dict(zip(basis, scaled.tolist(), strict=True)), lengths / lengths[number], tolerance)
            coefficients = {dictionary.names[n]: value for n, value in sums.items()}
            found.append(Relation(dictionary.names[number], coefficients, _holds_everywhere(dictionary, number, sums)))
    return tuple(found)


def _readable(scaled: Mapping[int, float], lengths: Array, tolerance: float) -> dict[int, float | Fraction]:
    """Drop what is rounding, and write what is a simple fraction as one."""
    slack = max(1e3 * tolerance, 1e-8)
    return {n: _simple(value / float(lengths[n]), slack) for n, value in scaled.items() if abs(value) > slack}


def _simple(value: float, slack: float) -> float | Fraction:
    fraction = Fraction(value).limit_denominator(_LARGEST_DENOMINATOR)
    return fraction if abs(float(fraction) - value) <= slack * max(1.0, abs(value)) else value


def _holds_everywhere(dictionary: Dictionary, number: int, coefficients: Mapping[int, float | Fraction]) -> bool:
    """On random inputs, as far as the terms are defined there."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_PROBES, len(dictionary.inputs), generator=generator, dtype=torch.float64)
    values = dictionary(x.to(dictionary.order.device)).cpu().numpy()
    terms = [values[:, number], *(-float(c) * values[:, n] for n, c in coefficients.items())]
    total, size = np.sum(terms, 0), np.sum(np.abs(terms), 0)
    defined = np.isfinite(size)
    return bool(defined.any()) and bool((np.abs(total[defined]) <= 1e-6 * size[defined]).all())


def _part(value: float | Fraction, name: str) -> str:
    shown = f"{value}" if isinstance(value, Fraction) else number_text(float(value), 6)
    return shown if name == "1" else name if value == 1 else f"{shown} {name}"
