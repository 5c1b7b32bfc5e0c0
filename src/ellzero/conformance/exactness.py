"""Checks that a cut computes what the gated network computes, and costs what was promised."""

__all__ = ["check_macs", "check_open", "check_params", "check_pruning"]

from collections.abc import Callable

import torch
from torch import nn

from ellzero.conformance.agreement import Mismatch, agree
from ellzero.conformance.subject import Skip, Subject
from ellzero.graph import Costs, Plan, Target, count
from ellzero.surgery import outputs_of


def check_open(subject: Subject) -> str:
    """With all gates open, the gated network is the network."""
    gated = subject.gated()
    with torch.no_grad():
        gated.log_odds.fill_(10.0)
    expected = outputs_of(subject.dense(), subject.example)
    if any(bool(one.isnan().any()) for one in expected if one.is_floating_point()):
        raise Skip("the network itself returns NaN on the example")
    return f"largest difference {agree(expected, outputs_of(gated, subject.example)):.2g}"


def check_pruning(subject: Subject) -> str:
    """Cut to random plans, the network returns what the gated one does."""
    cuts = subject.cuts()
    gated, example, is_exact = subject.rehearsed
    largest = 0.0
    for plan, small in cuts:
        for inputs in (example, subject.varied(example)):
            with gated.planned(plan):
                expected = outputs_of(gated, inputs)
            largest = max(largest, agree(expected, outputs_of(small, inputs)))
    precision = "float64" if is_exact else "the network's own precision"
    return f"{len(cuts)} random plans in {precision}: largest difference {largest:.2g}"


def check_params(subject: Subject) -> str:
    """The parameters of a cut network are as many as the cost says."""
    return _check_cost(subject, "params", lambda small: sum(tensor.numel() for tensor in small.parameters()))


def check_macs(subject: Subject) -> str:
    """The multiply-adds of a cut network, counted while it runs, are as many as the cost says."""
    return _check_cost(subject, "macs", lambda small: count(small, subject.rehearsed.example).macs)


def _check_cost(subject: Subject, kind: str, counted: Callable[[nn.Module], int]) -> str:
    layout = subject.gated().layout
    try:
        costs = Costs(layout, [Target(kind)])
    except ValueError as error:
        raise Skip(str(error)) from error
    found = []
    for plan, small in subject.cuts():
        (promised,) = costs.exact(plan.open_gates(layout))
        found.append(counted(small))
        if found[-1] != promised:
            raise Mismatch(f"{found[-1]:,} were counted, but the cost says {promised:,}; {_widths(plan)}")
    return f"{costs.full[0]:,} before, {', '.join(f'{size:,}' for size in found)} after, as the cost says"


def _widths(plan: Plan) -> str:
    return f"the plan shuts {', '.join(f'{len(shut)} of {name!r}' for name, shut in plan.shut.items())}"
