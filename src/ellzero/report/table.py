"""Text tables and numbers as people read them."""

__all__ = ["number", "percent", "table"]

from collections.abc import Sequence


def number(value: int) -> str:
    """A count with a comma after every three digits.

    Example:
        >>> number(431080)
        '431,080'
    """
    return f"{value:,}"


def percent(share: float) -> str:
    """A share in per cent, with three significant digits below ten per cent.

    Example:
        >>> percent(0.5), percent(0.0977), percent(0.00123)
        ('50.0 %', '9.77 %', '0.123 %')
    """
    value = 100 * share
    if value == 0 or value >= 10:
        return f"{value:.1f} %"
    return f"{value:.2f} %" if value >= 1 else f"{value:.3g} %"


def table(rows: Sequence[Sequence[str]], *, left: int = 1, last_left: bool = False) -> str:
    """Align columns; a rule is drawn under the first row.

    Args:
        rows: the head and the lines, all of the same length.
        left: how many columns are set flush left; the others are flush right.
        last_left: whether the last column is, too.

    Returns:
        Lines without trailing space.

    Example:
        >>> print(table([("group", "width"), ("conv", "8")]))
        group  width
        -----  -----
        conv       8
    """
    columns = range(len(rows[0]))
    wide = [max(len(row[column]) for row in rows) for column in columns]
    flush = ["<" if column < left or (last_left and column == columns[-1]) else ">" for column in columns]
    ruled = [rows[0], ["-" * width for width in wide], *rows[1:]]
    return "\n".join(
        "  ".join(f"{row[column]:{flush[column]}{wide[column]}}" for column in columns).rstrip() for row in ruled
    )
