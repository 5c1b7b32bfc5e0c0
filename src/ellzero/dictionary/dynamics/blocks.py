"""Solve block tridiagonal systems in logarithmically many batched steps."""

__all__ = ["solve_tridiagonal"]

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
    odd = len(diagonal) // 2
    after = (len(diagonal) - 1) // 2  # odd blocks that also have a right neighbour
    into, out = below[0::2], below[1::2]
    factor = torch.linalg.cholesky(diagonal[1::2])
    left = torch.cholesky_solve(into, factor)
    constant = torch.cholesky_solve(right[1::2], factor)
    onward = torch.cholesky_solve(out.mT.contiguous(), factor[:after])
    kept, kept_right = diagonal[0::2].clone(), right[0::2].clone()
    kept[:odd] -= into.mT @ left
    kept_right[:odd] -= into.mT @ constant
    kept[1 : after + 1] -= out @ onward
    kept_right[1 : after + 1] -= out @ constant[:after]
    even = solve_tridiagonal(kept, -out @ left[:after], kept_right)
    solution = torch.empty_like(right)
    solution[0::2] = even
    solution[1::2] = constant - left @ even[:odd]
    solution[1 : 2 * after : 2] -= onward @ even[1 : after + 1]
    return solution
