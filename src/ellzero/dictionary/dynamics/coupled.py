"""Search for the support of coupled equations on the quadratic form of their likelihood."""

__all__ = ["Limit", "search_support"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.thinning import independent, remainder, thinned

ROUNDS = 400
NEW = 1e-18
"""Share of the square of a column that must be independent of the chosen ones before it may join them."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many terms may stay; None does not ask.

    Attributes:
        total: in all equations together.
        each: in each equation.
    """

    total: int | None = None
    each: tuple[int, ...] | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is a limit at all; it is then used up."""
        return self.total is not None or self.each is not None

    def full(self, counts: list[int]) -> list[bool]:
        """Which equations may not take another term."""
        if self.total is not None and sum(counts) >= self.total:
            return [True] * len(counts)
        return [self.each is not None and count >= self.each[index] for index, count in enumerate(counts)]

    def over(self, counts: list[int]) -> list[bool]:
        """Which equations must give up a term."""
        if self.total is not None and sum(counts) > self.total:
            return [True] * len(counts)
        return [self.each is not None and count > self.each[index] for index, count in enumerate(counts)]


def search_support(
    evidence: Evidence, start: Tensor, *, penalty: float, num_equations: int = 1, limit: Limit | None = None
) -> Tensor:
    r"""Minimise chi-square plus a price per term, by dropping, adding and swapping terms until none of them helps.

    .. math:: \min_S \; \min_{\xi_S} |y - X_S \xi_S|^2 + \lambda |S|

    Two searches compete: one from the given support, and one from what is left of all terms when those that explain
    least are given up one by one. The second finds terms that only help together.

    Args:
        evidence: the least squares problem.
        start: indices to begin with.
        penalty: price of a term, in units of chi-square; not asked where there is a limit.
        num_equations: into how many equations the indices fall, equally many for each.
        limit: how many terms may stay; it is used up.

    Returns:
        Sorted indices of the support: no single change of it is better.

    Example:
        >>> one = Evidence(torch.eye(3), torch.tensor([5.0, 0.1, -4.0]), torch.zeros(3))
        >>> search_support(one, torch.tensor([1]), penalty=4.0)
        tensor([0, 2])
        >>> search_support(one, torch.tensor([1]), penalty=4.0, limit=Limit(total=1))
        tensor([0])
    """
    search = _Search(evidence, penalty, num_equations, limit or Limit())
    found = max((search.settle(start.tolist()), search.settle(search.elimination())), key=search.worth)
    return torch.tensor(sorted(found), dtype=torch.long, device=evidence.right.device)


class _Search:
    """Supports of a least squares problem with columns of unit length, and changes of them."""

    def __init__(self, evidence: Evidence, penalty: float, num_equations: int, limit: Limit) -> None:
        lengths = evidence.columns.square().sum(0)
        self.columns = evidence.columns * lengths.clamp_min(1e-300).rsqrt()
        self.aim = evidence.aim
        self.penalty, self.limit = penalty, limit
        self.num_equations, self.num_terms = num_equations, len(lengths) // num_equations

    def settle(self, start: list[int]) -> list[int]:
        """Change a support until no single change helps."""
        support = list(start)
        for _ in range(ROUNDS):
            changed = self.drop(support) or self.add(support) or self.swap(support)
            if changed is None:
                break
            support = changed
        return support

    def elimination(self) -> list[int]:
        """What backward elimination leaves of all terms."""
        everything = independent(self.columns, NEW)
        below = math.inf if self.limit.is_given else self.penalty
        return thinned(self.columns, self.aim, everything, at_risk=self._at_risk, below=below).tolist()

    def drop(self, support: list[int]) -> list[int] | None:
        """Give up the term that explains least, if it must go or does not earn its price."""
        risky = self._at_risk(support)
        if not risky:
            return None
        losses = self._directions(support)[1].square()
        least = risky[int(losses[risky].argmin())]
        if not self.limit.is_given and losses[least] >= self.penalty:
            return None
        return support[:least] + support[least + 1 :]

    def add(self, support: list[int]) -> list[int] | None:
        """Take the term that explains most, if it may come or earns its price."""
        gains = self._open(self._gains(support), support)
        best = int(gains.argmax())
        if gains[best] <= (0.0 if self.limit.is_given else self.penalty):
            return None
        return [*support, best]

    def swap(self, support: list[int]) -> list[int] | None:
        """Replace one term by another, if a pair is found that explains more."""
        if not support:
            return None
        # Giving up a term frees one direction: what is new in every other column grows by its share of it.
        freed, shares = self._directions(support)
        square, score = self._rest(support)
        overlap = freed.mT @ self.columns
        square = square + overlap.square()
        gains = torch.where(square > NEW, (score + shares[:, None] * overlap).square() / square.clamp_min(NEW), 0.0)
        gains[:, support] = 0
        for position in range(len(support)):
            self._open(gains[position], support[:position] + support[position + 1 :])
        change = gains - shares.square()[:, None]
        position, newcomer = divmod(int(change.argmax()), self.columns.shape[1])
        if not 1e-3 + 1e-10 * self.gain(support) < change[position, newcomer] < math.inf:
            return None
        return [*support[:position], *support[position + 1 :], newcomer]

    def gain(self, support: list[int]) -> float:
        """Chi-square explained by a support."""
        return float((self._basis(support).mT @ self.aim).square().sum())

    def worth(self, support: list[int]) -> float:
        """Chi-square explained less the price of the terms."""
        return self.gain(support) - (0.0 if self.limit.is_given else self.penalty * len(support))

    def _at_risk(self, support: list[int]) -> list[int]:
        """Positions of terms that may be given up: all, or those in equations that are over a limit."""
        if not self.limit.is_given:
            return list(range(len(support)))
        over = self.limit.over(self._counts(support))
        return [position for position, index in enumerate(support) if over[index // self.num_terms]]

    def _counts(self, support: list[int]) -> list[int]:
        """Terms in each equation."""
        counts = [0] * self.num_equations
        for index in support:
            counts[index // self.num_terms] += 1
        return counts

    def _open(self, gains: Tensor, support: list[int]) -> Tensor:
        """Gains, without those in equations that are full."""
        for equation, is_full in enumerate(self.limit.full(self._counts(support))):
            if is_full:
                gains[equation * self.num_terms : (equation + 1) * self.num_terms] = 0
        return gains

    def _basis(self, support: list[int]) -> Tensor:
        """Orthonormal directions that the chosen columns span."""
        return torch.linalg.qr(self.columns[:, support])[0]

    def _directions(self, support: list[int]) -> tuple[Tensor, Tensor]:
        """For each chosen term the direction that only it adds, shape `(rows, chosen)`, and the aim's share of it."""
        basis, triangle = torch.linalg.qr(self.columns[:, support])
        eye = torch.eye(len(support), dtype=triangle.dtype, device=triangle.device)
        inverse = torch.linalg.solve_triangular(triangle, eye, upper=True)
        freed = basis @ (inverse / inverse.norm(dim=1, keepdim=True)).mT
        return freed, freed.mT @ self.aim

    def _rest(self, support: list[int]) -> tuple[Tensor, Tensor]:
        """Square of what is new in each column beside the chosen ones, and its product with the aim."""
        new = remainder(self.columns, self._basis(support)) if support else self.columns
        return new.square().sum(0), new.mT @ self.aim

    def _gains(self, support: list[int]) -> Tensor:
        """Chi-square gained by adding each term; none for those chosen or dependent on them."""
        square, score = self._rest(support)
        found = torch.where(square > NEW, score.square() / square.clamp_min(NEW), 0.0)
        found[support] = 0
        return found
