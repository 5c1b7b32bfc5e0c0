"""What can be known before training: whether a target can be reached at all, and whether in time."""

__all__ = ["check_reachable", "simulate"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

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

    Raises:
        ValueError: if the gates are not in the optimizer.
        BudgetError: with the share that would be reached and the learning rate.
    """
    group = next((g for g in optimizer.param_groups if any(p is log_odds for p in g["params"])), None)
    if group is None:
        raise ValueError("the optimizer does not hold the gates; build it from gated.parameter_groups(lr=...)")
    stride = max(1, -(-steps // _MOST_SIMULATED))
    gates = nn.Parameter(log_odds.detach().clone())
    settings = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
    copy = type(optimizer)([{**settings, "params": [gates], "lr": float(group["lr"]) * stride}], **_required(optimizer))
    goal = torch.tensor(list(goals), device=gates.device)
    start = torch.maximum(costs.expected(prob_open(gates)).detach(), goal)
    multiplier = torch.zeros_like(goal)
    for step in range(0, steps, stride):
        target = start * (goal / start) ** min(1.0, step / ramp)
        violation = torch.log(costs.expected(prob_open(gates)).clamp_min(1e-12) / target)
        copy.zero_grad()
        torch.dot(multiplier, violation).backward()
        copy.step()
        multiplier = torch.where(violation > 0, multiplier + stride * dual_lr * violation, 0.0).detach()
    _refuse(costs, goal, costs.expected(prob_open(gates)).detach(), float(group["lr"]), steps)


def _required(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {"lr": 1.0} if "lr" in optimizer.defaults else {}


def _refuse(costs: Costs, goal: Tensor, reached: Tensor, lr: float, steps: int) -> None:
    for target, wanted, found in zip(costs.targets, goal.tolist(), reached.tolist(), strict=True):
        if found > wanted * _SLACK:
            raise BudgetError(
                f"with a learning rate of {lr:g} for the gates, {steps} steps bring {target} to {found:.2%} at best, "
                f"even without any loss, but the target is {wanted:.2%}; raise the gates' learning rate "
                "(parameter_groups(gate_lr=...)) or train longer"
            )
