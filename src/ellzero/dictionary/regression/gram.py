"""Sufficient statistics of least squares: a square root of the Gram matrix, so that its condition is not squared."""

__all__ = ["Gram"]

from dataclasses import dataclass, replace
from typing import Any, Self, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.lengths import lengths_of, triangle, unit_columns, varying
from ellzero.dictionary.regression.rounding import rounding_of, without_rounding
from ellzero.dictionary.regression.samples import (
    as_float64,
    check_finite,
    check_shapes,
    count_samples,
    square_roots,
    within_range,
)

_LEAST_ENERGY = 1e-290  # below, squares of residuals are no longer normal numbers


@final
@dataclass(frozen=True)
class Gram:
    r"""What least squares needs to know of features and targets, for a batch of systems at once.

    .. math:: S X^\top W X S = K^\top K, \qquad S X^\top W y = K^\top t, \qquad \|y\|_W^2 = \|t\|^2 + \rho

    with S the scales that give every column unit length. K is the triangular factor of the data, or the data
    themselves when there are more columns than samples; Gram columns are then computed only when they are needed.
    """

    root: Tensor
    """K, float64, shape `(*batch, rows, columns)`; its columns have length one, or zero where there is nothing."""
    target: Tensor
    """t, float64, shape `(*batch, rows, targets)`."""
    rest: Tensor
    """Energy of the targets that no column can explain, shape `(*batch, targets)`."""
    scale: Tensor
    """Lengths of the columns before scaling, shape `(*batch, columns)`; one for a column of zeros."""
    means: Tensor
    """Weighted means of features and targets, shape `(*batch, columns + targets)`; zero without an intercept."""
    num_samples: int
    """Rows of the data. Whole-numbered weights count as repeated rows; otherwise rows of positive weight count once."""
    num_rows: int
    """Rows of positive weight."""
    has_intercept: bool = False
    """Whether means were taken out."""
    rounding: float = 0.0
    """Relative rounding error of the features; zero for float64."""

    @classmethod
    def of(
        cls, features: Any, targets: Any, *, weights: Any = None, intercept: bool = False,
        rounding: float | None = None,
    ) -> Self:  # fmt: skip
        """Take the statistics of data.

        Args:
            features: the columns to choose from, shape `(*batch, samples, columns)`. Those in single precision that
                depend on each other up to rounding count as dependent: see `without_rounding`.
            targets: what they shall explain, shape `(*batch, samples, targets)`.
            weights: weight of each sample, not negative, shape `(*batch, samples)`; all one if None.
            intercept: whether a constant is fitted beside the columns, outside the budget.
            rounding: relative rounding error of the features; None for that of their type.

        Returns:
            The statistics, on the device of the features.

        Raises:
            ValueError: if shapes do not fit, there is no sample, or a value is not finite (the columns are named).
            TypeError: if the values are not real numbers.

        Source:
            Golub & Van Loan (2013), "Matrix Computations", section 5.3, for the factor in place of the Gram matrix.

        Example:
            >>> gram = Gram.of([[1.0, 0.0], [1.0, 2.0]], [[1.0], [3.0]])
            >>> gram.products
            tensor([[1.0000, 0.7071],
                    [0.7071, 1.0000]], dtype=torch.float64)
        """
        x, y = as_float64(features, "features"), as_float64(targets, "targets")
        root_weights = square_roots(weights, x)
        check_shapes(x, y, root_weights)
        num_columns, (num_samples, num_rows) = x.shape[-1], count_samples(x, root_weights)
        rounding = rounding_of(features) if rounding is None else rounding
        x = without_rounding(x, rounding, root_weights, intercept=intercept)
        x, y, units = within_range(x, y)
        if x.shape[-2] >= 2 * (num_columns + y.shape[-1] + 1):
            factor = triangle(x, y, root_weights, intercept)
            found = cls.from_factor(factor, num_columns, num_samples=num_samples, intercept=intercept)
        else:
            found = cls._of_rows(x, y, root_weights, intercept)
        found = replace(found, num_samples=num_samples, num_rows=num_rows, rounding=rounding).in_units(units)
        if units is not None:
            _check_energies(found)
        return found

    @classmethod
    def from_factor(cls, factor: Tensor, num_columns: int, *, num_samples: int, intercept: bool) -> Self:
        """Take the statistics from the triangular factor of the columns `[1, features, targets]`, weighted.

        Args:
            factor: upper triangular, shape `(*batch, 1 + columns + targets, 1 + columns + targets)`; the first row and
                column are missing without an intercept.
            num_columns: how many features there are.
            num_samples: rows of the data.
            intercept: whether the first column is the constant. What stands below its row is centred.

        Returns:
            The statistics.

        Example:
            >>> Gram.from_factor(torch.eye(3).double() * 2, 2, num_samples=5, intercept=False).scale
            tensor([2., 2.], dtype=torch.float64)
        """
        means = factor.new_zeros(*factor.shape[:-2], factor.shape[-1] - intercept)
        shift = torch.zeros_like(factor[..., 0, :])
        if intercept:
            means = factor[..., 0, 1:] / factor[..., 0, :1]
            factor, shift = factor[..., 1:, 1:], factor[..., 0, 1:]
        root, target = factor[..., :num_columns, :num_columns], factor[..., :num_columns, num_columns:]
        rest = factor[..., num_columns:, num_columns:].square().sum(-2)
        root, scale = unit_columns(root, shift[..., :num_columns])
        if intercept:
            target, rest = varying(target, rest, shift[..., num_columns:])
        return cls(root, target, rest, scale, means, num_samples, num_samples, intercept)

    @classmethod
    def from_products(cls, gram: Any, cross: Any, energies: Any, *, num_samples: int) -> Self:
        r"""Take the statistics from products alone; half of the digits of nearly dependent columns are lost.

        Args:
            gram: :math:`X^\top X`, shape `(*batch, columns, columns)`.
            cross: :math:`X^\top y`, shape `(*batch, columns, targets)`.
            energies: :math:`y^\top y`, shape `(*batch, targets)`.
            num_samples: rows of the data.

        Returns:
            The statistics.

        Raises:
            ValueError: if shapes do not fit or a value is not finite.

        Example:
            >>> Gram.from_products([[4.0]], [[2.0]], [1.5], num_samples=3).rest
            tensor([0.5000], dtype=torch.float64)
        """
        products, right, energy = (
            as_float64(v, n) for v, n in ((gram, "gram"), (cross, "cross"), (energies, "energies"))
        )
        num = products.shape[-1] if products.dim() >= 2 else 0
        if products.shape[-2:] != (num, num) or right.shape[-2:-1] != (num,) or energy.shape[-1:] != right.shape[-1:]:
            raise ValueError(
                f"gram {tuple(products.shape)}, cross {tuple(right.shape)}, energies {tuple(energy.shape)} do not fit;"
                " expected (*batch, p, p), (*batch, p, q) and (*batch, q)"
            )
        check_finite(products.flatten(0, -2), "gram")
        scale = products.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        values, vectors = torch.linalg.eigh(products / (scale.unsqueeze(-1) * scale.unsqueeze(-2)))
        lengths = values.clamp_min(values[..., -1:] * num * torch.finfo(torch.float64).eps).sqrt()
        root = lengths.unsqueeze(-1) * vectors.mT
        target = (vectors.mT @ (right / scale.unsqueeze(-1))) / lengths.unsqueeze(-1)
        root, again = unit_columns(root, torch.zeros_like(scale))
        rest = (energy - target.square().sum(-2)).clamp_min(0)
        means = root.new_zeros(*root.shape[:-2], num + right.shape[-1])
        return cls(root, target, rest, scale * again, means, num_samples, num_samples)

    @classmethod
    def _of_rows(cls, x: Tensor, y: Tensor, root_weights: Tensor | None, intercept: bool) -> Self:
        """Keep the weighted and centred rows themselves."""
        means, rest = x.new_zeros(*x.shape[:-2], x.shape[-1] + y.shape[-1]), torch.zeros_like(y[..., 0, :])
        shift, is_own = torch.zeros_like(x[..., 0, :]), intercept or root_weights is not None
        if intercept:
            weights = torch.ones_like(y[..., :1]) if root_weights is None else root_weights.square()
            total = weights.sum(-2, keepdim=True)
            x_mean, y_mean = (weights / total).mT @ x, (weights / total).mT @ y
            shift = (x_mean * total.sqrt()).squeeze(-2)
            means = torch.cat([x_mean, y_mean], -1).squeeze(-2)
            x, y = x - x_mean, y - y_mean
        if root_weights is not None:
            x, y = x * root_weights, y * root_weights
        if intercept:
            y, rest = varying(y, rest, (y_mean * total.sqrt()).squeeze(-2))
        root, scale = unit_columns(x, shift, in_place=is_own)
        return cls(root, y, rest, scale, means, x.shape[-2], x.shape[-2], intercept)

    def in_units(self, units: Tensor | None) -> Self:
        """Statistics of the data that, divided by `units`, gave these; None changes nothing.

        Args:
            units: of the features and then the targets, shape `(columns + targets,)`.

        Returns:
            The statistics.
        """
        if units is None:
            return self
        of_features, of_targets = units[: self.num_columns], units[self.num_columns :]
        return replace(
            self, target=self.target * of_targets, rest=self.rest * of_targets.square(),
            scale=self.scale * of_features, means=self.means * units,
        )  # fmt: skip

    @property
    def num_columns(self) -> int:
        """How many columns there are to choose from."""
        return self.root.shape[-1]

    @property
    def num_targets(self) -> int:
        """How many targets there are to explain."""
        return self.target.shape[-1]

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch of systems."""
        return self.root.shape[:-2]

    @property
    def energy(self) -> Tensor:
        """Weighted sums of squares of the (centred) targets, shape `(*batch, targets)`."""
        return self.target.square().sum(-2) + self.rest

    @property
    def products(self) -> Tensor:
        """Gram matrix of the scaled columns, shape `(*batch, columns, columns)`."""
        return self.root.mT @ self.root

    @property
    def is_present(self) -> Tensor:
        """Which columns are neither zero nor, beside an intercept, constant; bool, shape `(*batch, columns)`."""
        return lengths_of(self.root) > 0.5  # they are one or zero


def _check_energies(gram: Gram) -> None:
    """Refuse targets whose squares leave the range of float64: residuals could not be told apart."""
    energy, largest = gram.energy, gram.target.abs().amax(-2)
    is_beyond = ~torch.isfinite(energy) | ((largest > 0) & (energy < _LEAST_ENERGY))
    if bool(is_beyond.any()):
        column = (
            int(is_beyond.flatten(0, -2).any(0).nonzero()[0]) if is_beyond.dim() > 1 else int(is_beyond.nonzero()[0])
        )
        raise ValueError(
            f"squares of the targets in column {column} are beyond the range of float64; give the targets in units in"
            " which they are closer to 1"
        )
