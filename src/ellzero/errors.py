"""Every promise of the library that can fail has an exception here; a caller's mistake is a `ValueError`."""

__all__ = [
    "ArtifactError",
    "BudgetError",
    "ConformanceError",
    "DataError",
    "EllzeroError",
    "MissingExtraError",
    "NonFiniteError",
    "SurgeryError",
    "TraceError",
    "nearest",
]

import difflib
from collections.abc import Iterable


class EllzeroError(Exception):
    """Parent of all errors that the library raises about its own promises."""


class TraceError(EllzeroError):
    """A network could not be run on labels, or a description of channels does not fit it."""


class BudgetError(EllzeroError):
    """A target cannot be reached: out of range, or not within the steps announced."""


class SurgeryError(EllzeroError):
    """The cut network does not compute what the gated one computes; nothing was changed."""


class ConformanceError(EllzeroError):
    """A check of a network failed: what the library promises does not hold for it."""


class ArtifactError(EllzeroError):
    """A saved network is missing, damaged, of an unknown version, or does not fit the build function."""


class DataError(EllzeroError):
    """A data file is missing, truncated or not what its checksum says."""


class NonFiniteError(EllzeroError):
    """An input, a loss, a weight or a gate became NaN or infinite."""


class MissingExtraError(EllzeroError, ImportError):
    """An optional dependency is needed; the message names the extra that installs it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is closest, as the end of an error message.

    Args:
        name: what was found.
        known: what would have been accepted.

    Returns:
        `"; did you mean 'x'?"`, or the list of known names when none is close.

    Example:
        >>> nearest("parms", ["params", "macs"])
        "; did you mean 'params'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(repr(known_name) for known_name in names[:8])
    return f"; known are {shown}{', ...' if len(names) > 8 else ''}" if names else "; nothing is known here"
