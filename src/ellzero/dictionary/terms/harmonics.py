"""Constructors of sines and cosines: Fourier dictionaries with their products, and chosen frequencies."""

__all__ = ["fourier", "trigonometric"]

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.libraries import Inputs, Units, as_polynomial, names_of
from ellzero.dictionary.terms.limits import check_count, check_degree
from ellzero.dictionary.terms.term import Term
from ellzero.errors import nearest

_Wave = tuple[str, str, int]
"""Sine or cosine, the input, and which multiple of its lowest frequency."""


def fourier(
    inputs: Inputs,
    degree: int,
    *,
    products: bool = True,
    period: float | Mapping[str, float] | None = None,
    bias: bool = False,
    units: Units = None,
) -> Dictionary:
    r"""Sines and cosines of every input up to a frequency, and all products of two of them, none twice.

    .. math:: \sin(k \omega x_i), \; \cos(k \omega x_i), \; \text{products of two}, \qquad
              1 \le k \le d, \; \omega = 2 \pi / \text{period}

    Of the products of one input with itself, those are left out that are sums of terms before them, such as
    :math:`\sin x \cos x = \tfrac12 \sin 2x` where :math:`\sin 2x` is a term already. For products of more than two
    inputs, multiply dictionaries.

    Args:
        inputs: how many, or their names.
        degree: d, the highest frequency.
        products: whether products of two are added: of all `m` sines and cosines `m (m - 1) / 2` for degree 1.
        period: of all inputs, or by name of some, and 2 pi of the others; by default 2 pi.
        bias: whether the constant term is among them.
        units: of the inputs by name.

    Raises:
        ValueError: if the degree is far too large, it or a period is not positive, or a period is for something that is
            no input.

    Example:
        >>> fourier("a b", 1).names
        ('sin(a)', 'cos(a)', 'sin(b)', 'cos(b)', 'sin(a) cos(a)', 'sin(a) sin(b)', 'sin(a) cos(b)', 'cos(a) sin(b)',
         'cos(a) cos(b)', 'sin(b) cos(b)')
        >>> fourier("a", 2).names
        ('sin(a)', 'cos(a)', 'sin(2 a)', 'cos(2 a)', 'sin(a) sin(2 a)', 'sin(a) cos(2 a)', 'sin(2 a) cos(2 a)')
    """
    names = names_of(inputs)
    if isinstance(degree, bool) or not isinstance(degree, int) or degree < 1:
        raise ValueError(f"the degree of a Fourier dictionary is its highest frequency, from 1 on; got {degree!r}")
    check_degree(degree, "the highest frequency")
    num = 2 * len(names) * degree
    check_count(num + num * (num - 1) // 2 if products else num, "the number of sines, cosines and products")
    for name in period if isinstance(period, Mapping) else ():
        if name not in names:
            raise ValueError(f"there is a period for {name!r}, which is no input{nearest(str(name), names)}")
    rates = {name: _rate(name, period) for name in names}
    waves: list[_Wave] = [(f, name, k) for name in names for k in range(1, degree + 1) for f in ("sin", "cos")]
    terms = {wave: Term.of(wave[0], Inner.of(wave[1]) * (rates[wave[1]] * wave[2])) for wave in waves}
    pairs = _new_pairs(waves, degree) if products else []
    found = [*terms.values(), *(terms[one] * terms[other] for one, other in pairs)]
    return Dictionary(names, [*([Term()] if bias else []), *found], units=units)


def trigonometric(
    inputs: Inputs,
    of: Sequence[str | Inner],
    frequencies: int | Sequence[float] = 1,
    *,
    units: Units = None,
) -> Dictionary:
    r"""Sines and cosines of chosen inputs, or of polynomials in them, at chosen frequencies.

    .. math:: \sin(\omega_k a), \; \cos(\omega_k a)

    Args:
        inputs: how many, or their names.
        of: the arguments a: names of inputs, or polynomials made with `variables`.
        frequencies: the highest of 1, 2, ..., or all of them.
        units: of the inputs by name.

    Raises:
        ValueError: if a name is no input, a frequency is zero, or there are far too many.

    Example:
        >>> from ellzero.dictionary import variables
        >>> x, y = variables("x y")
        >>> trigonometric("x y", of=["x", 2 * x - y], frequencies=[1, 0.5]).names
        ('sin(x)', 'cos(x)', 'sin(0.5 x)', 'cos(0.5 x)', 'sin(2 x - y)', 'cos(2 x - y)', 'sin(x - 0.5 y)',
         'cos(x - 0.5 y)')
    """
    names = names_of(inputs)
    if isinstance(of, str):
        raise ValueError(f"of is a list of inputs, got the string {of!r}; write [{of!r}]")
    check_count(
        frequencies if isinstance(frequencies, int) else len(frequencies), "the number of frequencies", most=1000
    )
    rates = range(1, frequencies + 1) if isinstance(frequencies, int) else frequencies
    terms: dict[Term, None] = {}
    for argument in [as_polynomial(one, names) for one in of]:
        for rate in rates:
            if not math.isfinite(rate) or rate == 0:
                raise ValueError(f"a frequency must be finite and not zero, got {rate}")
            terms |= dict.fromkeys(Term.of(function, argument * float(rate)) for function in ("sin", "cos"))
    return Dictionary(names, list(terms), units=units)


def _rate(name: str, period: float | Mapping[str, float] | None) -> float:
    own = period.get(name) if isinstance(period, Mapping) else period
    if own is None:
        return 1.0
    if not (math.isfinite(own) and own > 0):
        raise ValueError(f"the period of {name!r} must be positive and finite, got {own}")
    return 2 * math.pi / own


def _new_pairs(waves: list[_Wave], degree: int) -> list[tuple[_Wave, _Wave]]:
    """All pairs; of one input only those whose product is no sum of waves and products before it."""
    size = 2 * degree
    plain = [_wave_row("cos", 0, size)]
    plain += [_wave_row(f, k, size) for f in ("sin", "cos") for k in range(1, degree + 1)]  # orthonormal
    known = {name: np.array(plain) for name in dict.fromkeys(name for _, name, _ in waves)}
    found = []
    for one, other in combinations(waves, 2):
        if one[1] == other[1]:
            basis, rest = known[one[1]], np.array(_product_row(one, other, size))
            for _ in range(2):  # twice is enough
                rest = rest - basis.T @ (basis @ rest)
            if np.linalg.norm(rest) < 1e-8:
                continue
            known[one[1]] = np.vstack([basis, rest / np.linalg.norm(rest)])
        found.append((one, other))
    return found


def _wave_row(function: str, k: int, size: int) -> list[float]:
    """A sine or cosine as coefficients of cos 0, ..., cos size, sin 1, ..., sin size times its argument."""
    row = [0.0] * (2 * size + 1)
    row[k if function == "cos" else size + k] = 1.0
    return row


def _product_row(one: _Wave, other: _Wave, size: int) -> list[float]:
    """Of the product of two waves of one input: half of the wave of the sum, and half of that of the difference."""
    (f, _, j), (g, _, k) = one, other
    row = np.zeros(2 * size + 1)
    if f == g:
        sign = 1.0 if f == "cos" else -1.0
        row += 0.5 * np.array(_wave_row("cos", abs(j - k), size)) + 0.5 * sign * np.array(_wave_row("cos", j + k, size))
    else:
        sine, cosine = (j, k) if f == "sin" else (k, j)
        row += 0.5 * np.array(_wave_row("sin", j + k, size))
        if sine != cosine:
            row += 0.5 * np.sign(sine - cosine) * np.array(_wave_row("sin", abs(sine - cosine), size))
    result: list[float] = row.tolist()
    return result
