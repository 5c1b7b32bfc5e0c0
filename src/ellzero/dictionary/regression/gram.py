"""Sufficient statistics of least squares: a square root of the Gram matrix, so that its condition is not squared."""

__all__ = ["Gram", "as_float64"]

from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_CHUNK = 2**16  # rows that are factorised at once: memory follows the columns, not the samples
_CONSTANT = 1e-12  # a centred column that is shorter than this part of the plain one is a constant
_LEAST_ENERGY = 1e-290  # below, squares of residuals are no longer normal numbers


def as_float64(values: Any, name: str) -> Tensor:
    """Copy of nothing where it can be avoided: a float64 tensor of whatever holds numbers.

    Args:
        values: a tensor, an array, or nested lists of numbers.
        name: what the message calls it.

    Returns:
        The numbers, float64, on their device.

    Raises:
        TypeError: if the values are not real numbers.

    Example:
        >>> as_float64([1, 2], "targets")
        tensor([1., 2.], dtype=torch.float64)
    """
    try:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(_writable(values))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must hold real numbers, got {type(values).__name__}; pass an array of floats"
        ) from error
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}; pass real and imaginary parts as columns")
    return tensor.detach().to(torch.float64)


def _writable(values: Any) -> npt.NDArray[np.float64]:
    """An array that torch accepts: read-only memory is copied."""
    array = np.asarray(values)
    if array.dtype.kind in "USMmc":  # text, dates and complex numbers would be converted without a word
        raise TypeError(f"numbers are needed, got {array.dtype}")
    array = np.asarray(array, dtype=np.float64)
    return array if array.flags.writeable and min((0, *array.strides)) >= 0 else array.copy()


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

    @classmethod
    def of(cls, features: Any, targets: Any, *, weights: Any = None, intercept: bool = False) -> Self:
        """Take the statistics of data.

        Args:
            features: the columns to choose from, shape `(*batch, samples, columns)`.
            targets: what they shall explain, shape `(*batch, samples, targets)`.
            weights: weight of each sample, not negative, shape `(*batch, samples)`; all one if None.
            intercept: whether a constant is fitted beside the columns, outside the budget.

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
        root_weights = _root_weights(weights, x)
        _check_shapes(x, y, root_weights)
        num_columns, (num_samples, num_rows) = x.shape[-1], _num_samples(x, root_weights)
        x, y, units = _within_range(x, y)
        if x.shape[-2] >= 2 * (num_columns + y.shape[-1] + 1):
            factor = _triangle(x, y, root_weights, intercept)
            found = cls.from_factor(factor, num_columns, num_samples=num_samples, intercept=intercept)
        else:
            found = cls._of_rows(x, y, root_weights, intercept)
        found = replace(found, num_samples=num_samples, num_rows=num_rows).in_units(units)
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
        root, scale = _unit_columns(root, shift[..., :num_columns])
        if intercept:
            target, rest = _varying(target, rest, shift[..., num_columns:])
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
        _check_finite(products.flatten(0, -2), "gram")
        scale = products.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        values, vectors = torch.linalg.eigh(products / (scale.unsqueeze(-1) * scale.unsqueeze(-2)))
        lengths = values.clamp_min(values[..., -1:] * num * torch.finfo(torch.float64).eps).sqrt()
        root = lengths.unsqueeze(-1) * vectors.mT
        target = (vectors.mT @ (right / scale.unsqueeze(-1))) / lengths.unsqueeze(-1)
        root, again = _unit_columns(root, torch.zeros_like(scale))
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
            y, rest = _varying(y, rest, (y_mean * total.sqrt()).squeeze(-2))
        root, scale = _unit_columns(x, shift, in_place=is_own)
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
        return _lengths(self.root) > 0.5  # they are one or zero


def _root_weights(weights: Any, x: Tensor) -> Tensor | None:
    """Square roots of the weights as a column, checked."""
    if weights is None:
        return None
    values = as_float64(weights, "weights").to(x.device)
    if not bool((values >= 0).all()) or not bool(torch.isfinite(values).all()) or not bool((values.sum(-1) > 0).all()):
        raise ValueError("sample weights must be finite and not negative, with a positive sum; drop the other samples")
    return values.sqrt().unsqueeze(-1)


def _num_samples(x: Tensor, root_weights: Tensor | None) -> tuple[int, int]:
    """Samples, counting repetitions, and rows of positive weight; the least of a batch."""
    if root_weights is None:
        return x.shape[-2], x.shape[-2]
    weights = root_weights.square()
    rows = (weights > 0).to(x.dtype)
    counts = weights.round() if bool(((weights - weights.round()).abs() < 1e-9).all()) else rows
    return int(counts.sum((-1, -2)).min()), int(rows.sum((-1, -2)).min())


def _check_shapes(x: Tensor, y: Tensor, root_weights: Tensor | None) -> None:
    if x.dim() < 2 or y.dim() < 2 or x.shape[:-1] != y.shape[:-1] or 0 in x.shape[-2:] or y.shape[-1] == 0:
        raise ValueError(
            f"features {tuple(x.shape)} and targets {tuple(y.shape)} do not fit; expected (*batch, samples, columns)"
            " and (*batch, samples, targets) with at least one of each"
        )
    if root_weights is not None and root_weights.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            f"weights {tuple(root_weights.shape[:-1])} do not fit features {tuple(x.shape)};"
            " expected one weight per sample"
        )


def _check_finite(values: Tensor, name: str) -> None:
    is_bad = ~torch.isfinite(values).all(0)
    if bool(is_bad.any()):
        raise ValueError(
            f"{name} contain NaN or infinity in column {is_bad.nonzero().flatten().tolist()[:10]}; drop those samples,"
            " or leave out the terms that overflow"
        )


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


def _within_range(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scale columns whose squares would overflow or vanish; sums of squares of usual data pass untouched."""
    squares = torch.cat(
        [_lengths(part).flatten(0, -2).amax(0) if part.dim() > 2 else _lengths(part) for part in (x, y)]
    )
    if bool(((squares > 1e-120) & (squares < 1e120)).all()):
        return x, y, None
    _check_finite(x.flatten(0, -2), "features")
    _check_finite(y.flatten(0, -2), "targets")
    largest = torch.cat([x.abs().flatten(0, -2).amax(0), y.abs().flatten(0, -2).amax(0)])
    is_far = (largest > 0) & ((largest < 1e-120) | (largest > 1e120))
    units = torch.where(is_far, largest, torch.ones_like(largest))
    return x / units[: x.shape[-1]], y / units[x.shape[-1] :], units


def _triangle(x: Tensor, y: Tensor, root_weights: Tensor | None, intercept: bool) -> Tensor:
    """Triangular factor of the weighted columns `[1, features, targets]`, chunk by chunk."""
    factor: Tensor | None = None
    for start in range(0, x.shape[-2], _CHUNK):
        rows = slice(start, start + _CHUNK)
        ones = [torch.ones_like(y[..., rows, :1])] if intercept else []
        part = torch.cat([*ones, x[..., rows, :], y[..., rows, :]], -1)
        part = part if root_weights is None else part * root_weights[..., rows, :]
        factor = torch.linalg.qr(part if factor is None else torch.cat([factor, part], -2), mode="r").R
    assert factor is not None
    return factor


def _unit_columns(root: Tensor, shift: Tensor, *, in_place: bool = False) -> tuple[Tensor, Tensor]:
    """Columns of length one and the lengths; what is left of a constant after the `shift` by centring becomes zero."""
    length = _lengths(root)
    is_present = length > _CONSTANT * torch.hypot(length, shift)
    scale = torch.where(is_present, length, torch.ones_like(length))
    factor = (is_present / scale).unsqueeze(-2)
    return root.mul_(factor) if in_place else root * factor, scale


def _varying(target: Tensor, rest: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and what no column explains; what centring, by the `shift`, leaves of a constant becomes zero."""
    length = (target.square().sum(-2) + rest).sqrt()
    is_constant = length <= _CONSTANT * torch.hypot(length, shift)
    return target.masked_fill(is_constant.unsqueeze(-2), 0.0), rest.masked_fill(is_constant, 0.0)


def _lengths(columns: Tensor) -> Tensor:
    """Euclidean lengths of the columns; torch's own norm is several times slower along this dimension."""
    return columns.square().sum(-2).sqrt()
