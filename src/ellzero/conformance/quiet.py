"""Silence about the workings of PyTorch, of which the outcome of a check says enough."""

__all__ = ["quiet"]

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from ellzero.graph.recording.shadow import muted


@contextmanager
def quiet() -> Iterator[None]:
    """PyTorch warns of its own workings, and prints whole graphs where it fails; that, an exception says too."""
    with muted("torch"), warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
