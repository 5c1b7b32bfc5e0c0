"""What pruning delivered: numbers as text and JSON, training dynamics and widths as pictures."""

__all__ = ["Kept", "Latency", "Promise", "Report", "Size", "Spread", "Width", "architecture", "curves", "report"]

from ellzero.report.architecture import architecture
from ellzero.report.compare import report
from ellzero.report.curves import curves
from ellzero.report.latency import Latency, Spread
from ellzero.report.records import Kept, Promise, Report, Size, Width
