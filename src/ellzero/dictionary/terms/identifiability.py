"""What samples can tell about a dictionary before anything is fitted: rank, doubles, constants, relations."""

__all__ = ["Identifiability", "identifiability"]

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.relations import Relation, relations
from ellzero.dictionary.terms.term import Term

Array = NDArray[np.float64]

_TOLERANCE = {2: 1e-2, 4: 1e-5, 8: 1e-10}
"""What counts as dependent, for the bytes of a number of the samples, relative to the length of a column."""

_SHOWN = 12


@dataclass(frozen=True)
class Identifiability:
    """Whether the coefficients of a dictionary can be told apart on some samples.

    Attributes:
        dictionary: what was asked about.
        num_samples: on how many samples.
        rank: how many terms can be told apart.
        condition: of the terms, each scaled to length one; infinite where they cannot be told apart, for then
            coefficients may change without end while the sums stay the same.
        rest_condition: of the terms that are left when the redundant ones are gone.
        tolerance: what counted as dependent.
        constant: names of terms that do not vary on the samples, the constant term itself left out.
        duplicated: pairs of names of terms that are multiples of one another.
        relations: how each redundant term depends on those before it.
        canonical: the dictionary without the redundant terms.
    """

    dictionary: Dictionary
    num_samples: int
    rank: int
    condition: float
    rest_condition: float
    tolerance: float
    constant: tuple[str, ...]
    duplicated: tuple[tuple[str, str], ...]
    relations: tuple[Relation, ...]
    canonical: Dictionary

    @property
    def is_identifiable(self) -> bool:
        """Whether there is no relation among the terms."""
        return not self.relations

    @property
    def collinear(self) -> tuple[str, ...]:
        """Names of the terms that are sums of others."""
        return tuple(relation.term for relation in self.relations)

    def __str__(self) -> str:
        condition = f"condition number {self.condition:.3g}"
        if self.relations:
            condition = f"so no condition number ({self.rest_condition:.3g} without what is redundant)"
        lines = [f"{len(self.dictionary)} terms on {self.num_samples} samples: rank {self.rank}, {condition}"]
        lines += [f"constant on the samples: {', '.join(self.constant)}"] if self.constant else []
        lines += [f"multiples of one another: {one} and {other}" for one, other in self.duplicated[:_SHOWN]]
        for relation in self.relations[:_SHOWN]:
            lines.append(f"{relation}  ({'for all inputs' if relation.is_identity else 'on these samples'})")
        hidden = len(self.relations) - _SHOWN
        lines += [f"and {hidden} more relations"] if hidden > 0 else []
        if self.relations:
            lines.append(f"leave out: {', '.join(self.collinear)}")
        return "\n".join(lines)


def identifiability(
    dictionary: Dictionary, samples: Tensor | ArrayLike, *, tolerance: float | None = None
) -> Identifiability:
    r"""Find the terms that samples cannot tell apart, and how they depend on each other.

    Columns are scaled to length one and taken in the order of the dictionary; a term whose distance to the span of
    those before it is at most the tolerance is redundant, and written as their sum. The rank is the number of the
    others. A relation that also holds on random inputs is an identity of the functions; otherwise it belongs to where
    the samples lie, such as :math:`c^2 + s^2 = 1` for a cosine and a sine that are measured.

    NumPy's `matrix_rank` counts everything above rounding, some 1e-13 for a thousand samples. Terms at a distance of
    1e-12, such as 1, x and x^2 for x within 1e-6 of 1, have a rank of three there and of two here: their coefficients
    would have four digits at most, and none with the least noise. Subtract a constant from such inputs, or give
    `tolerance=1e-13`.

    Args:
        dictionary: the candidate terms.
        samples: shape `(num_samples, num_inputs)`.
        tolerance: what counts as dependent; by default 1e-10 for float64, 1e-5 for float32, 1e-2 for half precision.

    Returns:
        A report; print it. `report.canonical` is the dictionary without redundant terms.

    Raises:
        ValueError: if there are fewer samples than terms, or the tolerance does not lie between 0 and 1.
        NonFiniteError: if a term overflows on the samples; it is named.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> angle = torch.linspace(0, 6, 100, dtype=torch.float64)
        >>> report = identifiability(polynomial("c s", 2), torch.stack([angle.cos(), angle.sin()], -1))
        >>> print(report)
        6 terms on 100 samples: rank 5, so no condition number (3.11 without what is redundant)
        c^2 + s^2 - 1 = 0  (on these samples)
        leave out: s^2
        >>> report.canonical.names
        ('1', 'c', 's', 'c^2', 'c s')
    """
    x = samples if isinstance(samples, Tensor) else torch.as_tensor(np.asarray(samples).copy())
    if x.dim() != 2:
        raise ValueError(f"samples have a row for each sample, shape (num_samples, num_inputs); got {tuple(x.shape)}")
    limit = _TOLERANCE[min(8, x.element_size())] if tolerance is None else tolerance
    if not 0 <= limit < 1:
        raise ValueError(f"the tolerance is a share from 0 to 1, got {limit}; leave it out for the default")
    if len(x) < len(dictionary):
        raise ValueError(
            f"{len(x)} samples cannot tell {len(dictionary)} terms apart; give at least as many, or fewer terms"
        )
    columns = dictionary.evaluate(x.double()).cpu().numpy()
    found = relations(dictionary, columns, limit)
    redundant = {relation.term for relation in found}
    kept = [name for name in dictionary.names if name not in redundant]
    return Identifiability(
        dictionary,
        len(columns),
        len(kept),
        np.inf if found else _condition(columns),
        _condition(columns[:, [name not in redundant for name in dictionary.names]]),
        limit,
        _constant(dictionary, columns, limit),
        _duplicated(dictionary, columns, limit),
        found,
        dictionary.select(kept or [dictionary.names[0]]),
    )


def _condition(columns: Array) -> float:
    if not columns.shape[1]:
        return float("nan")
    values = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)
    return float(values[0] / values[-1])


def _constant(dictionary: Dictionary, columns: Array, limit: float) -> tuple[str, ...]:
    spread, size = columns.max(0) - columns.min(0), np.abs(columns).max(0)
    is_constant = spread <= limit * size
    named = zip(dictionary.names, dictionary.terms, is_constant, strict=True)
    return tuple(name for name, term, one in named if one and term != Term())


def _duplicated(dictionary: Dictionary, columns: Array, limit: float) -> tuple[tuple[str, str], ...]:
    lengths = np.linalg.norm(columns, axis=0)
    units = columns / np.where(lengths > 0, lengths, 1.0)
    pairs = []
    for one, other in np.argwhere(np.triu(np.abs(units.T @ units) > 1 - 1e-6, 1)).tolist():
        sign = np.sign(units[:, one] @ units[:, other])
        if np.linalg.norm(units[:, one] - sign * units[:, other]) <= limit:
            pairs.append((dictionary.names[one], dictionary.names[other]))
    return tuple(pairs)
