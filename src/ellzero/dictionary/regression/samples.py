"""Features, targets and weights as users give them: read, checked and brought within the range of float64."""

__all__ = ["as_float64", "check_finite", "check_shapes", "count_samples", "square_roots", "within_range"]

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ellzero.dictionary.regression.lengths import lengths_of


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
        kind = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{name} must hold real numbers, got {kind}; pass an array of floats") from error
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


def square_roots(weights: Any, x: Tensor) -> Tensor | None:
    """Square roots of the weights as a column.

    Args:
        weights: one per sample, or None.
        x: features, shape `(*batch, samples, columns)`.

    Returns:
        The roots, shape `(*batch, samples, 1)`, on the device of the features, or None.

    Raises:
        ValueError: if weights are negative, not finite, or all zero.
    """
    if weights is None:
        return None
    values = as_float64(weights, "weights").to(x.device)
    if not bool((values >= 0).all()) or not bool(torch.isfinite(values).all()) or not bool((values.sum(-1) > 0).all()):
        raise ValueError("sample weights must be finite and not negative, with a positive sum; drop the other samples")
    return values.sqrt().unsqueeze(-1)


def count_samples(x: Tensor, root_weights: Tensor | None) -> tuple[int, int]:
    """Samples, counting repetitions, and rows of positive weight; the least of a batch.

    Args:
        x: features.
        root_weights: of the samples, a column. Whole-numbered weights count as repetitions.

    Returns:
        The two numbers.
    """
    if root_weights is None:
        return x.shape[-2], x.shape[-2]
    weights = root_weights.square()
    rows = (weights > 0).to(x.dtype)
    counts = weights.round() if bool(((weights - weights.round()).abs() < 1e-9).all()) else rows
    return int(counts.sum((-1, -2)).min()), int(rows.sum((-1, -2)).min())


def check_shapes(x: Tensor, y: Tensor, root_weights: Tensor | None) -> None:
    """Refuse features, targets and weights of different numbers of samples, or without any.

    Args:
        x: features.
        y: targets.
        root_weights: of the samples, a column.

    Raises:
        ValueError: if the shapes do not fit.
    """
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


def check_finite(values: Tensor, name: str) -> None:
    """Refuse values that are not finite, and name the columns.

    Args:
        values: one row per sample.
        name: what the message calls them.

    Raises:
        ValueError: if a value is not finite.
    """
    is_bad = ~torch.isfinite(values).all(0)
    if bool(is_bad.any()):
        raise ValueError(
            f"{name} contain NaN or infinity in column {is_bad.nonzero().flatten().tolist()[:10]}; drop those samples,"
            " or leave out the terms that overflow"
        )


def within_range(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scale columns whose squares would overflow or vanish; sums of squares of usual data pass untouched.

    Args:
        x: features.
        y: targets.

    Returns:
        Features and targets, and what they were divided by, shape `(columns + targets,)`, or None.

    Raises:
        ValueError: if a value is not finite.
    """
    squares = torch.cat(
        [lengths_of(part).flatten(0, -2).amax(0) if part.dim() > 2 else lengths_of(part) for part in (x, y)]
    )
    if bool(((squares > 1e-120) & (squares < 1e120)).all()):
        return x, y, None
    check_finite(x.flatten(0, -2), "features")
    check_finite(y.flatten(0, -2), "targets")
    largest = torch.cat([x.abs().flatten(0, -2).amax(0), y.abs().flatten(0, -2).amax(0)])
    is_far = (largest > 0) & ((largest < 1e-120) | (largest > 1e120))
    units = torch.where(is_far, largest, torch.ones_like(largest))
    return x / units[: x.shape[-1]], y / units[x.shape[-1] :], units
