"""Leave cyclic garbage where it is for a short while."""

__all__ = ["collecting_later"]

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Within it Python does not look for cyclic garbage, unless it is asked to.

    Work that makes many small objects and drops them again would have it look through all that is imported, several
    times over: a fifth of the time of a trace. Whoever finds it switched off leaves it so.

    Example:
        >>> with collecting_later():
        ...     gc.isenabled()
        False
        >>> gc.isenabled()
        True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
