"""The weak form: equations averaged with test functions, so that no derivative of noisy data is taken."""

__all__ = ["WeakForm", "bump", "choose_radius", "power_for", "weak_form"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.flow import Library
from ellzero.dictionary.dynamics.trajectories import Trajectory

SMALLEST = 8
"""Samples on each side of a window below which the trapezoid rule is not exact enough."""

EDGE = 1e-10
"""Value of a test function one sample inside its support, as a share of its peak: sets the power."""

SPACIOUS = 16
"""Samples on each side of a window that are preferred where the trajectory is ten times as long."""

DECAY = 4.5
"""Standard deviations of a test function's spectrum that lie below the highest frequency of the signal: with the
covariance of overlapping windows taken into account, wide windows cost nothing and are less biased by noise."""


@dataclass(frozen=True, slots=True)
class WeakForm:
    r"""The linear system that the coefficients satisfy up to noise.

    .. math:: -\int \dot\phi_k\, x\, dt = \int \phi_k\, \theta(x)\, dt \; \xi

    Attributes:
        features: averaged terms, shape `(windows, terms)`.
        targets: averaged time derivatives, shape `(windows, states)`.
        value: quadrature with the test functions, sample by sample of each window, shape `(windows, width)`.
        slope: quadrature with minus their derivatives, of the same shape.
        stride: samples from one window to the next.
    """

    features: Tensor
    targets: Tensor
    value: Tensor
    slope: Tensor
    stride: int

    def covariance(self, jacobian: Tensor, noise: Tensor) -> Tensor:
        r"""Covariance of the residuals of each equation: windows overlap, and noise enters the terms as well.

        .. math:: r_j = \sum_k L_{jk} \varepsilon_k, \quad
                  L_{jk} = [j = k]\,\Phi' - \Phi \operatorname{diag}(\partial f_j / \partial x_k), \quad
                  C_j = \sum_k \sigma_k^2 L_{jk} L_{jk}^\top

        Args:
            jacobian: of the right-hand sides at the samples, shape `(samples, states, states)`.
            noise: standard deviation of each state, shape `(states,)`.

        Returns:
            Shape `(states, windows, windows)`.

        Source:
            Bortz, Messenger & Dukic (2023), WENDy, https://doi.org/10.1007/s11538-023-01208-6
        """
        windows, width = self.value.shape
        index = torch.arange(windows)[:, None] * self.stride + torch.arange(width)
        found = torch.zeros(len(noise), windows, windows, dtype=noise.dtype)
        for equation in range(len(noise)):
            rows = -self.value[:, :, None] * jacobian[index, equation]
            rows[:, :, equation] += self.slope
            rows = rows * noise
            for apart in range(min(windows, -(-width // self.stride))):  # windows farther apart share no sample
                shift = apart * self.stride
                shared = (rows[: windows - apart, shift:] * rows[apart:, : width - shift]).sum((1, 2))
                found[equation].diagonal(apart).copy_(shared)
                found[equation].diagonal(-apart).copy_(shared)
        return found


def bump(position: Tensor, power: int) -> tuple[Tensor, Tensor]:
    r"""A bump of compact support and its derivative.

    .. math:: \phi(s) = (1 - s^2)^p, \quad \phi'(s) = -2 p s (1 - s^2)^{p-1}, \quad |s| \le 1

    Args:
        position: s, any shape; outside of [-1, 1] both are zero.
        power: p, at least 2.

    Returns:
        Values and derivatives, of the shape of `position`.

    Example:
        >>> bump(torch.tensor([0.0, 0.5, 1.0]), 2)[0]
        tensor([1.0000, 0.5625, 0.0000])
    """
    inside = (1 - position.square()).clamp_min(0)
    return inside**power, -2 * power * position * inside ** (power - 1)


def power_for(radius: int) -> int:
    """The power at which a bump has fallen to 1e-10 one sample inside its support; between 4 and 16.

    Example:
        >>> power_for(10), power_for(40)
        (14, 8)
    """
    inside = (2 * radius - 1) / radius**2
    return min(max(round(math.log(EDGE) / math.log(inside)), 4), 16)


def choose_radius(run: Trajectory, noise: Tensor, *, decay: float = DECAY) -> int:
    """Half width of the windows, in samples: as wide as the fastest motion that rises above the noise allows.

    The spectrum of the trajectory is compared with that of its noise; the highest frequency at which the signal is
    the stronger one lies `decay` standard deviations out in the spectrum of the test function.

    Args:
        run: a trajectory.
        noise: standard deviation of each state, shape `(states,)`.
        decay: how far out, no unit.

    Returns:
        Samples on each side of the centre; at least 8, and at most a tenth of the run if that is more.

    Raises:
        ValueError: if the run is too short for the smallest window.
    """
    samples = len(run.time)
    if samples < 2 * SMALLEST + 2:
        raise ValueError(
            f"the weak form needs trajectories of at least {2 * SMALLEST + 2} samples, got {samples}; record longer "
            'ones, or use differentiation="finite"'
        )
    ends = torch.linspace(0, 1, samples, dtype=run.states.dtype)[:, None]
    level = run.states - run.states[:1] - ends * (run.states[-1:] - run.states[:1])  # no jump at the ends
    power = torch.fft.rfft(level, dim=0).abs().square()
    above = (power > 10 * samples * noise.square().clamp_min(1e-300)) & (power > 1e-8 * power.amax(0))
    bins = torch.arange(len(power))[:, None].expand_as(above)
    highest = max(float(torch.where(above, bins, 0).amax(0).double().mean()), 1.0)
    radius = SMALLEST
    for _ in range(10):  # the power depends on the radius, weakly
        radius = round(math.sqrt(2 * power_for(max(radius, SMALLEST))) * decay * samples / (math.tau * highest))
    return max(SMALLEST, min(max(radius, SPACIOUS), samples // 10))


def weak_form(run: Trajectory, library: Library, radius: int, *, stride: int | None = None) -> WeakForm:
    """Average the equations over overlapping windows.

    The trapezoid rule is exact to high order here when stamps are regular, since a test function vanishes at the ends
    of its window together with its first derivatives; for irregular stamps it is of second order.

    Args:
        run: a trajectory.
        library: the candidate terms.
        radius: half width of the windows in samples.
        stride: samples from one window to the next; by default a quarter of the radius.

    Returns:
        The system, with as many rows as windows fit.

    Raises:
        ValueError: if no window fits.
    """
    samples = len(run.time)
    if 2 * radius + 1 > samples:
        raise ValueError(f"a window of {2 * radius + 1} samples does not fit into a trajectory of {samples} samples")
    stride = stride or max(1, radius // 4)
    first = torch.arange(0, samples - 2 * radius, stride)
    weights = torch.zeros_like(run.time)
    weights[:-1] += run.lengths / 2
    weights[1:] += run.lengths / 2
    index = first[:, None] + torch.arange(2 * radius + 1)
    begin, end = run.time[first, None], run.time[first + 2 * radius, None]
    half = (end - begin) / 2
    height, change = bump((run.time[index] - (begin + end) / 2) / half, power_for(radius))
    value, slope = height * weights[index] / half, -change * weights[index] / half**2
    dense = torch.zeros(2, len(first), samples, dtype=run.time.dtype)
    dense[0].scatter_(1, index, value)
    dense[1].scatter_(1, index, slope)
    return WeakForm(dense[0] @ library(run.inputs), dense[1] @ run.states, value, slope, stride)
