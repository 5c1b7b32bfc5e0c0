"""Equations for people: plain text and LaTeX."""

__all__ = ["latex_row", "text_row"]

import math
import re
from collections.abc import Sequence

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.rows import Row
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner, Powers, joined, number_text
from ellzero.dictionary.terms.term import Factor, Term

_GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi",
    "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
})  # fmt: skip


def text_row(row: Row, inputs: Sequence[str], digits: int | None) -> str:
    """`x' = -10 x + 10 y`."""
    shown = []
    for coefficient, term in row.parts:
        number, body = number_text(abs(coefficient), digits), term.text(inputs)
        shown.append((coefficient, number if body == "1" else body if number == "1" else f"{number} {body}"))
    return f"{row.target} = {row.output.text(joined(shown), digits)}"


def latex_row(row: Row, inputs: Sequence[str], digits: int | None) -> str:
    r"""`\dot{x} = -10\, x + 10\, y`."""
    shown = []
    for coefficient, term in row.parts:
        number, body = _number(abs(coefficient), digits), _term(term, inputs)
        shown.append((coefficient, number if body == "1" else body if number == "1" else f"{number}\\, {body}"))
    return f"{_target(row.target)} &= {_output(row.output, joined(shown), digits)}"


def _number(value: float, digits: int | None) -> str:
    shown = number_text(value, digits)
    if not math.isfinite(value):
        return shown.replace("inf", r"\infty")
    mantissa, _, exponent = shown.partition("e")
    return f"{mantissa} \\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _target(name: str) -> str:
    return name if not name.isidentifier() else _name(name)


def _names(inputs: Sequence[str]) -> dict[str, str]:
    """How inputs are written; those that would look alike, such as `x10` and `x_10`, as they are."""
    shown = {name: _name(name) for name in inputs}
    written = list(shown.values())
    return {name: one if written.count(one) == 1 else _verbatim(name) for name, one in shown.items()}


def _verbatim(name: str) -> str:
    return f"\\mathrm{{{name.replace('_', chr(92) + '_')}}}"


def _name(name: str) -> str:
    r"""`theta_dot` is written `\dot{\theta}`, `x10` and `x_10` are written `x_{10}`."""
    if name.endswith("_dot") and len(name) > 4:
        return f"\\dot{{{_name(name.removesuffix('_dot'))}}}"
    if name != name.strip("_"):
        return _verbatim(name)
    base, *indices = name.split("_")
    letters = re.fullmatch(r"([^\W\d]+)(\d+)", base)
    if letters:
        base, indices = letters[1], [letters[2], *indices]
    if base in _GREEK:
        base = f"\\{base}"
    elif len(base) > 1:
        base = f"\\mathrm{{{base}}}"
    return f"{base}_{{{','.join(filter(None, indices))}}}" if any(indices) else base


def _term(term: Term, inputs: Sequence[str]) -> str:
    place = {name: number for number, name in enumerate(inputs)}
    ordered = sorted(term.factors, key=lambda f: (not f.is_input, place.get(f.inner.name, 0) if f.is_input else 0))
    above = " ".join(_factor(factor, inputs) for factor in ordered if factor.power > 0) or "1"
    below = " ".join(_factor(factor, inputs) for factor in ordered if factor.power < 0)
    return f"\\frac{{{above}}}{{{below}}}" if below else above


def _factor(factor: Factor, inputs: Sequence[str]) -> str:
    inside = ", ".join(_inner(argument, inputs) for argument in factor.arguments)
    power = "" if abs(factor.power) == 1 else f"^{{{abs(factor.power)}}}"
    if factor.is_input:
        return f"{inside}{power}"
    if factor.function in FUNCTIONS:
        return FUNCTIONS[factor.function].latex.format(inside) + power
    return f"\\operatorname{{{factor.function.replace('_', chr(92) + '_')}}}\\left({inside}\\right){power}"


def _inner(inner: Inner, inputs: Sequence[str]) -> str:
    shown = []
    for powers, coefficient in inner.parts:
        number, body = _number(abs(coefficient), None), _monomial(powers, inputs)
        shown.append((coefficient, number if not body else body if number == "1" else f"{number}\\, {body}"))
    return joined(shown)


def _monomial(powers: Powers, inputs: Sequence[str]) -> str:
    place = {name: number for number, name in enumerate(inputs)}
    ordered = sorted(powers, key=lambda item: place.get(item[0], 0))
    shown = _names(inputs)
    return " ".join(shown[name] if power == 1 else f"{shown[name]}^{{{power}}}" for name, power in ordered)


def _output(output: Output, inner: str, digits: int | None) -> str:
    if output.is_plain:
        return inner
    if output.function == "clip":
        limits = f"{_number(output.low, digits)}, {_number(output.high, digits)}"
        inside = f"\\operatorname{{clip}}\\left({inner}, {limits}\\right)"
    else:
        inside = FUNCTIONS[output.function].latex.format(inner)
    shown = inside if output.scale == 1 else f"{_number(output.scale, digits)}\\, {inside}"
    if output.offset == 0:
        return shown
    return f"{shown} {'-' if output.offset < 0 else '+'} {_number(abs(output.offset), digits)}"
