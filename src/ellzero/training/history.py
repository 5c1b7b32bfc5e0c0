"""What a training writes down after every epoch."""

__all__ = ["Epoch", "History"]

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Epoch:
    """One line of the training's diary. Shares are of the full cost, one entry per target (`"params"`, `"macs"`, ...).

    Attributes:
        epoch: counted from 1.
        steps: optimizer steps done so far.
        loss: mean training loss over the epoch, without the penalty.
        error: share of wrong answers (or whatever `evaluate` returns) of the network as it would be delivered now, or
            None if there is nothing to evaluate.
        expected: expected share that stays.
        real: share that stays if the network were cut now, within the budget.
        target: share allowed at this point of the ramp; empty under a fixed penalty.
        multiplier: Lagrange multipliers; empty under a fixed penalty.
        undecided: share of gates whose median is strictly between 0 and 1.
        seconds: time since the start.
        seconds_left: estimate of the time to go.
    """

    epoch: int
    steps: int
    loss: float
    error: float | None
    expected: dict[str, float]
    real: dict[str, float]
    target: dict[str, float]
    multiplier: dict[str, float]
    undecided: float
    seconds: float
    seconds_left: float


@dataclass
class History:
    """All epochs of a training, and how it ended.

    Attributes:
        epochs: one entry per finished epoch.
        goal: share of each target that may stay at the end; empty under a fixed penalty.
        stopped: `"finished"`, `"interrupted"` by the user, `"not finite"`, or `"failed"` with an unforeseen error.
        message: what went wrong, if something did.
    """

    goal: dict[str, float]
    epochs: list[Epoch] = field(default_factory=list)
    stopped: Literal["finished", "interrupted", "not finite", "failed"] = "finished"
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)
