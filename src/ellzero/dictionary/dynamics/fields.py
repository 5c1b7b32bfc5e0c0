"""Fields on a periodic line: derivatives in space, and their evolution in time."""

__all__ = ["derivative_names", "evolve", "space_derivatives"]

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.errors import NonFiniteError

CONTOUR = 32
"""Points on the circles by which the coefficients of the scheme are averaged."""


def derivative_names(order: int, field: str = "u", place: str = "x") -> tuple[str, ...]:
    """Names of a field and its derivatives in space.

    Example:
        >>> derivative_names(2)
        ('u', 'u_x', 'u_xx')
    """
    return (field, *(f"{field}_{place * count}" for count in range(1, order + 1)))


def space_derivatives(field: Tensor, length: float, order: int) -> Tensor:
    r"""A periodic field and its derivatives in space, by its Fourier series.

    Args:
        field: real, shape `(..., points)`, the first point not repeated at the end.
        length: of the period.
        order: highest derivative.

    Returns:
        Shape `(..., points, order + 1)`.

    Example:
        >>> x = torch.arange(8) * math.tau / 8
        >>> space_derivatives(x.sin(), math.tau, 1)[0]
        tensor([0.0000, 1.0000])
    """
    points = field.shape[-1]
    wave = _waves(points, length, field)
    spectrum = torch.fft.rfft(field)
    found = [field]
    for power in range(1, order + 1):
        factor = (1j * wave) ** power
        if points % 2 == 0 and power % 2:
            factor[-1] = 0  # the highest wave has no odd derivative on the grid
        found.append(torch.fft.irfft(factor * spectrum, n=points))
    return torch.stack(found, -1)


def evolve(
    dictionary: Dictionary, coefficients: Tensor, start: Tensor, times: Tensor, length: float, *, step: float
) -> Tensor:
    r"""Follow :math:`u_t = \sum_j \xi_j \theta_j(u, u_x, u_{xx}, \ldots)` on a periodic line.

    Fourier series in space, with products dealiased by the two-thirds rule; in time exponential time differencing of
    order four (ETDRK4), in which the linear terms are exact.

    Args:
        dictionary: terms of the inputs u, u_x, u_xx, ..., in this order.
        coefficients: shape `(terms,)`.
        start: the field, float64, shape `(points,)` or `(runs, points)`.
        times: increasing, shape `(samples,)`; the start holds at the first.
        length: of the period.
        step: longest step in time.

    Returns:
        Shape `(samples, points)` or `(runs, samples, points)`.

    Raises:
        NonFiniteError: if the field leaves the finite numbers.

    Source:
        Kassam & Trefethen (2005), https://doi.org/10.1137/S1064827502410633

    Example:
        >>> from ellzero.dictionary import identity
        >>> x = torch.arange(16, dtype=torch.float64) * math.tau / 16
        >>> heat = evolve(identity("u u_x u_xx"), torch.tensor([0.0, 0, 1]), x.sin(), torch.tensor([0.0, 1]), math.tau,
        ...               step=0.5)
        >>> bool(torch.allclose(heat[1], math.exp(-1) * x.sin()))
        True
    """
    coefficients = coefficients.to(start.dtype)
    points, order = start.shape[-1], len(dictionary.inputs) - 1
    wave = _waves(points, length, start)
    linear, rest = _linear_part(dictionary, coefficients, wave)
    mask = (torch.arange(len(wave), device=start.device) <= points / 3).to(start.dtype)

    def nonlinear(spectrum: Tensor) -> Tensor:
        field = torch.fft.irfft(spectrum, n=points)
        return torch.fft.rfft(dictionary(space_derivatives(field, length, order)) @ rest) * mask

    found, spectrum = [start], torch.fft.rfft(start)
    schemes: dict[float, tuple[Tensor, ...]] = {}
    for gap in times.diff().tolist():
        steps = max(1, math.ceil(gap / step - 1e-9))
        scheme = schemes.setdefault(round(gap / steps, 15), _scheme(linear, gap / steps))
        for _ in range(steps):
            spectrum = _advanced(spectrum, nonlinear, scheme)
        found.append(torch.fft.irfft(spectrum, n=points))
        if not bool(torch.isfinite(found[-1]).all()):
            raise NonFiniteError(
                f"the field leaves the finite numbers before t = {float(times[len(found) - 1]):.6g}; take a smaller "
                "step, or equations that are stable"
            )
    return torch.stack(found, -2)


def _waves(points: int, length: float, like: Tensor) -> Tensor:
    return math.tau * torch.fft.rfftfreq(points, length / points, dtype=like.dtype, device=like.device)


def _linear_part(dictionary: Dictionary, coefficients: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
    """Growth of every wave under the terms that are a derivative alone, and the coefficients of the other terms."""
    rest = coefficients.clone()
    growth = torch.zeros(len(wave), dtype=torch.complex128, device=wave.device)
    for index, term in enumerate(dictionary.terms):
        if len(term.factors) == 1 and term.factors[0].is_input and term.factors[0].power == 1:
            order = dictionary.inputs.index(term.factors[0].inner.name)
            growth = growth + coefficients[index] * (1j * wave) ** order
            rest[index] = 0
    return growth, rest


def _scheme(linear: Tensor, step: float) -> tuple[Tensor, ...]:
    """Coefficients of ETDRK4, averaged over circles around the exponents, where they can be computed stably."""
    angle = math.tau * (torch.arange(CONTOUR, dtype=torch.float64, device=linear.device) + 0.5) / CONTOUR
    z = step * linear[:, None] + torch.polar(torch.ones_like(angle), angle)
    e = z.exp()

    def mean(values: Tensor) -> Tensor:
        return step * values.mean(1)

    half = mean(((z / 2).exp() - 1) / z)
    first = mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3)
    middle = mean((2 + z + e * (z - 2)) / z**3)
    last = mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3)
    return (step * linear).exp(), (step * linear / 2).exp(), half, first, middle, last


def _advanced(spectrum: Tensor, nonlinear: Callable[[Tensor], Tensor], scheme: tuple[Tensor, ...]) -> Tensor:
    whole, part, half, first, middle, last = scheme
    n = nonlinear(spectrum)
    a = part * spectrum + half * n
    n_a = nonlinear(a)
    b = part * spectrum + half * n_a
    n_b = nonlinear(b)
    c = part * a + half * (2 * n_b - n)
    return whole * spectrum + first * n + 2 * middle * (n_a + n_b) + last * nonlinear(c)
