"""The command `ellzero`: parsing and printing; all else is in the recipes."""

__all__ = ["Exit", "main"]

from ellzero.cli.commands import main
from ellzero.cli.exits import Exit
