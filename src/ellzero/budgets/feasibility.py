"""What can be known before training: whether a target can be reached at all, and whether in time."""

__all__ = ["check_reachable", "simulate"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.budgets.controller import Controller
from ellzero.distributions import prob_open
from ellzero.errors import BudgetError
from ellzero.graph import Costs, settle

_MOST_SIMULATED = 1000
_SLACK = 1.01


def check_reachable(costs: Costs, limits: Sequence[int]) -> None:
    """Refuse limits below the smallest network that can be delivered.

    Args:
        costs: what is limited.
        limits: the largest allowed exact cost of each target.

    Raises:
        BudgetError: with the reachable range and the groups that cannot be gated.
    """
    layout = costs.layout
    nothing = torch.zeros(layout.num_gates, dtype=torch.bool)
    smallest = costs.exact(settle(layout, torch.zeros(layout.num_gates), nothing))
    for target, full, least, limit in zip(costs.targets, costs.full, smallest, limits, strict=True):
        if least > limit:
            kept = "\n".join(f"  {group.name}: {group.reason}" for group in layout.channels.kept)
            raise BudgetError(
                f"{target} can be brought to between {least / full:.4%} and 100 % ({least:,} to {full:,}), but the "
                f"target is {limit / full:.4%} ({limit:,}); raise it, or gate more of the network. Kept whole:\n"
                f"{kept or '  nothing'}"
            )


def simulate(
    costs: Costs,
    goals: Sequence[float],
    log_odds: nn.Parameter,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    ramp: int,
    dual_lr: float,
    controller: type[Controller],
) -> None:
    """Drive the gates by the multipliers alone and refuse an optimizer under which they miss the goals.

    Args:
        costs: what is limited.
        goals: the allowed share of each target.
        log_odds: all gates; they are copied.
        optimizer: its class and the settings of the gates' group are used.
        steps: length of the training; if longer than 1000, fewer and larger steps are taken.
        ramp: steps over which the targets go down.
        dual_lr: of the multipliers, per step.
        controller: their law.

    Raises:
        ValueError: if the gates are not in the optimizer, or another cannot be made of its class and settings.
        BudgetError: with the share that would be reached and the learning rate.
    """
    group = next((g for g in optimizer.param_groups if any(p is log_odds for p in g["params"])), None)
    if group is None:
        raise ValueError("the optimizer does not hold the gates; build it from gated.parameter_groups(lr=...)")
    stride = max(1, -(-steps // _MOST_SIMULATED))
    gates = nn.Parameter(log_odds.detach().clone())
    copy, lr = _copy(optimizer, group, gates, stride)
    goal = torch.tensor(list(goals), dtype=torch.float32, device=gates.device)
    best = costs.expected(prob_open(gates)).detach()
    law = controller(best, goal, ramp=ramp, dual_lr=dual_lr, stride=stride)
    for _ in range(0, steps, stride):
        violation = law.violation(costs.expected(prob_open(gates)))
        copy.zero_grad()
        torch.dot(law.multiplier, violation).backward()
        copy.step()
        law.advance(violation.detach())
        share = costs.expected(prob_open(gates)).detach()
        best = share if bool((share / goal).max() < (best / goal).max()) else best
        if bool((best <= goal).all()):
            return
    _refuse(costs, goal, best, lr, steps)


def _copy(
    optimizer: torch.optim.Optimizer, group: dict[str, Any], gates: nn.Parameter, stride: int
) -> tuple[torch.optim.Optimizer, float]:
    """An optimizer like this one for the gates alone, and its learning rate: the highest, if a schedule lowers it."""
    lr = max(float(group[name]) for name in ("lr", "initial_lr", "max_lr") if name in group)
    settings = {name: value for name, value in group.items() if name not in ("params", "initial_lr")}
    try:
        copy = type(optimizer)([{**settings, "params": [gates], "lr": lr * stride}], lr=lr)  # type: ignore[call-arg]
        copy.step()
    except TypeError as error:
        raise ValueError(
            f"{type(optimizer).__name__} cannot be simulated ({error}); check() knows optimizers that are made of "
            "parameter groups and lr and step without a closure, such as Adam, AdamW, SGD and RMSprop"
        ) from error
    return copy, lr


def _refuse(costs: Costs, goal: Tensor, reached: Tensor, lr: float, steps: int) -> None:
    for target, wanted, found in zip(costs.targets, goal.tolist(), reached.tolist(), strict=True):
        if found > wanted * _SLACK:
            raise BudgetError(
                f"with a learning rate of {lr:g} for the gates, {steps} steps bring {target} to {found:.2%} at best, "
                f"even without any loss, but the target is {wanted:.2%}; raise the gates' learning rate "
                "(parameter_groups(gate_lr=...)) or train longer"
            )
