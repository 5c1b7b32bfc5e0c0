"""One equation as plain data: what all printers are given."""

__all__ = ["Row"]

from dataclasses import dataclass

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.terms.term import Term


@dataclass(frozen=True)
class Row:
    """A target, the terms that it is made of with their coefficients, and what is done to their sum."""

    target: str
    parts: tuple[tuple[float, Term], ...]
    output: Output
