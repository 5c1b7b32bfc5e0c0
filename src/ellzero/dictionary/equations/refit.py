"""Least squares on a support that is given: coefficients without the shrinkage that gates leave behind."""

__all__ = ["least_squares", "sums_before"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.dictionary.equations.outputs import Output
from ellzero.errors import NonFiniteError

_TOLERANCE = {2: 1e-2, 4: 1e-6, 8: 1e-11}
"""Of the largest singular value of the scaled terms, for the bytes of a number of the samples; below it terms cannot
be told apart, for what is left of them is the rounding of the samples."""


def least_squares(
    terms: Tensor, targets: Tensor, support: Tensor, outputs: Sequence[Output], names: Sequence[str], *, width: int = 8
) -> Tensor:
    r"""Minimise the squared error of each target over the coefficients of its support.

    .. math:: \min_{c_i} \sum_n \Big(\sum_{j \in S_i} c_{ij} \theta_j(x_n) - f_i^{-1}(y_{ni})\Big)^2

    Args:
        terms: float64, shape `(num_samples, num_terms)`.
        targets: shape `(num_samples, num_outputs)`.
        support: which terms each output uses, bool, shape `(num_outputs, num_terms)`.
        outputs: linear output functions, or `clip`: of those, only targets strictly within the limits are used.
        names: of the terms, for the message.
        width: bytes of a number of the samples that the terms were computed from.

    Returns:
        Coefficients, float64, zero off the support, shape `(num_outputs, num_terms)`.

    Raises:
        ValueError: if shapes do not fit, samples are too few, terms cannot be told apart, or a function is neither.
        NonFiniteError: if a target is not finite.
    """
    _check(targets, len(terms), len(outputs))
    targets = targets.to(terms)
    found = torch.zeros(len(outputs), terms.shape[1], dtype=terms.dtype, device=terms.device)
    for row, output in enumerate(outputs):
        chosen = support[row].nonzero().squeeze(1).to(terms.device)
        if len(chosen):
            sums, is_used = _before(output, targets[:, row])
            shown = [names[number] for number in chosen.tolist()]
            found[row, chosen] = _solve(terms[is_used][:, chosen], sums[is_used], shown, _TOLERANCE[min(8, width)])
    return found


def sums_before(outputs: Sequence[Output], targets: Tensor, num_samples: int) -> tuple[Tensor, Tensor]:
    """The sums of terms that give these targets, and the samples for which all of them are known.

    Args:
        outputs: linear output functions, or `clip`.
        targets: shape `(num_samples, num_outputs)`.
        num_samples: how many samples there must be.

    Returns:
        Sums, float64, shape `(num_samples, num_outputs)`, and a mask of shape `(num_samples,)`.

    Raises:
        ValueError: if shapes do not fit, or a function is neither.
        NonFiniteError: if a target is not finite.
    """
    _check(targets, num_samples, len(outputs))
    pairs = [_before(output, column) for output, column in zip(outputs, targets.double().unbind(1), strict=True)]
    return torch.stack([sums for sums, _ in pairs], 1), torch.stack([is_used for _, is_used in pairs]).all(0)


def _check(targets: Tensor, num_samples: int, num_outputs: int) -> None:
    if tuple(targets.shape) != (num_samples, num_outputs):
        raise ValueError(
            f"the targets have shape {tuple(targets.shape)}, expected {(num_samples, num_outputs)}: a row for each "
            "sample, a column for each output"
        )
    if not bool(targets.isfinite().all()):
        raise NonFiniteError(f"{int((~targets.isfinite()).sum())} targets are NaN or infinite; leave these samples out")


def _before(output: Output, values: Tensor) -> tuple[Tensor, Tensor]:
    """The sums that give these values, and for which samples they are known."""
    if output.function not in ("identity", "clip"):
        raise ValueError(
            f"the output function {output.function!r} bends the sum, so that least squares does not apply; train the "
            "coefficients instead"
        )
    sums = (values - output.offset) / output.scale
    return sums, (sums > output.low) & (sums < output.high)


def _solve(terms: Tensor, sums: Tensor, names: Sequence[str], tolerance: float) -> Tensor:
    num_samples, num_terms = terms.shape
    if num_samples < num_terms:
        raise ValueError(f"{num_samples} samples cannot tell {num_terms} terms apart; give more samples")
    sizes = terms.square().sum(0).sqrt()
    sizes = torch.where(sizes > 0, sizes, 1.0)
    left, values, right = torch.linalg.svd(terms / sizes, full_matrices=False)
    if float(values[-1]) <= tolerance * float(values[0]):
        worst = right[-1].abs()
        mixed = [names[number] for number in (worst > 0.1 * worst.max()).nonzero().squeeze(1).tolist()]
        raise ValueError(
            f"the terms {', '.join(map(repr, mixed[:8]))} cannot be told apart on these samples; "
            "identifiability(dictionary, samples) shows how they depend on each other"
        )
    result: Tensor = (right.T @ ((left.T @ sums) / values)) / sizes
    return result
