"""Solve and whiten with block tridiagonal matrices in logarithmically many batched steps."""

__all__ = ["solve_tridiagonal", "whiten_tridiagonal"]

from dataclasses import dataclass

import torch
from torch import Tensor


def solve_tridiagonal(diagonal: Tensor, below: Tensor, right: Tensor) -> Tensor:
    r"""Solve a symmetric positive definite system whose matrix is block tridiagonal, by cyclic reduction.

    .. math:: L_{i-1} x_{i-1} + D_i x_i + L_i^\top x_{i+1} = b_i

    Every second unknown is eliminated at once; what is left is a system of the same kind, half as long. The cost is
    linear in the number of blocks and each of the logarithmically many rounds is one batched operation.

    Args:
        diagonal: the blocks on the diagonal, symmetric, shape `(blocks, size, size)`.
        below: the blocks below the diagonal, `below[i]` in block row `i + 1`, shape `(blocks - 1, size, size)`.
        right: right-hand sides, shape `(blocks, size, columns)`.

    Returns:
        The solution, shape `(blocks, size, columns)`.

    Raises:
        torch.linalg.LinAlgError: if the matrix is not positive definite.

    Source:
        Heller (1976), Some aspects of the cyclic reduction algorithm for block tridiagonal linear systems.

    Example:
        >>> two, minus = torch.full((3, 1, 1), 2.0), torch.full((2, 1, 1), -1.0)
        >>> solve_tridiagonal(two, minus, torch.ones(3, 1, 1)).flatten()
        tensor([1.5000, 2.0000, 1.5000])
    """
    if len(diagonal) == 1:
        return torch.cholesky_solve(right, torch.linalg.cholesky(diagonal))
    step = _eliminated(diagonal, below, right)
    even = solve_tridiagonal(step.diagonal, step.below, step.right)
    odd, after = len(step.left), len(step.onward)
    constant = torch.linalg.solve_triangular(step.factor.mT, step.white, upper=True)
    solution = torch.empty_like(right)
    solution[0::2] = even
    solution[1::2] = constant - step.left @ even[:odd]
    solution[1 : 2 * after : 2] -= step.onward @ even[1 : after + 1]
    return solution


def whiten_tridiagonal(diagonal: Tensor, below: Tensor, right: Tensor) -> Tensor:
    r"""Rows whose inner products are those of the right-hand sides under the inverse of the matrix.

    .. math:: W^\top W = B^\top S^{-1} B

    S is the block tridiagonal matrix; its odd blocks are eliminated, then those of what is left, and so on.

    Args:
        diagonal: as in `solve_tridiagonal`.
        below: as in `solve_tridiagonal`.
        right: B, shape `(blocks, size, columns)`.

    Returns:
        W, shape `(blocks, size, columns)`, in the order of elimination.

    Raises:
        torch.linalg.LinAlgError: if the matrix is not positive definite.

    Example:
        >>> two, minus = torch.full((3, 1, 1), 2.0), torch.full((2, 1, 1), -1.0)
        >>> round(float(whiten_tridiagonal(two, minus, torch.ones(3, 1, 1)).square().sum()), 4)  # 1.5 + 2 + 1.5
        5.0
    """
    white = []
    while len(diagonal) > 1:
        step = _eliminated(diagonal, below, right)
        white.append(step.white)
        diagonal, below, right = step.diagonal, step.below, step.right
    white.append(torch.linalg.solve_triangular(torch.linalg.cholesky(diagonal), right, upper=False))
    return torch.cat(white)


@dataclass(frozen=True, slots=True)
class _Elimination:
    """Odd blocks as functions of their neighbours, and the system of even blocks that is left.

    Attributes:
        factor: Cholesky factors of the odd blocks.
        white: their right-hand sides, multiplied by the inverse of the factors.
        left: how an odd block depends on its left neighbour.
        onward: how it depends on its right neighbour, where it has one.
        diagonal: of the system that is left.
        below: of the system that is left.
        right: of the system that is left.
    """

    factor: Tensor
    white: Tensor
    left: Tensor
    onward: Tensor
    diagonal: Tensor
    below: Tensor
    right: Tensor


def _eliminated(diagonal: Tensor, below: Tensor, right: Tensor) -> _Elimination:
    odd = len(diagonal) // 2
    after = (len(diagonal) - 1) // 2  # odd blocks that also have a right neighbour
    into, out = below[0::2], below[1::2]
    factor = torch.linalg.cholesky(diagonal[1::2])
    white = torch.linalg.solve_triangular(factor, right[1::2], upper=False)
    half_left = torch.linalg.solve_triangular(factor, into, upper=False)
    half_onward = torch.linalg.solve_triangular(factor[:after], out.mT, upper=False)
    kept, kept_right = diagonal[0::2].clone(), right[0::2].clone()
    kept[:odd] -= half_left.mT @ half_left
    kept_right[:odd] -= half_left.mT @ white
    kept[1 : after + 1] -= half_onward.mT @ half_onward
    kept_right[1 : after + 1] -= half_onward.mT @ white[:after]
    left = torch.linalg.solve_triangular(factor.mT, half_left, upper=True)
    onward = torch.linalg.solve_triangular(factor[:after].mT, half_onward, upper=True)
    return _Elimination(factor, white, left, onward, kept, -out @ left[:after], kept_right)
