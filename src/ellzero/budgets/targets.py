"""What may stay: shares of a cost, for the whole network or per name pattern."""

__all__ = ["Amounts", "GatedNetwork", "goals_of", "parse"]

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from ellzero.graph import COUNTED, Costs, Layout, Target

Amounts: TypeAlias = float | Mapping[str, float] | None
"""One number for the whole network, or one for each name pattern."""


class GatedNetwork(Protocol):
    """What a budget needs of a gated network."""

    @property
    def layout(self) -> Layout:
        """The order of its gates."""

    @property
    def log_odds(self) -> nn.Parameter:
        """All gates, float32, shape `(gates,)`."""

    @property
    def gates(self) -> nn.Module:
        """The owner of the gates' state; what is registered on it travels with checkpoints."""

    def prob_open(self) -> Tensor:
        """Probability that each gate is open, differentiable."""


def parse(amounts: Mapping[str, Amounts], *, share: bool) -> list[tuple[Target, float]]:
    """Make a flat list of targets of what the caller wrote.

    Args:
        amounts: for each kind of cost a number, a mapping from name pattern to number, or None.
        share: whether the numbers are shares in (0, 1], or whole numbers from 1 on for a kind that is counted (terms);
            otherwise any non-negative number will do.

    Returns:
        Targets with their numbers, in the order given.

    Raises:
        ValueError: if a number is out of range or none is given.
        TypeError: if a number is not a number.
    """
    found = []
    for kind, amount in amounts.items():
        if amount is None:
            continue
        for pattern, number in (amount if isinstance(amount, Mapping) else {"*": amount}).items():
            found.append((Target(kind, pattern), _number(Target(kind, pattern), number, share=share)))
    if not found:
        known = ", ".join(f"{kind}=..." for kind in amounts)
        raise ValueError(f"no target was given; give at least one of {known}")
    return found


def goals_of(costs: Costs, parsed: Sequence[tuple[Target, float]]) -> list[float]:
    """The share of its full cost that each target allows; numbers of terms become shares.

    Args:
        costs: what is limited.
        parsed: what `parse` returned, for the same targets.

    Raises:
        ValueError: if more terms are allowed than there are.
    """
    goals = []
    for (target, amount), full in zip(parsed, costs.full, strict=True):
        if target.kind in COUNTED and amount > full:
            raise ValueError(f"the target for {target} is {amount:g}, but there are {full}; give at most that many")
        goals.append(amount / full if target.kind in COUNTED else amount)
    return goals


def _number(target: Target, number: object, *, share: bool) -> float:
    if not isinstance(target.pattern, str):
        raise TypeError(f"targets are given by name pattern, got {target.pattern!r}; try {{'*': 0.1}}")
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"the target for {target} must be a number, got {number!r}; try 0.1")
    number = float(number)
    if share and target.kind in COUNTED:
        if number < 1 or number != int(number):
            raise ValueError(f"the target for {target} must be a whole number from 1 on, got {number:g}; try 7")
        return number
    if share and not 0 < number <= 1:
        hint = "write 10 % as 0.1" if 1 < number <= 100 else "try 0.1"
        raise ValueError(f"the target for {target} must be a share in (0, 1], got {number}; {hint}")
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"the penalty for {target} must be finite and not negative, got {number}")
    return number
