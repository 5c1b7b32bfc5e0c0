"""What targets may be called: whatever is printed beside them, a name ends neither a comment nor a text."""

__all__ = ["check_targets"]

import re
from collections.abc import Sequence

_LONGEST = 80

_PART = r"[^\W\d]\w*(?:\^\d+)?\w*'{0,4}(?:\([\w'.,^+\-* ]*\))?"
_TARGET = re.compile(rf"{_PART}(?:/{_PART})?")
"""A name; perhaps a power, primes and an argument in brackets; perhaps over another: `d^2x/dt^2`, `x(k + 1)`."""


def check_targets(targets: Sequence[str]) -> None:
    """Refuse targets that could not be told from an equation, a comment or a text in some language.

    Comments of C would end at `*/` and begin at `/*` or `//`, docstrings of Python end at three quotation marks, and
    both at a new line: none of them can be part of a target.

    Args:
        targets: names such as `x'`, `u_t`, `theta_dot`, `dx/dt`, `x(k + 1)`, `log(y)`.

    Raises:
        ValueError: if one is something else, or is there twice.

    Example:
        >>> check_targets(["x'", "d^2x/dt^2", "x(k + 1)"])
        >>> check_targets(["x'''+b"])
        Traceback (most recent call last):
        ...
        ValueError: the target "x'''+b" cannot be printed everywhere; it is...
    """
    for target in targets:
        if not isinstance(target, str) or len(target) > _LONGEST or not _TARGET.fullmatch(target):
            raise ValueError(
                f"the target {target!r} cannot be printed everywhere; it is a name such as x', u_t, dx/dt, x(k + 1), "
                f"of at most {_LONGEST} characters"
            )
        if list(targets).count(target) > 1:
            raise ValueError(f"two targets are called {target!r}; give each a name of its own")
