"""What every recipe can be told, and how a budget or a penalty is made of it."""

__all__ = ["Settings"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LambdaLR

from ellzero.budgets import Budget, Penalty
from ellzero.gates import Gated
from ellzero.training import Sizer


@dataclass(frozen=True)
class Settings:
    """Settings of a classification recipe; every recipe has defaults of its own."""

    budget: Mapping[str, float] = field(default_factory=dict)
    """Shares that may stay at most: `{"params": 0.1}`; kinds are params, macs and units."""

    penalty: Mapping[str, float] = field(default_factory=dict)
    """Prices instead of a budget: `{"params": 1e-6}`."""

    epochs: int = 30
    """Passes over the training data."""

    batch_size: int = 128
    """Samples per optimizer step."""

    lr: float = 7e-4
    """Learning rate of the weights (Adam), down to zero along a half cosine."""

    gate_lr: float = 3e-3
    """Learning rate of the gates (Adam), constant."""

    seed: int = 0
    """Of the weights, the order of the data and the gates' noise."""

    data: Path | None = None
    """Folder with the data files."""

    def sizer(self, gated: Gated, steps: int) -> Sizer:
        """The budget, or the penalty, that these settings ask for.

        Raises:
            ValueError: if neither or both are given, or a kind or a number is wrong.
        """
        if bool(self.budget) == bool(self.penalty):
            found = "both a budget and a penalty" if self.budget else "neither a budget nor a penalty"
            raise ValueError(f"{found} given; state one of them, e.g. --budget params=0.1")
        if self.penalty:
            return Penalty(gated, **self.penalty)
        return Budget(gated, steps=steps, **self.budget)

    def optimizer(self, gated: Gated, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Adam for weights and gates, and the schedule of the weights' learning rate."""
        optimizer = torch.optim.Adam(gated.parameter_groups(lr=self.lr, gate_lr=self.gate_lr))
        return optimizer, LambdaLR(optimizer, [lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)), lambda step: 1.0])
