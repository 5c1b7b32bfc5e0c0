"""The terms of an equation for a field, and the covariance of its windows, which depends on the terms."""

__all__ = ["Settled", "settled", "settled_on_few"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.coupled import Limit, search_support
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.regress import combined, whitened
from ellzero.dictionary.dynamics.weak_field import FieldSystem

SWEEPS = 5
"""How often the covariance of the residuals and the support are brought into agreement."""

FAR = 10.0
"""Mean square of the standardised residuals above which no covariance of fewer terms will explain the windows."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A support and the covariance of its own noise.

    Attributes:
        evidence: under that covariance.
        coefficients: shape `(terms,)`.
        rows: whitened features and target of the windows.
    """

    evidence: Evidence
    coefficients: Tensor
    rows: tuple[Tensor, Tensor]

    def worth(self, penalty: float) -> float:
        """Chi-square and the price of the terms."""
        return self.evidence.chi_square(self.coefficients) + penalty * int((self.coefficients != 0).sum())


def settled(
    systems: Sequence[FieldSystem], noise: float, *, resolution: float, limit: Limit, penalty: float,
    start: Tensor | None = None,
) -> Settled:  # fmt: skip
    """Search for the support under the covariance of the noise in its terms, again and again.

    Args:
        systems: of the runs.
        noise: standard deviation of the field.
        resolution: smallest relative error that the data are believed to have.
        limit: number of terms.
        penalty: price of a term where there is no limit.
        start: coefficients whose covariance is the first one, shape `(terms,)`; None leaves the noise in terms out.

    Returns:
        What the search comes to rest at, or its last round.
    """
    coefficients = start
    support = torch.zeros(0, dtype=torch.long) if start is None else start.nonzero()[:, 0]
    for _ in range(SWEEPS):
        pairs = [[whitened(one.covariance(coefficients, noise), one.features, one.target)] for one in systems]
        evidence, (rows,) = combined(pairs, resolution, at_least=1.0)
        before, support = support, search_support(evidence, support, penalty=penalty, limit=limit)
        coefficients = evidence.refit(support)
        if torch.equal(before, support):
            break
    assert coefficients is not None
    return Settled(evidence, coefficients, rows)


def settled_on_few(
    found: Settled, systems: Sequence[FieldSystem], noise: float, *, resolution: float, penalty: float
) -> Settled:
    r"""The best of a law and of laws with fewer terms, each under the covariance of its own noise.

    .. math:: r(\xi)^\top C(\xi)^{-1} r(\xi) + \lambda \|\xi\|_0

    Noise in superfluous terms can cancel that of the others: a law then agrees with its own covariance, under which
    the true one is worse. On a single wave, where terms are functions of each other, that is how it goes.

    Args:
        found: the law.
        systems: of the runs.
        noise: standard deviation of the field.
        resolution: smallest relative error that the data are believed to have.
        penalty: price of a term.

    Returns:
        The law, or one with fewer terms that is worth more.
    """
    best, rows = found, len(found.rows[1])
    support = found.coefficients.nonzero()[:, 0]
    for count in reversed(range(1, len(support))):
        few = search_support(found.evidence, support, penalty=penalty, limit=Limit(count))
        start = found.evidence.refit(few)
        if found.evidence.chi_square(start) > FAR * rows:
            break
        trial = settled(systems, noise, resolution=resolution, limit=Limit(count), penalty=penalty, start=start)
        best = min(best, trial, key=lambda one: one.worth(penalty))
    return best
