"""One equation as plain data: what all printers are given."""

__all__ = ["Row", "joined"]

from collections.abc import Sequence
from dataclasses import dataclass

from ellzero.dictionary.outputs import Output
from ellzero.dictionary.terms import Term


@dataclass(frozen=True)
class Row:
    """A target, the terms that it is made of with their coefficients, and what is done to their sum."""

    target: str
    parts: tuple[tuple[float, Term], ...]
    output: Output


def joined(parts: Sequence[tuple[float, str]]) -> str:
    """Put a sum together of numbers, whose signs become operations, and what is shown of them without the sign.

    Example:
        >>> joined([(-10.0, "10 x"), (28.0, "28 y"), (-1.0, "z")])
        '-10 x + 28 y - z'
    """
    shown = ""
    for number, body in parts:
        minus = number < 0
        shown += f" {'-' if minus else '+'} {body}" if shown else f"-{body}" if minus else body
    return shown or "0"
