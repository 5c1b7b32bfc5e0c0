"""`Evidence`: what data say about all candidate coefficients, as a square root, so that no condition is squared."""

__all__ = ["Evidence"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

DEPENDENT = 1e-12
"""Singular values below this share of the largest count as zero."""


@dataclass(frozen=True, slots=True)
class Evidence:
    r"""Least squares in all candidate coefficients, to second order around an origin.

    .. math:: \chi^2(\xi) \approx |y - X (\xi - \xi_0)|^2

    Terms far from their origin, such as powers of a temperature in kelvin, are nearly the same on the data. What tells
    them apart is lost in :math:`X^\top X`, where it counts squared; hence X itself is kept, compressed to a triangle.

    Attributes:
        columns: X, at most one row more than columns, shape `(rows, states * terms)`, equation after equation.
        right: y, shape `(rows,)`.
        origin: the flat coefficients at which it was taken, shape `(states * terms,)`.

    Example:
        >>> one = Evidence.from_rows(torch.tensor([[1.0], [1.0]]), torch.tensor([1.0, 3.0]))
        >>> one.refit(torch.tensor([0]))
        tensor([2.0000])
        >>> round(one.chi_square(torch.tensor([2.0])), 4)
        2.0
    """

    columns: Tensor
    right: Tensor
    origin: Tensor

    @classmethod
    def from_rows(cls, columns: Tensor, right: Tensor, origin: Tensor | None = None) -> Self:
        """Compress rows of unit variance.

        Args:
            columns: shape `(rows, states * terms)`.
            right: shape `(rows,)`.
            origin: shape `(states * terms,)`; zero if it is not given.
        """
        triangle = torch.linalg.qr(torch.cat([columns, right[:, None]], 1), mode="r").R
        return cls(triangle[:, :-1], triangle[:, -1], right.new_zeros(columns.shape[1]) if origin is None else origin)

    @classmethod
    def side_by_side(cls, equations: Sequence["Evidence"]) -> Self:
        """Put together what is known of equations that share no coefficient."""
        return cls(
            torch.block_diag(*(one.columns for one in equations)),
            torch.cat([one.right for one in equations]),
            torch.cat([one.origin for one in equations]),
        )

    @property
    def aim(self) -> Tensor:
        """What the columns have to add up to as seen from zero coefficients, shape `(rows,)`."""
        return self.right + self.columns @ self.origin

    def chi_square(self, coefficients: Tensor) -> float:
        """Weighted sum of squares at flat coefficients."""
        return float((self.right - self.columns @ (coefficients - self.origin)).square().sum())

    def refit(self, support: Tensor) -> Tensor:
        """Coefficients that minimise the sum of squares on a support, zero elsewhere; the shortest where many do.

        Args:
            support: indices, shape `(chosen,)`.

        Returns:
            Flat coefficients, shape `(states * terms,)`.
        """
        found = torch.zeros_like(self.origin)
        if len(support):
            found[support] = self.origin[support]
            rest = self.right - self.columns @ (found - self.origin)
            left, values, right, scale = self._decomposed(support)
            found[support] += scale * (right.mT @ ((left.mT @ rest) / values))
        return found

    def covariance(self, support: Tensor) -> Tensor:
        """Of the coefficients given their support, shape `(chosen, chosen)`."""
        _, values, right, scale = self._decomposed(support)
        half = scale[:, None] * (right.mT / values)
        return half @ half.mT

    def standard_errors(self, support: Tensor) -> Tensor:
        """Standard deviations of all coefficients given the support, flat; zero where there is no term."""
        found = torch.zeros_like(self.origin)
        if len(support):
            found[support] = self.covariance(support).diagonal().sqrt()
        return found

    def _decomposed(self, support: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Singular vectors and values of the chosen columns at unit length, and what they were multiplied by."""
        chosen = self.columns[:, support]
        scale = chosen.square().sum(0).clamp_min(1e-300).rsqrt()
        left, values, right = torch.linalg.svd(chosen * scale, full_matrices=False)
        kept = values > DEPENDENT * values[:1]
        return left[:, kept], values[kept], right[kept], scale
