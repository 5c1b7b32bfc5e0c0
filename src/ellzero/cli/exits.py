"""Exit codes, and the one line that says what went wrong."""

__all__ = ["Exit", "UsageError", "exit_of", "line_of"]

from enum import IntEnum

from ellzero.errors import BudgetError, ConformanceError, DataError, EllzeroError, MissingExtraError, NonFiniteError

_LONGEST = 600
_OPTIONS = {"parameter_groups(gate_lr=...)": "--gate-lr"}


class Exit(IntEnum):
    """What the command returns to the shell."""

    DONE = 0
    """Everything was delivered."""

    FAILED = 1
    """The library could not keep a promise, or something unforeseen happened."""

    USAGE = 2
    """A name, an option, a value or a folder is wrong."""

    BUDGET = 3
    """The budget cannot be reached, or not within these epochs."""

    NOT_FINITE = 4
    """NaN or infinity in the data, the loss or the weights; the last good state was delivered."""

    DATA = 5
    """Data files are missing or damaged."""

    EXTRA = 6
    """An optional package is missing."""

    CHECK = 7
    """A check of a network failed; the table says which."""

    INTERRUPTED = 130
    """Ctrl-C; what was there was delivered."""


class UsageError(ValueError):
    """The command line is wrong."""


_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (BudgetError, Exit.BUDGET),
    (ConformanceError, Exit.CHECK),
    (NonFiniteError, Exit.NOT_FINITE),
    (DataError, Exit.DATA),
    (MissingExtraError, Exit.EXTRA),
    (EllzeroError, Exit.FAILED),
    (ValueError, Exit.USAGE),
)


def exit_of(error: BaseException) -> Exit:
    """The exit code that an error stands for; a `ValueError` is the caller's.

    Example:
        >>> exit_of(BudgetError("out of reach")).name
        'BUDGET'
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


def line_of(error: BaseException) -> str:
    """The error as one line with its notes, cut short where it is very long.

    Example:
        >>> line_of(ValueError("first\\n  second"))
        'first; second'
    """
    is_ours = isinstance(error, (EllzeroError, ValueError)) and str(error)
    whole = str(error) if is_ours else f"{type(error).__name__}: {error}"
    for words, option in _OPTIONS.items():
        whole = whole.replace(words, option)
    text = _joined(whole)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... (--debug shows all of it)"
    return "; ".join([text, *(_joined(note) for note in getattr(error, "__notes__", ()))])


def _joined(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return "; ".join(lines).replace(":;", ":")
