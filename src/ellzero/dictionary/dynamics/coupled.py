"""Search for the support of coupled equations on the quadratic form of their likelihood."""

__all__ = ["Limit", "search_support"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.likelihood import Evidence

ROUNDS = 400
JITTER = 1e-13
NEW = 1e-9
"""Share of a column that must be independent of the chosen ones before it may join them."""


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

    .. math:: \min_S \; e - b_S^\top H_{SS}^{-1} b_S + \lambda |S|

    Args:
        evidence: the quadratic.
        start: indices to begin with.
        penalty: price of a term, in units of chi-square; not asked where there is a limit.
        num_equations: into how many equations the indices fall, equally many for each.
        limit: how many terms may stay; it is used up.

    Returns:
        Sorted indices of the support: no single change of it is better.

    Example:
        >>> one = Evidence(torch.eye(3), torch.tensor([5.0, 0.1, -4.0]), 50.0, torch.zeros(3))
        >>> search_support(one, torch.tensor([1]), penalty=4.0)
        tensor([0, 2])
        >>> search_support(one, torch.tensor([1]), penalty=4.0, limit=Limit(total=1))
        tensor([0])
    """
    search = _Search(evidence, start.tolist(), penalty, num_equations, limit or Limit())
    found = search.settle()
    if search.limit.is_given:  # terms that only help together are found without the limit, and then thinned out
        free = _Search(evidence, list(found), penalty, num_equations, Limit()).settle()
        thinned = _Search(evidence, free, penalty, num_equations, search.limit).settle()
        found = max(found, thinned, key=search.gain)
    return torch.tensor(sorted(found), dtype=torch.long, device=evidence.score.device)


class _Search:
    """A support that changes, on the quadratic with columns of unit length."""

    def __init__(
        self, evidence: Evidence, support: list[int], penalty: float, num_equations: int, limit: Limit
    ) -> None:
        scale = evidence.information.diagonal().clamp_min(1e-300).rsqrt()
        self.matrix = evidence.information * scale * scale[:, None]
        self.target = evidence.target * scale
        self.support, self.penalty, self.limit = support, penalty, limit
        self.num_equations, self.num_terms = num_equations, len(scale) // num_equations

    def settle(self) -> list[int]:
        """Change the support until no single change helps."""
        for _ in range(ROUNDS):
            if not (self.drop() or self.add() or self.swap()):
                break
        return list(self.support)

    def drop(self) -> bool:
        """Give up the term that explains least, if it must go or does not earn its price."""
        over = self.limit.over(self._counts())
        if not self.support or (self.limit.is_given and not any(over)):
            return False
        losses = self._losses()
        if self.limit.is_given:
            stays = torch.tensor([not over[index // self.num_terms] for index in self.support])
            losses = losses.masked_fill(stays.to(losses.device), math.inf)
        least = int(losses.argmin())
        if not self.limit.is_given and losses[least] >= self.penalty:
            return False
        self.support.pop(least)
        return True

    def add(self) -> bool:
        """Take the term that explains most, if it may come or earns its price."""
        gains = self._open(self._gains(self.support), self._counts())
        best = int(gains.argmax())
        if gains[best] <= (0.0 if self.limit.is_given else self.penalty):
            return False
        self.support.append(best)
        return True

    def swap(self) -> bool:
        """Replace one term by another, if a pair is found that explains more."""
        now = self.gain(self.support)
        best, change = now + 1e-3 + 1e-10 * abs(now), None
        for position in range(len(self.support)):
            rest = self.support[:position] + self.support[position + 1 :]
            gains = self._open(self._gains(rest), self._counts(rest))
            gains[self.support[position]] = 0
            newcomer = int(gains.argmax())
            if best < (reached := self.gain(rest) + float(gains[newcomer])) < math.inf:
                best, change = reached, (position, newcomer)
        if change is not None:
            self.support[change[0]] = change[1]
        return change is not None

    def _counts(self, support: list[int] | None = None) -> list[int]:
        """Terms in each equation."""
        counts = [0] * self.num_equations
        for index in self.support if support is None else support:
            counts[index // self.num_terms] += 1
        return counts

    def _open(self, gains: Tensor, counts: list[int]) -> Tensor:
        """Gains, without those in equations that are full."""
        for equation, is_full in enumerate(self.limit.full(counts)):
            if is_full:
                gains[equation * self.num_terms : (equation + 1) * self.num_terms] = 0
        return gains

    def _factor(self, support: list[int]) -> Tensor:
        matrix = self.matrix[support][:, support]
        return torch.linalg.cholesky(
            matrix + JITTER * torch.eye(len(support), dtype=matrix.dtype, device=matrix.device)
        )

    def gain(self, support: list[int]) -> float:
        """Chi-square explained by a support."""
        if not support:
            return 0.0
        target = self.target[support]
        return float(target @ torch.cholesky_solve(target[:, None], self._factor(support))[:, 0])

    def _losses(self) -> Tensor:
        """Chi-square lost by dropping each chosen term."""
        inverse = torch.cholesky_inverse(self._factor(self.support))
        return (inverse @ self.target[self.support]).square() / inverse.diagonal()

    def _gains(self, support: list[int]) -> Tensor:
        """Chi-square gained by adding each term; none for those chosen or dependent on them."""
        if not support:
            return self.target.square()
        rows = self.matrix[support]
        solved = torch.cholesky_solve(rows, self._factor(support))
        new = 1 - (rows * solved).sum(0)
        score = self.target - solved.T @ self.target[support]
        found = torch.where(new > NEW, score.square() / new.clamp_min(NEW), 0.0)
        found[support] = 0
        return found
