"""What happens at every optimizer step: noise moves on, poison is kept out, a forgotten call is noticed."""

__all__ = ["StepGuard"]

import math
import warnings
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ellzero.budgets.targets import GatedNetwork
from ellzero.errors import NonFiniteError
from ellzero.noise import advance


class StepGuard:
    """Watches the gates between two steps.

    Args:
        gated: the gated network.

    Raises:
        NonFiniteError: if a gate is NaN or infinite.
        ValueError: if the network is on the meta device.
    """

    def __init__(self, gated: GatedNetwork) -> None:
        if gated.log_odds.is_meta:
            raise ValueError(
                "the gates are on the meta device, expected numbers to train; load the network's weights before it is "
                "gated, or plan without them: make_plan(gated.channels, ...)"
            )
        if not bool(gated.log_odds.isfinite().all()):
            raise NonFiniteError("the gates hold NaN or infinite numbers; load a sound checkpoint first")
        self.gated = gated
        self._good = self._values().copy()
        self._checked = gated.log_odds._version
        self._version: int | None = None
        self._num_changes = 0
        self._warned = False
        gated.gates.register_load_state_dict_post_hook(self._loaded)

    def saw_penalty(self) -> None:
        """Warn once if the gates were changed again and again between penalties and no step was announced.

        One change proves nothing: the penalty may be asked for once more, to log it, before the step is announced.
        Changes are seen by the tensor's version, which optimizers with `fused=True` do not count: there it is silent.
        """
        if torch.compiler.is_compiling():
            return
        version = self.gated.log_odds._version
        if self._version is None and version != self._checked:
            self._remember()
        self._num_changes += self._version is not None and version != self._version
        if self._num_changes == 2 and not self._warned:
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
        values = self._values()
        if math.isfinite(np.add.reduce(values)) or np.isfinite(values).all():  # NaN and infinities survive a sum
            np.copyto(self._good, values)
            return
        bad = int((~np.isfinite(values)).sum())
        self.gated.log_odds.data.copy_(torch.from_numpy(self._good))
        self._version, self._num_changes = None, 0
        raise NonFiniteError(
            f"{bad} of {len(values)} gates became NaN or infinite in step {int(self._counters[1]) + 1}; they are "
            "back at the last good step. Weights and the optimizer's moments may hold NaN too: restore them, and look "
            "for NaN in the data or the loss, or lower the learning rate"
        )

    def stepped(self) -> None:
        """Move to the noise of the next step."""
        advance(self._counters, step=True)
        self._checked = self.gated.log_odds._version
        self._version, self._num_changes = None, 0

    def _loaded(self, gates: nn.Module, keys: object) -> None:
        """A checkpoint changes the gates without any step."""
        self._version, self._num_changes = None, 0

    def _remember(self) -> None:
        """Somebody else set the gates since the last step, so that these are the ones to go back to."""
        values = self._values()
        if np.isfinite(values).all():
            np.copyto(self._good, values)

    def _values(self) -> np.ndarray:
        """The gates on the host: a view of them if that is where they are."""
        values: np.ndarray = self.gated.log_odds.detach().cpu().numpy()
        return values

    @property
    def _counters(self) -> Tensor:
        return cast(Tensor, self.gated.gates.counters)
