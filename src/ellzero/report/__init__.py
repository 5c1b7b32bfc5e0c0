"""What pruning delivered: numbers as text and JSON."""

__all__ = ["Kept", "Promise", "Report", "Size", "Width", "report"]

from ellzero.report.compare import report
from ellzero.report.records import Kept, Promise, Report, Size, Width
