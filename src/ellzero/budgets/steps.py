"""What happens at every optimizer step: noise moves on, poison is kept out, a forgotten call is noticed."""

__all__ = ["StepGuard"]

import math
import warnings
from typing import cast

import torch
from torch import Tensor

from ellzero.budgets.targets import GatedNetwork
from ellzero.errors import NonFiniteError
from ellzero.noise import advance


class StepGuard:
    """Watches the gates between two steps.

    Args:
        gated: the gated network.
    """

    def __init__(self, gated: GatedNetwork) -> None:
        self.gated = gated
        self._good = gated.log_odds.detach().clone()
        self._version: int | None = None
        self._warned = False

    def saw_penalty(self) -> None:
        """Warn once if the gates were changed since the last penalty and no step was announced."""
        if torch.compiler.is_compiling():
            return
        version = self.gated.log_odds._version
        if self._version is not None and version != self._version and not self._warned:
            self._warned = True
            warnings.warn(
                "the gates were updated but step() was not called; call budget.step() after every optimizer.step(), "
                "or the multipliers stay where they are and the gates' noise repeats",
                stacklevel=3,
            )
        self._version = version

    def check_gates(self) -> None:
        """Put the gates back to the last good step if one of them is not finite, and say so.

        Raises:
            NonFiniteError: with the number of the step.
        """
        log_odds = self.gated.log_odds
        if math.isfinite(log_odds.sum().item()):  # one kernel; NaN and infinities survive a sum
            self._good.copy_(log_odds)
            return
        bad = int((~log_odds.isfinite()).sum())
        log_odds.data.copy_(self._good)
        raise NonFiniteError(
            f"{bad} of {len(log_odds)} gates became NaN or infinite in step {int(self._counters[1]) + 1}; they are "
            "back at the last good step. Look for NaN in the data or the loss, or lower the learning rate"
        )

    def stepped(self) -> None:
        """Move to the noise of the next step."""
        advance(self._counters, step=True)
        self._version = None

    @property
    def _counters(self) -> Tensor:
        return cast(Tensor, self.gated.gates.counters)
