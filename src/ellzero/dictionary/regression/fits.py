"""Least squares on many supports at once, and what every swap of one term for another would gain."""

__all__ = ["DEPENDENT", "Fits", "columns_of", "evaluate", "losses_of", "swap_gains"]

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_SINGULAR = 1e-9
DEPENDENT = 1e-16
"""Squared sine of the angle to a span below which a column counts as lying in it."""
_DOUBTFUL = 1e-6  # one minus a sum of squares has lost too many digits below this: the part outside is then formed


@final
@dataclass(frozen=True)
class Fits:
    """Least squares on a batch of supports: `systems` share the columns of their root, roots are independent.

    Slots that hold the number of columns instead of an index are empty.
    """

    supports: Tensor
    """Indices, int64, shape `(roots, systems, slots)`: sorted, then those of idle slots, then empty slots."""
    is_idle: Tensor
    """Slots whose column is zero or lies in the span of the others: they count for nothing here; bool, same shape."""
    weights: Tensor
    """Coefficients of the scaled columns, shape `(roots, systems, slots, targets)`."""
    inverse: Tensor
    """Inverse factor of the support's columns, shape `(roots, systems, slots, slots)`."""
    cross: Tensor
    """What each slot would change by if a column were explained instead, `(roots, systems, slots, columns)`."""
    correlation: Tensor
    """Products of the columns and the residuals, shape `(roots, systems, targets, columns)`."""
    variance: Tensor
    """Squared length of each column outside the support's span, shape `(roots, systems, columns)`; minus infinity for
    columns that cannot enter, because they are in the support already."""
    loss: Tensor
    """Sum of squares within the root, and the ridge, over the targets, shape `(roots, systems)`."""
    basis: Tensor
    """Orthonormal columns of the support's span, shape `(roots, systems, rows, slots)`."""

    @property
    def drops(self) -> Tensor:
        """What the loss grows by when a slot is emptied, shape `(roots, systems, slots)`."""
        return self.weights.square().sum(-1) / self.inverse.square().sum(-1)


def columns_of(root: Tensor, supports: Tensor) -> Tensor:
    """The columns that a support names; zeros in empty slots.

    Args:
        root: shape `(roots, rows, columns)`.
        supports: indices, shape `(roots, systems, slots)`.

    Returns:
        Shape `(roots, systems, rows, slots)`.

    Example:
        >>> columns_of(torch.eye(2)[None], torch.tensor([[[1, 2]]]))[0, 0]
        tensor([[0., 0.],
                [1., 0.]])
    """
    num = root.shape[-1]
    owners = torch.arange(root.shape[0], device=root.device)[:, None, None]
    chosen = root.mT[owners, supports.clamp(max=num - 1)].mT
    is_empty = supports == num
    return chosen.masked_fill(is_empty.unsqueeze(-2), 0.0) if bool(is_empty.any()) else chosen


def evaluate(root: Tensor, target: Tensor, supports: Tensor, *, ridge: float = 0.0) -> Fits:
    r"""Fit every support, and measure every column against its residual.

    .. math::
        K_A = Q T, \qquad w = T^{-1} Q^\top t, \qquad D = T^{-1} Q^\top K, \qquad s_j = \|(I - Q Q^\top) k_j\|^2

    Args:
        root: scaled columns, shape `(roots, rows, columns)`.
        target: shape `(roots, systems, rows, targets)`.
        supports: indices, the number of columns where a slot is empty, shape `(roots, systems, slots)`.
        ridge: multiple of the squared coefficients of the scaled columns that is added to the loss.

    Returns:
        The fits, as if slots without a direction of their own were empty.

    Source:
        Golub & Van Loan (2013), "Matrix Computations", section 5.3.

    Example:
        >>> fits = evaluate(torch.eye(2)[None], torch.tensor([3.0, 4.0]).view(1, 1, 2, 1), torch.tensor([[[1]]]))
        >>> fits.loss, fits.weights.flatten()
        (tensor([[9.]]), tensor([4.]))
    """
    supports = supports.sort(-1).values
    num_roots, num_systems, num_slots = supports.shape
    num_rows, num_columns = root.shape[1:]
    supports, is_void, basis, triangle = _orthonormal(root, supports, ridge)
    low, basis = basis[..., num_rows:, :], basis[..., :num_rows, :]
    fitted = basis.mT @ target
    residual = target - basis @ fitted
    unit = torch.eye(num_slots, dtype=root.dtype, device=root.device).expand_as(triangle)
    inverse = torch.linalg.solve_triangular(triangle, unit, upper=True)
    both = torch.cat([basis, residual], -1).mT.reshape(num_roots, -1, num_rows)
    products = (both @ root).view(num_roots, num_systems, -1, num_columns)
    inside, correlation = products[..., :num_slots, :], products[..., num_slots:, :]
    own = torch.zeros(num_roots, num_systems, num_columns + 1, dtype=torch.bool, device=root.device)
    own = own.scatter_(-1, supports, True)[..., :num_columns]
    variance = _outside(root, basis, low, inside, own=own, ridge=ridge).masked_fill(own, -torch.inf)
    loss = residual.square().sum((-1, -2)) + (low @ fitted).square().sum((-1, -2))
    is_idle = is_void & (supports < num_columns)
    return Fits(supports, is_idle, inverse @ fitted, inverse, inverse @ inside, correlation, variance, loss, basis)


def swap_gains(fits: Fits) -> Tensor:
    r"""What the loss falls by, exactly, when the column of a slot is exchanged for another one and all is refitted.

    .. math:: \frac{(r_j + D_{ij} w_i / h_i)^2}{s_j + D_{ij}^2 / h_i} - \frac{w_i^2}{h_i},
        \qquad h_i = (K_A^\top K_A)^{-1}_{ii}

    Args:
        fits: from `evaluate`.

    Returns:
        Gains, negative where the swap makes it worse, minus infinity for columns that are in the support already or
        depend on what would be left of it, shape `(roots, systems, slots, columns)`.

    Source:
        Miller (2002), "Subset Selection in Regression", chapter 3; the block inverse of the normal equations.

    Example:
        >>> fits = evaluate(torch.eye(2)[None], torch.tensor([3.0, 4.0]).view(1, 1, 2, 1), torch.tensor([[[0]]]))
        >>> swap_gains(fits)[0, 0]
        tensor([[-inf, 7.]])
    """
    lengths = fits.inverse.square().sum(-1)  # (roots, systems, slots)
    share = (fits.weights / lengths.unsqueeze(-1)).unsqueeze(-1)  # (roots, systems, slots, targets, 1)
    if fits.weights.shape[-1] == 1:
        energy = (fits.correlation + fits.cross * share.squeeze(-1)).square_()
    else:
        energy = (fits.correlation.unsqueeze(-3) + fits.cross.unsqueeze(-2) * share).square_().sum(-2)
    variance = (fits.cross.square() / lengths.unsqueeze(-1)).add_(fits.variance.unsqueeze(-2))
    return (energy / variance).sub_(fits.drops.unsqueeze(-1)).masked_fill_(variance <= DEPENDENT, -torch.inf)


def _orthonormal(root: Tensor, supports: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Supports with void slots last, which slots are void, basis and triangle: zero and one for void slots.

    A reflection leaves a column without a direction of its own in place, and all later ones then lose their part along
    an arbitrary direction. Invariant: the first column that is found to be dependent follows independent ones only, so
    that the finding can be trusted; it is put last, and the rest is factorised again.
    """
    chosen = columns_of(root, supports)
    is_void = ~chosen.any(-2)
    while True:
        if bool((is_void[..., :-1] & ~is_void[..., 1:]).any()):
            order = is_void.to(torch.int8).argsort(dim=-1, stable=True)
            supports, is_void = supports.gather(-1, order), is_void.gather(-1, order)
            chosen = chosen.gather(-1, order.unsqueeze(-2).expand(chosen.shape))
        basis, triangle = _factor(chosen, is_void, ridge)
        is_dependent = (triangle.diagonal(dim1=-2, dim2=-1).abs() <= DEPENDENT**0.5) & ~is_void
        if not bool(is_dependent.any()):
            return supports, is_void, basis, triangle
        is_void = is_void | (is_dependent & (is_dependent.cumsum(-1) == 1))


def _factor(chosen: Tensor, is_void: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Basis and triangle of columns, on which the ridge stands as further rows; void slots get zero and one."""
    num_slots = chosen.shape[-1]
    unit = torch.eye(num_slots, dtype=chosen.dtype, device=chosen.device)
    if ridge > 0:
        chosen = torch.cat([chosen, (ridge**0.5 * unit).expand(*chosen.shape[:-2], -1, -1)], -2)
    if chosen.shape[-2] < num_slots:  # more slots than rows: the slots without a column need one all the same
        chosen = torch.cat([chosen, chosen.new_zeros(*chosen.shape[:-2], num_slots - chosen.shape[-2], num_slots)], -2)
    basis, triangle = torch.linalg.qr(chosen)
    if bool(is_void.any()):
        basis = basis.masked_fill(is_void.unsqueeze(-2), 0.0)
        either = is_void.unsqueeze(-1) | is_void.unsqueeze(-2)
        triangle = torch.where(either, unit, triangle)
    return basis, triangle


def _outside(root: Tensor, basis: Tensor, low: Tensor, inside: Tensor, *, own: Tensor, ridge: float) -> Tensor:
    """Squared length of other columns, with their rows of the ridge, outside the span of each basis and of `low`."""
    variance = 1 + ridge - inside.square().sum(-2)
    is_doubtful = ((variance < _DOUBTFUL) & ~own).any(-1)
    if bool(is_doubtful.any()):
        owners, systems = is_doubtful.nonzero().unbind(-1)
        outside = root[owners] - basis[owners, systems] @ inside[owners, systems]
        below = low[owners, systems] @ inside[owners, systems]
        variance[owners, systems] = outside.square().sum(-2) + below.square().sum(-2) + ridge
    return variance


def losses_of(root: Tensor, target: Tensor, supports: Tensor) -> Tensor:
    """Sums of squares that supports leave, also where their columns depend on each other.

    Args:
        root: scaled columns, shape `(rows, columns)`.
        target: shape `(rows, targets)`.
        supports: indices, the number of columns where a slot is empty, shape `(supports, slots)`.

    Returns:
        Shape `(supports,)`.

    Example:
        >>> losses_of(torch.eye(2), torch.tensor([[3.0], [4.0]]), torch.tensor([[0, 2], [0, 1]]))
        tensor([16.,  0.])
    """
    chosen = columns_of(root[None], supports[None])[0]  # (supports, rows, slots)
    num_slots, num_targets = chosen.shape[-1], target.shape[-1]
    low = torch.diag_embed((supports == root.shape[-1]).to(root.dtype))
    top = torch.cat([chosen, target.expand(len(chosen), -1, -1)], -1)
    low = torch.nn.functional.pad(low, (0, num_targets))
    factor = torch.linalg.qr(torch.cat([top, low], -2), mode="r").R
    loss = factor[:, num_slots:, num_slots:].square().sum((-1, -2))
    is_singular = factor.diagonal(dim1=-2, dim2=-1)[:, :num_slots].abs().amin(-1) < _SINGULAR
    for index in is_singular.nonzero().flatten().tolist():
        columns, one = chosen[index].cpu(), target.cpu()  # the solver for dependent columns is on the host only
        solution = torch.linalg.lstsq(columns, one, driver="gelsd", rcond=1e-12).solution
        loss[index] = (one - columns @ solution).square().sum()
    return loss
