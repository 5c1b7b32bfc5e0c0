"""How much of a measured trajectory is noise, judged from the trajectory alone."""

__all__ = ["noise_level"]

import math

import torch
from torch import Tensor

ORDERS = range(2, 9)


def noise_level(x: Tensor) -> Tensor:
    r"""Standard deviation of white measurement noise on smooth signals.

    .. math:: \sigma^2 \approx \min_k \; \overline{(\Delta^k x)^2} / \binom{2k}{k}

    Differences of order k remove what is smooth and multiply the variance of white noise by a known number. What
    smoothness they leave only adds, hence the smallest of the estimates is taken. The samples need not be equally
    spaced, but estimates grow too large where the spacing jumps.

    Args:
        x: samples in order of time, shape `(samples, states)`.

    Returns:
        One standard deviation per column, shape `(states,)`, in the unit of the column.

    Raises:
        ValueError: if there are fewer than four samples.

    Source:
        Gasser, Sroka & Jennen-Steinmetz (1986), Residual variance and residual pattern in nonlinear regression.

    Example:
        >>> noise_level(torch.arange(9.0)[:, None])
        tensor([0.])
    """
    if len(x) < 4:
        raise ValueError(f"the noise level needs at least four samples, got {len(x)}; record a longer trajectory")
    estimates: list[Tensor] = []
    for order in ORDERS:
        if len(x) < 2 * order and estimates:
            break
        difference = torch.diff(x, n=order, dim=0)
        estimates.append(difference.square().mean(0) / math.comb(2 * order, order))
    return torch.stack(estimates).amin(0).sqrt()
