"""What pruning delivered: numbers as text and JSON, training dynamics, widths and equations as pictures."""

__all__ = [
    "Kept",
    "Latency",
    "Promise",
    "Report",
    "Size",
    "Spread",
    "Width",
    "architecture",
    "coefficient_path",
    "curves",
    "inclusion",
    "pareto",
    "report",
    "support_map",
    "trajectories",
]

from ellzero.report.architecture import architecture
from ellzero.report.compare import report
from ellzero.report.curves import curves
from ellzero.report.inclusion import inclusion
from ellzero.report.latency import Latency, Spread
from ellzero.report.motion import trajectories
from ellzero.report.pareto import pareto
from ellzero.report.paths import coefficient_path
from ellzero.report.records import Kept, Promise, Report, Size, Width
from ellzero.report.support import support_map
