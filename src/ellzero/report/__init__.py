"""What pruning delivered: numbers as text and JSON, training dynamics as a picture."""

__all__ = ["Kept", "Promise", "Report", "Size", "Width", "curves", "report"]

from ellzero.report.compare import report
from ellzero.report.curves import curves
from ellzero.report.records import Kept, Promise, Report, Size, Width
