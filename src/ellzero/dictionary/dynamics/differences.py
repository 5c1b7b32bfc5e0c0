"""Time derivatives from samples: finite differences, local polynomials, Fourier series."""

__all__ = ["METHODS", "differentiate", "finite_difference", "is_regular", "smoothed_difference", "spectral_difference"]

import math

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.noise_level import noise_level
from ellzero.errors import nearest

METHODS = ("finite", "smoothed", "spectral")

JUMP = 8.0
"""A second difference across the ends that is so many times larger than any other is taken for an edge."""


def differentiate(x: Tensor, time: Tensor, method: str = "finite", *, order: int = 4) -> Tensor:
    """Derivatives at the samples with a method by name.

    Args:
        x: shape `(samples, columns)`.
        time: increasing stamps, shape `(samples,)`.
        method: "finite", "smoothed" or "spectral".
        order: of accuracy, for "finite"; degree of the polynomials, for "smoothed".

    Returns:
        Shape `(samples, columns)`.

    Raises:
        ValueError: if the method is not known, or refuses these samples.

    Example:
        >>> time = torch.arange(7, dtype=torch.float64)
        >>> differentiate(time[:, None] ** 2, time).flatten().round(decimals=9).abs()
        tensor([ 0.,  2.,  4.,  6.,  8., 10., 12.], dtype=torch.float64)
    """
    if method == "finite":
        return finite_difference(x, time, order=order)
    if method == "smoothed":
        return smoothed_difference(x, time, degree=order)
    if method == "spectral":
        return spectral_difference(x, time)
    raise ValueError(f"the differentiation {method!r} is not known{nearest(str(method), METHODS)}")


def finite_difference(x: Tensor, time: Tensor, *, order: int = 4) -> Tensor:
    r"""Derivative of the polynomial through the nearest `order + 1` samples; stamps may be irregular.

    .. math:: \dot x(t_i) \approx \sum_{j \in N(i)} w_{ij} x(t_j), \quad
              \sum_j w_{ij} (t_j - t_i)^m = [m = 1], \; m \le \text{order}

    Centred inside, one-sided at the ends.

    Args:
        x: shape `(samples, columns)`.
        time: increasing stamps, shape `(samples,)`; regular or not.
        order: of accuracy, even inside the trajectory for a centred stencil; 1 or more.

    Returns:
        Derivatives, shape `(samples, columns)`.

    Raises:
        ValueError: if there are not more samples than `order`.

    Source:
        Fornberg (1988), https://doi.org/10.1090/S0025-5718-1988-0935077-0

    Example:
        >>> time = torch.tensor([0.0, 1, 3, 4, 8], dtype=torch.float64)
        >>> finite_difference(time[:, None] ** 3, time, order=3).flatten().round(decimals=9).abs()
        tensor([  0.,   3.,  27.,  48., 192.], dtype=torch.float64)
    """
    if order < 1:
        raise ValueError(f"the order of accuracy must be 1 or more, got {order}; try 4")
    return _local_slope(x, time, order + 1, order)


def smoothed_difference(x: Tensor, time: Tensor, *, degree: int = 4, window: int | None = None) -> Tensor:
    """Derivative of a polynomial fitted to the samples around (Savitzky & Golay); stamps may be irregular.

    Args:
        x: shape `(samples, columns)`.
        time: increasing stamps, shape `(samples,)`; regular or not.
        degree: of the local polynomials.
        window: samples in a fit; None chooses the widest window whose fit leaves no more than the noise.

    Returns:
        Derivatives, shape `(samples, columns)`.

    Raises:
        ValueError: if the trajectory is shorter than the window.

    Source:
        Savitzky & Golay (1964), https://doi.org/10.1021/ac60214a047

    Example:
        >>> time = torch.linspace(0, 1, 50, dtype=torch.float64)
        >>> slope = smoothed_difference(time[:, None] ** 2, time, window=11)
        >>> bool(torch.allclose(slope[:, 0], 2 * time))
        True
    """
    if window is None:
        window = best_window(x, time, degree)
    if window <= degree:
        raise ValueError(f"a window of {window} samples cannot fit polynomials of degree {degree}; try {degree + 3}")
    return _local_slope(x, time, window, degree)


def best_window(x: Tensor, time: Tensor, degree: int = 4) -> int:
    """The widest odd window in which a local polynomial leaves no more than the noise, up to a quarter of the run."""
    sigma = noise_level(x).clamp_min(1e-12 * x.std(0, correction=0).clamp_min(1e-300))
    allowed = 1.1 + 2.5 * math.sqrt(2 / len(x))  # residuals and the noise level are estimates themselves
    window = best = degree + 3 - degree % 2
    while window <= max(len(x) // 4, best):
        smooth = local_values(x, time, window, degree)
        spare = 1 - (degree + 1) / window
        if bool(((smooth - x).square().mean(0) <= allowed * spare * sigma**2).all()):
            best = window
        window += max(2, 2 * (window // 8))
    return best


def local_values(x: Tensor, time: Tensor, window: int, degree: int) -> Tensor:
    """The local polynomials themselves: samples smoothed, shape `(samples, columns)`."""
    return _local_fit(x, time, window, degree)[0]


def spectral_difference(x: Tensor, time: Tensor) -> Tensor:
    r"""Derivative of the Fourier series of a periodic trajectory.

    .. math:: \dot x = F^{-1}(i \omega F(x))

    Args:
        x: one whole period, the first sample not repeated at the end, shape `(samples, columns)`.
        time: equally spaced stamps, shape `(samples,)`.

    Returns:
        Derivatives, shape `(samples, columns)`.

    Raises:
        ValueError: if the stamps are irregular or a column is not periodic; use "weak", "finite" or "smoothed" then.

    Example:
        >>> time = torch.arange(16, dtype=torch.float64) * math.tau / 16
        >>> slope = spectral_difference(time.sin()[:, None], time)
        >>> bool(torch.allclose(slope[:, 0], time.cos()))
        True
    """
    if len(time) < 3 or not is_regular(time):
        raise ValueError(
            "the spectral derivative needs at least three equally spaced samples of a periodic signal; irregular time "
            'stamps are supported by "weak", "finite" and "smoothed"'
        )
    _check_period(x)
    frequency = torch.fft.rfftfreq(len(x), float(time.diff().mean()), dtype=x.dtype, device=x.device)
    factor = 2j * math.pi * frequency
    if len(x) % 2 == 0:
        factor[-1] = 0  # the highest wave has no derivative on the grid
    return torch.fft.irfft(factor[:, None] * torch.fft.rfft(x, dim=0), n=len(x), dim=0)


def _check_period(x: Tensor) -> None:
    """Refuse what does not go on from its end as it begins: a Fourier series would take the edge for fast waves."""
    bends = torch.cat([x, x[:2]]).diff(n=2, dim=0).abs()
    across, largest = bends[-2:].amax(0), bends[:-2].amax(0)
    if bool((across > JUMP * largest).any()):
        column = int((across / largest.clamp_min(1e-300)).argmax())
        raise ValueError(
            f"column {column} does not go on from its last sample to its first (second differences of "
            f"{float(across[column]):.3g} there, at most {float(largest[column]):.3g} elsewhere): it is not one whole "
            'period, as the spectral derivative needs; cut it to one, or use "weak", "finite" or "smoothed"'
        )


def _local_slope(x: Tensor, time: Tensor, window: int, degree: int) -> Tensor:
    return _local_fit(x, time, window, degree)[1]


def _local_fit(x: Tensor, time: Tensor, window: int, degree: int) -> tuple[Tensor, Tensor]:
    """Values and slopes of the polynomials fitted to the `window` samples nearest in index to each sample."""
    count = len(time)
    if count < window:
        raise ValueError(
            f"the derivative needs {window} samples in a row, but a trajectory has only {count}; record a longer one "
            "or lower the order or window"
        )
    place = torch.arange(count, device=x.device)
    first = (place - (window - 1) // 2).clamp(0, count - window)
    index = first[:, None] + torch.arange(window, device=x.device)
    offset = time[index] - time[:, None]
    if is_regular(time):  # the same weights wherever a sample has the same place in its window
        _, own = torch.unique(place - first, return_inverse=True)
        kinds = torch.zeros(int(own.max()) + 1, dtype=torch.long, device=x.device).scatter_(0, own, place)
    else:
        own = kinds = place
    scale = offset[kinds].abs().amax(1, keepdim=True)
    powers = (offset[kinds] / scale)[..., None] ** torch.arange(degree + 1, dtype=x.dtype, device=x.device)
    weights = torch.linalg.pinv(powers)[:, :2]  # (kinds, value and slope, window)
    fitted = weights[own] @ x[index]
    return fitted[:, 0], fitted[:, 1] / scale[own]


def is_regular(time: Tensor) -> bool:
    """Whether all samples are equally far apart, to one part in a million of the step."""
    lengths = time.diff()
    return len(lengths) == 0 or bool((lengths - lengths.mean()).abs().max() <= 1e-6 * lengths.mean().abs())
