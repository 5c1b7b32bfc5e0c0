"""Equations as SymPy expressions, built from the terms and never parsed."""

__all__ = ["expressions"]

import math
from collections.abc import Sequence
from typing import Any

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.rows import Row
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.errors import MissingExtraError


def expressions(rows: Sequence[Row], inputs: Sequence[str]) -> dict[str, Any]:
    """One expression for each target; inputs are real symbols, numbers have 17 digits.

    Args:
        rows: the equations.
        inputs: names of the inputs.

    Raises:
        MissingExtraError: if SymPy is not installed.
    """
    sympy = _sympy()
    symbols = {name: sympy.Symbol(name, real=True) for name in inputs}
    found = {}
    for row in rows:
        parts = [_number(sympy, coefficient) * _term(sympy, term, symbols) for coefficient, term in row.parts]
        found[row.target] = _output(sympy, row.output, sympy.Add(*parts))
    return found


def _sympy() -> Any:
    try:
        import sympy  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            'symbolic expressions need SymPy, which is not installed; pip install "ellzero[equations]"'
        ) from error
    return sympy


def _number(sympy: Any, value: float) -> Any:
    """Whole numbers as such, others with all their digits."""
    return sympy.Integer(int(value)) if value == int(value) and abs(value) < 2**53 else sympy.Float(value, 17)


def _term(sympy: Any, term: Term, symbols: dict[str, Any]) -> Any:
    return sympy.Mul(*[_factor(sympy, factor, symbols) ** factor.power for factor in term.factors])


def _factor(sympy: Any, factor: Factor, symbols: dict[str, Any]) -> Any:
    arguments = [_inner(sympy, argument, symbols) for argument in factor.arguments]
    if factor.function not in FUNCTIONS:
        return sympy.Function(factor.function)(*arguments)
    return _apply(sympy, factor.function, arguments[0])


def _apply(sympy: Any, function: str, argument: Any) -> Any:
    if function == "identity":
        return argument
    if function == "sigmoid":
        return 1 / (1 + sympy.exp(-argument))
    return getattr(sympy, FUNCTIONS[function].sympy)(argument)


def _inner(sympy: Any, inner: Inner, symbols: dict[str, Any]) -> Any:
    return sympy.Add(*[
        _number(sympy, coefficient) * sympy.Mul(*[symbols[name] ** power for name, power in powers])
        for powers, coefficient in inner.parts
    ])  # fmt: skip


def _output(sympy: Any, output: Output, total: Any) -> Any:
    if output.function == "clip":
        inner = sympy.Max(total, _number(sympy, output.low)) if math.isfinite(output.low) else total
        inner = sympy.Min(inner, _number(sympy, output.high)) if math.isfinite(output.high) else inner
    else:
        inner = _apply(sympy, output.function, total)
    return _number(sympy, output.scale) * inner + _number(sympy, output.offset)
