"""How large terms and dictionaries may be: what is larger is a mistake, or a file that nobody should trust."""

__all__ = ["MOST_DEGREE", "MOST_PARTS", "MOST_TERMS", "check_count", "check_degree"]

MOST_DEGREE = 100
"""Of a term or a monomial: float64 numbers of size 1000 overflow at the power 103."""

MOST_PARTS = 1000
"""Monomials of a polynomial within a function."""

MOST_TERMS = 100_000
"""Of a dictionary; a regression needs the square of it in memory."""


def check_degree(degree: int, what: str) -> None:
    """Refuse powers that are computed by as many multiplications.

    Args:
        degree: a power, or a sum of powers.
        what: whose it is, for the message.

    Raises:
        ValueError: if it is too large.

    Example:
        >>> check_degree(10**9, "the degree")
        Traceback (most recent call last):
        ...
        ValueError: the degree is 1000000000, expected at most 100; take a lower power, or a function of your own
    """
    if degree > MOST_DEGREE:
        raise ValueError(
            f"{what} is {degree}, expected at most {MOST_DEGREE}; take a lower power, or a function of your own"
        )


def check_count(count: int, what: str, *, most: int = MOST_TERMS) -> None:
    """Refuse numbers of terms that nobody waits for, before the first is made.

    Args:
        count: how many.
        what: of what, for the message.
        most: how many may be.

    Raises:
        ValueError: if there are too many.
    """
    if count > most:
        raise ValueError(
            f"{what} would be {count:,}, expected at most {most:,}; lower the degree, or name fewer inputs"
        )
