"""What a choice of terms comes back as: support, coefficients, residual, and how good it is known to be."""

__all__ = ["Optimality", "Subset", "as_subset"]

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.fits import columns_of
from ellzero.dictionary.regression.gram import Gram

_SINGULAR = 1e-13  # of a column's length, outside the span of the others
_SHORTEST = 1e-12  # of the largest singular value, below which a direction gets no part in the shortest solution
_ROUNDINGS = 4.0  # roundings of single-precision data, where these are more


@final
@dataclass(frozen=True)
class Optimality:
    """How good a support is known to be, among all supports within the budget.

    Example:
        >>> print(Optimality("gap", 0.9, 0.1, nodes=64, seconds=2.0))
        within 10 % of the least residual of any support (64 nodes, 2.0 s)
    """

    verdict: Literal["optimal", "gap", "local"]
    """`optimal`: no other support has a residual that is smaller by more than 1e-9 of it. `gap`: none is smaller
    than the bound. `local`: no exchange of one term, and none of the tried exchanges of two, makes it smaller; nothing
    is known about other supports."""
    bound: float = 0.0
    """Sum of squares that no support within the budget can go below."""
    gap: float = math.inf
    """One minus the bound as a part of the residual; 0 for `optimal`, infinite for `local`."""
    nodes: int = 0
    """How many sets of supports were examined."""
    seconds: float = 0.0
    """Time that it took."""

    def __str__(self) -> str:
        effort = f"({self.nodes} nodes, {self.seconds:.1f} s)"
        if self.verdict == "optimal":
            return f"no support within the budget has a smaller residual {effort}"
        if self.verdict == "gap":
            return f"within {self.gap * 100:.3g} % of the least residual of any support {effort}"
        return "no tried exchange of terms makes the residual smaller; other supports were not examined"


@final
@dataclass(frozen=True)
class Subset:
    """The chosen terms of a batch of systems; the dimension of the targets is missing where targets had none."""

    support: Tensor
    """Which columns are chosen, bool, shape `(*batch, targets, columns)`."""
    coefficients: Tensor
    """Least squares on the support, float64, in units of the data, zero elsewhere, `(*batch, targets, columns)`."""
    intercept: Tensor
    """Constant beside the columns, shape `(*batch, targets)`; zero when none was asked for."""
    residual: Tensor
    """Weighted sum of squared errors, shape `(*batch, targets)`."""
    certificate: tuple[Optimality, ...]
    """How good each support is known to be: one entry per support that was searched for, in order."""

    @property
    def num_terms(self) -> Tensor:
        """How many columns are chosen, shape `(*batch, targets)`."""
        return self.support.sum(-1)

    def without_targets(self) -> "Subset":
        """The same with the dimension of the targets removed; there must be one target."""
        return Subset(
            self.support.squeeze(-2), self.coefficients.squeeze(-2), self.intercept.squeeze(-1),
            self.residual.squeeze(-1), self.certificate,
        )  # fmt: skip


def as_subset(gram: Gram, supports: Tensor, certificate: tuple[Optimality, ...] = ()) -> Subset:
    """Refit the coefficients of given supports by least squares.

    Args:
        gram: statistics of the data.
        supports: indices, the number of columns where a slot is empty, shape `(*batch, targets, slots)`.
        certificate: what is known about the supports.

    Returns:
        The subset.

    Raises:
        ValueError: if a coefficient is beyond the range of float64.

    Example:
        >>> gram = Gram.of([[2.0, 0.0], [0.0, 4.0]], [[1.0], [3.0]])
        >>> as_subset(gram, torch.tensor([[1, 2]])).coefficients
        tensor([[0.0000, 0.7500]], dtype=torch.float64)
    """
    num, num_targets = gram.num_columns, gram.num_targets
    root = gram.root.reshape(-1, *gram.root.shape[-2:])
    target = gram.target.mT.reshape(len(root), num_targets, -1, 1)
    supports = supports.reshape(len(root), num_targets, -1)
    weights, loss = _solve(root, target, supports, gram.rounding)
    wide = torch.zeros(len(root), num_targets, num + 1, dtype=torch.float64, device=root.device)
    coefficients = wide.scatter(-1, supports, weights)[..., :num].view(*gram.batch_shape, num_targets, num)
    support = wide.scatter(-1, supports, 1.0)[..., :num].view_as(coefficients) > 0
    coefficients = coefficients / gram.scale.unsqueeze(-2)
    _check_range(coefficients)
    means = gram.means
    intercept = means[..., num:] - (coefficients @ means[..., :num].unsqueeze(-1)).squeeze(-1)
    residual = loss.view(*gram.batch_shape, num_targets) + gram.rest
    return Subset(support, coefficients, intercept, residual, certificate)


def _check_range(coefficients: Tensor) -> None:
    is_beyond = ~torch.isfinite(coefficients).flatten(0, -2).all(0)
    if bool(is_beyond.any()):
        raise ValueError(
            f"the coefficient of column {int(is_beyond.nonzero()[0])} is beyond the range of float64: the column is too"
            " small beside the targets; give it in larger units, or the targets in smaller ones"
        )


def _solve(root: Tensor, target: Tensor, supports: Tensor, rounding: float) -> tuple[Tensor, Tensor]:
    """Coefficients of the scaled columns and sums of squares, by QR of the columns themselves."""
    chosen = columns_of(root, supports)  # (roots, targets, rows, slots)
    is_empty = supports == root.shape[-1]
    rows = torch.diag_embed(is_empty.to(chosen.dtype))  # one row of its own for each empty slot
    basis, triangle = torch.linalg.qr(torch.cat([chosen, rows], -2))
    basis = basis[..., : root.shape[-2], :]
    fitted = basis.mT @ target
    weights = torch.linalg.solve_triangular(triangle, fitted, upper=True).squeeze(-1)
    loss = (target - basis @ fitted).square().sum((-1, -2))
    is_singular = triangle.diagonal(dim1=-2, dim2=-1).abs().amin(-1) < max(_SINGULAR, _ROUNDINGS * rounding)
    part = max(_SHORTEST, _ROUNDINGS * rounding)
    for place in is_singular.nonzero().tolist():  # columns of groups may depend on each other: the shortest solution
        columns, one = chosen[*place], target[*place]
        solution = torch.linalg.lstsq(columns.cpu(), one.cpu(), driver="gelsd", rcond=part).solution.to(one.device)
        weights[*place], loss[*place] = solution.squeeze(-1), (one - columns @ solution).square().sum()
    return weights.masked_fill(is_empty, 0.0), loss
