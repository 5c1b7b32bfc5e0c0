"""What every recipe can be told, and how a budget or a penalty is made of it."""

__all__ = ["Checked", "Settings"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch.optim.lr_scheduler import LambdaLR

from ellzero.budgets import CONTROLLERS, Amounts, Budget, Penalty, Sizer
from ellzero.budgets.targets import parse
from ellzero.errors import nearest
from ellzero.gates import Gated
from ellzero.graph import KINDS


@dataclass(frozen=True)
class Checked:
    """Settings of any recipe: plain data that can be checked before anything is computed."""

    unused: ClassVar[frozenset[str]] = frozenset()
    """Fields that mean nothing to this recipe and that it refuses to be given."""

    def check(self) -> None:
        """Refuse what is wrong.

        Raises:
            ValueError: if a value is out of range.
        """


@dataclass(frozen=True)
class Settings(Checked):
    """Settings of a classification recipe; every recipe has defaults of its own."""

    budget: Mapping[str, Amounts] = field(default_factory=dict)
    """Share that may stay at most; kinds are params, macs and units."""

    penalty: Mapping[str, Amounts] = field(default_factory=dict)
    """Price of a parameter, multiply-add or unit, instead of a budget."""

    epochs: int = 30
    """Passes over the training data."""

    batch_size: int = 128
    """Samples per optimizer step."""

    lr: float = 1e-3
    """Learning rate of the weights (Adam), down to zero along a half cosine."""

    gate_lr: float = 3e-3
    """Learning rate of the gates (Adam), constant."""

    dual_lr: float = 1e-2
    """Step of the budget's multipliers; raise it in proportion for losses far above 1."""

    controller: str = "pi"
    """Law of the budget's multipliers: pi or restarts."""

    seed: int = 0
    """Of the weights, the order of the data and the gates' noise."""

    data: str | None = None
    """Folder with the data files."""

    def check(self) -> None:
        """Refuse what is wrong whatever the network, before any data is read.

        Raises:
            ValueError: if not exactly one of budget and penalty is given, or a kind or a number is wrong.
        """
        if bool(self.budget) == bool(self.penalty):
            found = "both a budget and a penalty" if self.budget else "neither a budget nor a penalty"
            raise ValueError(f"{found} given; state one of them, e.g. --budget params=0.1")
        amounts = self.budget or self.penalty
        for kind in amounts:
            if kind not in KINDS:
                raise ValueError(f"unknown cost {kind!r}{nearest(kind, KINDS)}")
        parse(amounts, share=bool(self.budget))
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "gate_lr", "dual_lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.controller not in CONTROLLERS:
            raise ValueError(f"unknown controller {self.controller!r}{nearest(self.controller, CONTROLLERS)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, got {self.seed}")

    def sizer(self, gated: Gated, steps: int) -> Sizer:
        """The budget, or the penalty, that these settings ask for.

        Raises:
            ValueError: if the settings are wrong, or a name pattern fits nothing in the network.
            BudgetError: if a target is out of reach.
        """
        self.check()
        amounts: dict[str, Any] = dict(self.budget or self.penalty)
        if self.penalty:
            return Penalty(gated, **amounts)
        return Budget(gated, steps=steps, dual_lr=self.dual_lr, controller=self.controller, **amounts)

    def optimizer(self, gated: Gated, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Adam for weights and gates, and the schedule of the weights' learning rate."""
        optimizer = torch.optim.Adam(gated.parameter_groups(lr=self.lr, gate_lr=self.gate_lr))
        return optimizer, LambdaLR(
            optimizer, [lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)), lambda step: 1.0]
        )
