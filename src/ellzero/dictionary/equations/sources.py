"""Equations as source text: a function in Python with NumPy, and one in C99."""

__all__ = ["c_source", "python_source"]

import keyword
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.rows import Row
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner, check_name, joined
from ellzero.dictionary.terms.term import Factor, Term

_C_NAMES = """auto break case char const continue default do double else enum extern float for goto if inline int long
main register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
acos asin atan atan2 cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp hypot
ldexp lgamma log log10 log1p log2 modf nan pow remainder rint round sin sinh sqrt tan tanh tgamma trunc j0 j1 jn y0 y1
yn"""
"""Words of the language and functions of its mathematical library."""

_POWER = 4
"""Up to here a power is written as a product in C."""


def python_source(rows: Sequence[Row], inputs: Sequence[str], functions: Sequence[str], name: str) -> str:
    """A module with one function of an array of shape `(..., num_inputs)`.

    Args:
        rows: the equations.
        inputs: names of the inputs.
        functions: names of functions of your own; the module takes them as arguments of the function.
        name: of the function.

    Raises:
        ValueError: if the name is no identifier, or taken.
    """
    _check_function(name, {"np", "inputs", *functions, *keyword.kwlist})
    for own in functions:
        _check_own(own, {"np", "inputs", *keyword.kwlist}, "Python")
    taken = {"np", "inputs", name, *functions}
    names: dict[str, str] = {}
    for one in inputs:
        names[one] = _free(one, taken | set(names.values()) | (set(inputs) - {one}))
    arguments = ", ".join(["inputs", *functions])
    head = f"def {name}({arguments}):"
    lines = [
        '"""Equations written by ellzero."""', "", "import numpy as np", "", "", head,
        f'    """From ({", ".join(inputs)}) to ({", ".join(row.target for row in rows)})."""',
        f"    ({', '.join(names.values())},) = np.moveaxis(np.asarray(inputs, dtype=np.float64), -1, 0)",
        "    return np.stack(",
        "        np.broadcast_arrays(",
    ]  # fmt: skip
    lines += [f"            np.zeros_like({names[inputs[0]]}) + ({_python_row(row, names)})," for row in rows]
    return "\n".join([*lines, "        ),", "        axis=-1,", "    )", ""])


def c_source(rows: Sequence[Row], inputs: Sequence[str], functions: Mapping[str, int], name: str) -> str:
    """A C99 file with one function `void name(const double *inputs, double *outputs)`.

    Args:
        rows: the equations.
        inputs: names of the inputs.
        functions: names of functions of your own, with their numbers of arguments; they are declared `extern`.
        name: of the function.

    Raises:
        ValueError: if the name is no identifier, or taken.
    """
    _check_function(name, {"inputs", "outputs", *_C_NAMES.split(), *functions})
    for own in (name, *functions):
        _check_own(own, {"inputs", "outputs", *_C_NAMES.split()} if own != name else set(), "C")
        if not own.isascii():
            raise ValueError(f"the name of a function in C has letters of the English alphabet, got {own!r}")
    names = {one: f"v{number}" for number, one in enumerate(inputs)}
    lines = ["/* Equations written by ellzero. */", "#include <math.h>", ""]
    lines += [f"extern double {own}({', '.join(['double'] * num)});" for own, num in functions.items()]
    lines += [f"void {name}(const double *inputs, double *outputs)", "{"]
    for number, one in enumerate(inputs):
        lines.append(f"    const double {names[one]} = inputs[{number}]; /* {one} */")
    lines += [f"    (void){one};" for one in names.values()]
    for number, row in enumerate(rows):
        lines.append(f"    outputs[{number}] = {_c_row(row, names)}; /* {row.target} */")
    return "\n".join([*lines, "}", ""])


def _check_function(name: str, taken: set[str]) -> None:
    check_name(name, "a function")
    if name in taken:
        raise ValueError(f"the name of the function, {name!r}, means something else there already; try '{name}_law'")


def _check_own(name: str, taken: set[str], language: str) -> None:
    if name in taken:
        raise ValueError(
            f"your function {name!r} means something else in {language}; give the dictionary one of another name"
        )


def _free(name: str, taken: set[str]) -> str:
    while name in taken or keyword.iskeyword(name):
        name += "_"
    return name


def _sum(row: Row, show: Callable[[Term], str]) -> str:
    parts = []
    for coefficient, term in row.parts:
        body, number = show(term), repr(abs(coefficient))
        parts.append((coefficient, number if body == "1.0" else f"{number} * {body}"))
    return joined(parts) if parts else "0.0"


def _python_row(row: Row, names: Mapping[str, str]) -> str:
    total = _sum(row, lambda term: _product(term, lambda factor: _python_factor(factor, names)))
    output = row.output
    if output.function == "clip":
        low, high = (
            repr(x) if math.isfinite(x) else f"{'-' if x < 0 else ''}np.inf" for x in (output.low, output.high)
        )
        inner = f"np.clip({total}, {low}, {high})"
    else:
        inner = total if output.function == "identity" else _applied(FUNCTIONS[output.function].python, total)
    return _scaled(inner, output)


def _c_row(row: Row, names: Mapping[str, str]) -> str:
    total = _sum(row, lambda term: _product(term, lambda factor: _c_factor(factor, names)))
    output = row.output
    if output.function == "clip":
        inner = f"fmax({total}, {output.low!r})" if math.isfinite(output.low) else total
        inner = f"fmin({inner}, {output.high!r})" if math.isfinite(output.high) else inner
    else:
        inner = total if output.function == "identity" else _applied(FUNCTIONS[output.function].c, total)
    return _scaled(inner, output)


_COMPOUND = frozenset({"sign", "sigmoid"})
"""Written as an expression of several operations in some language."""


def _applied(template: str, argument: str) -> str:
    return template.format(argument)


def _scaled(inner: str, output: Output) -> str:
    shown = inner if output.scale == 1 else f"{output.scale!r} * ({inner})"
    return shown if output.offset == 0 else f"{output.offset!r} + ({shown})"


def _product(term: Term, show: Callable[[Factor], str]) -> str:
    above = " * ".join(show(factor) for factor in term.factors if factor.power > 0) or "1.0"
    return " / ".join([above, *(show(factor) for factor in term.factors if factor.power < 0)])


def _python_factor(factor: Factor, names: Mapping[str, str]) -> str:
    arguments = [_inner(argument, names, lambda name, power: f"{name}**{power}") for argument in factor.arguments]
    shown = _call(factor, arguments, "python")
    return shown if abs(factor.power) == 1 else f"{shown}**{abs(factor.power)}"


def _c_factor(factor: Factor, names: Mapping[str, str]) -> str:
    arguments = [_inner(argument, names, _c_power) for argument in factor.arguments]
    return _c_power(_call(factor, arguments, "c"), abs(factor.power))


def _call(factor: Factor, arguments: Sequence[str], language: Literal["python", "c"]) -> str:
    """A function of its arguments, in brackets where it is no plain call."""
    if factor.is_input:
        return arguments[0]
    known = FUNCTIONS.get(factor.function)
    if known is None:
        return f"{factor.function}({', '.join(arguments)})"
    shown = _applied(getattr(known, language), arguments[0])
    return f"({shown})" if factor.function in _COMPOUND else shown


def _c_power(base: str, power: int) -> str:
    return base if power == 1 else f"({' * '.join([base] * power)})" if power <= _POWER else f"pow({base}, {power}.0)"


def _inner(inner: Inner, names: Mapping[str, str], powered: Callable[[str, int], str]) -> str:
    if inner.name:
        return names[inner.name]
    parts = []
    for powers, coefficient in inner.parts:
        body = [names[name] if power == 1 else powered(names[name], power) for name, power in powers]
        parts.append((coefficient, " * ".join([repr(abs(coefficient)), *body])))
    return joined(parts) if parts else "0.0"
