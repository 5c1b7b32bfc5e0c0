"""Gates in front of every channel of a network."""

__all__ = ["GateVector", "Gated", "Mask"]

from ellzero.gates.gated import Gated
from ellzero.gates.mask import Mask
from ellzero.gates.vector import GateVector
