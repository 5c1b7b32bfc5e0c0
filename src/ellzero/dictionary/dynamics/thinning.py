"""Backward elimination: from all terms to few, each step giving up the one that explains least."""

__all__ = ["independent", "remainder", "thinned"]

from collections.abc import Callable

import torch
from torch import Tensor


def remainder(columns: Tensor, basis: Tensor) -> Tensor:
    """What is left of columns without their parts in the span of a basis.

    Args:
        columns: shape `(rows,)` or `(rows, columns)`.
        basis: orthonormal, shape `(rows, directions)`.

    Example:
        >>> remainder(torch.tensor([3.0, 4.0]), torch.tensor([[1.0], [0.0]]))
        tensor([0., 4.])
    """
    for _ in range(2):  # once leaves the rounding errors of what is taken away
        columns = columns - basis @ (basis.mT @ columns)
    return columns


def independent(columns: Tensor, least: float) -> Tensor:
    """Indices of columns that do not depend on those before them.

    Args:
        columns: of unit length, shape `(rows, columns)`.
        least: share of the square of a column that must be new.

    Returns:
        Increasing indices, shape `(kept,)`.

    Example:
        >>> independent(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 1e-9)
        tensor([0, 2])
    """
    steps = torch.linalg.qr(columns, mode="r").R.diagonal()
    if len(steps) == columns.shape[1] and bool((steps.square() > least).all()):
        return torch.arange(len(steps), device=columns.device)
    basis, kept = columns[:, :0], []
    for number in range(columns.shape[1]):
        rest = remainder(columns[:, number], basis)
        if rest.square().sum() > least:
            basis = torch.cat([basis, (rest / rest.norm())[:, None]], 1)
            kept.append(number)
    return torch.tensor(kept, dtype=torch.long, device=columns.device)


def thinned(
    columns: Tensor, aim: Tensor, support: Tensor, *, at_risk: Callable[[list[int]], list[int]], below: float
) -> Tensor:
    r"""Give up terms one by one, always the one whose loss is smallest.

    With A the inverse of the triangle of the chosen columns and c what they explain in its coordinates, giving up
    column i loses :math:`(a_i \cdot c)^2 / |a_i|^2`; a reflection of A that turns :math:`a_i` into the last direction
    leaves the inverse for the others. A step is of the second order in the number of terms, and stable.

    Args:
        columns: of unit length, shape `(rows, columns)`.
        aim: shape `(rows,)`.
        support: independent columns to begin with, shape `(chosen,)`.
        at_risk: given the columns that are left, the positions among them that may be given up.
        below: a term goes only while the smallest loss is below this.

    Returns:
        The columns that are left, in the order in which they were given.

    Example:
        >>> eye, aim = torch.eye(3), torch.tensor([3.0, 1.0, 2.0])
        >>> thinned(eye, aim, torch.arange(3), at_risk=lambda left: list(range(len(left))), below=2.0)
        tensor([0, 2])
    """
    left = support.tolist()
    basis, triangle = torch.linalg.qr(columns[:, support])
    eye = torch.eye(len(left), dtype=aim.dtype, device=aim.device)
    inverse = torch.linalg.solve_triangular(triangle, eye, upper=True)
    share = basis.mT @ aim
    while risky := at_risk(left):
        lengths = inverse.square().sum(1)
        losses = (inverse @ share).square() / lengths
        gone = risky[int(losses[risky].argmin())]
        if losses[gone] >= below:
            break
        inverse, share = _without(inverse, share, gone, float(lengths[gone]) ** 0.5)
        left.pop(gone)
    return torch.tensor(left, dtype=torch.long, device=aim.device)


def _without(inverse: Tensor, share: Tensor, gone: int, length: float) -> tuple[Tensor, Tensor]:
    """The inverse triangle (up to a rotation) and the share of the aim when a column is given up."""
    mirror = inverse[gone].clone()
    mirror[-1] += length if mirror[-1] >= 0 else -length
    mirror = mirror / mirror.norm()
    inverse = inverse - 2 * torch.outer(inverse @ mirror, mirror)
    share = share - 2 * mirror * (mirror @ share)
    rows = torch.arange(len(share), device=share.device) != gone
    return inverse[rows, :-1], share[:-1]
