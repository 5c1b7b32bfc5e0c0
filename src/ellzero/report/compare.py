"""`report`: hold a pruned network against the gated one that it came from."""

__all__ = ["report"]

import math

from torch import nn

from ellzero.budgets import Budget
from ellzero.distributions import median
from ellzero.errors import BudgetError, SurgeryError
from ellzero.gates import Gated
from ellzero.graph import Channels, Costs, Example, Plan, Select, Structure, Target, count, structure_of
from ellzero.report.latency import Latency, measure
from ellzero.report.order import in_network_order
from ellzero.report.records import Kept, Promise, Report, Size, Width
from ellzero.surgery.verify import like


def report(
    gated: Gated,
    small: nn.Module,
    *,
    example: Example = None,
    error: float | None = None,
    budget: Budget | None = None,
    latency: bool = False,
) -> Report:
    """Say what pruning delivered: sizes, widths, what was kept and why, and whether the budget was kept.

    Sizes before and after are counted in the networks themselves, not taken from the costs that the training used.

    Args:
        gated: the gated network, as it was when it was pruned.
        small: what `prune` returned for it.
        example: what multiply-adds are counted on, if not what the network was traced with.
        error: of the pruned network, to be shown; any finite number.
        budget: whose targets are held against what was delivered.
        latency: whether to measure, on this machine as it is now, how long a forward pass on the example takes before
            and after; a second or more. Set the threads beforehand: `torch.set_num_threads(1)`.

    Returns:
        The report.

    Raises:
        SurgeryError: if `small` was not pruned, or from another gated network.
        BudgetError: if the budget was made for another gated network.
        TypeError: if what is given as a budget has no targets.
        ValueError: if the error is not finite.

    Example:
        >>> import torch
        >>> from ellzero.surgery import prune
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> gated = Gated(net, torch.zeros(1, 4), pretrained=True)
        >>> print(report(gated, prune(gated, plan=Plan({"0": (1,)}))))
        Sequential     before  expected  after   stays  smaller
        -------------  ------  --------  -----  ------  -------
        parameters         23        23     16  69.6 %     1.4x
        multiply-adds      18        18     12  66.7 %     1.5x
        open gates          3         3      2  66.7 %     1.5x
        <BLANKLINE>
        group  kind      before  expected  after   stays
        -----  --------  ------  --------  -----  ------
        0      channels       3       3.0      2  66.7 %
        <BLANKLINE>
        kept whole  channels  because it
        ----------  --------  -------------------------------------------------
        input              4  comes from the input; give inputs=True to gate it
        2                  2  is an output of the network
        <BLANKLINE>
        0.0 % of 3 gates are undecided: median between 0 and 1
        largest difference of outputs 0
        (expected: mean over the gates' noise; after: counted in the pruned network)
    """
    structure = _checked(gated, small, budget, error)
    channels = structure.channels
    median_gates = median(gated.log_odds.detach())
    example = gated.example if example is None else example
    sizes = _sizes(gated, small, structure.plan, example)
    return Report(
        network=type(small).__name__,
        sizes=sizes,
        targets=_targets(gated, structure.plan, budget) if budget else (),
        groups=_widths(gated, structure),
        kept=tuple(Kept(group.name, group.size, group.reason) for group in channels.kept),
        num_gates=channels.num_gates,
        undecided=((median_gates > 0) & (median_gates < 1)).float().mean().item(),
        num_shut=structure.num_shut,
        num_indices=sum(len(module.indices) for module in small.modules() if isinstance(module, Select)),
        difference=structure.difference,
        error=error,
        num_opened=structure.num_opened,
        latency=_latency(gated, small, sizes[1], example) if latency else None,
    )


def _checked(gated: Gated, small: nn.Module, budget: Budget | None, error: float | None) -> Structure:
    structure = structure_of(small)
    if structure.channels != gated.channels:
        raise SurgeryError(
            f"this {type(small).__name__} was pruned from another network than the gated one given; pass the pair that "
            "belongs together: small = prune(gated, ...); report(gated, small)"
        )
    if budget is not None and not isinstance(budget, Budget):
        raise TypeError(f"a {type(budget).__name__} has no targets to hold the network against; leave budget=... out")
    if budget is not None and budget.gated.layout.channels != gated.channels:
        raise BudgetError("this network is gated in another way than the one that the budget was made for")
    if error is not None and not math.isfinite(error):
        raise ValueError(f"the error must be a finite number, got {error}; leave it out if there is none")
    return structure


def _sizes(gated: Gated, small: nn.Module, plan: Plan, example: Example) -> tuple[Size, ...]:
    bare = gated.bare()
    before, after = count(bare, like(example, bare)), count(small, like(example, small))
    expected = _expected_shares(gated)
    num_open = int(plan.open_gates(gated.layout).sum())
    counted = [
        ("parameters", "params", before.params, after.params),
        ("multiply-adds", "macs", before.macs, after.macs),
        ("open gates", "units", gated.layout.num_gates, num_open),
    ]
    return tuple(
        Size(name, whole, expected[kind] * whole if kind in expected else None, rest)
        for name, kind, whole, rest in counted
    )


def _latency(gated: Gated, small: nn.Module, macs: Size, example: Example) -> Latency:
    bare = gated.bare()
    return measure(bare, small, like(example, bare), predicted=1 / macs.share if macs.share else None)


def _expected_shares(gated: Gated) -> dict[str, float]:
    """Of the kinds of cost that can be computed from what was traced."""
    channels: Channels = gated.channels
    known = {"params": bool(channels.shapes), "macs": bool(channels.work), "units": True}
    kinds = [kind for kind, is_known in known.items() if is_known]
    shares = Costs(gated.layout, [Target(kind) for kind in kinds]).expected(gated.prob_open().detach())
    return dict(zip(kinds, shares.tolist(), strict=True))


def _targets(gated: Gated, plan: Plan, budget: Budget) -> tuple[Promise, ...]:
    costs = budget.costs
    expected = costs.expected(gated.prob_open().detach()).tolist()
    exact = costs.exact(plan.open_gates(gated.layout))
    return tuple(
        Promise(str(target), goal, share, size / full, size <= limit)
        for target, goal, share, size, full, limit in zip(
            costs.targets, budget.goals, expected, exact, costs.full, budget.limits, strict=True
        )
    )


def _widths(gated: Gated, structure: Structure) -> tuple[Width, ...]:
    effective = gated.layout.effective(gated.prob_open().detach())
    expected = {group.name: effective[place].sum().item() for group, place in gated.layout.slices()}
    widths = structure.plan.widths(structure.channels)
    return tuple(
        Width(group.name, group.kind, group.size, expected[group.name], widths[group.name][1])
        for group in in_network_order(structure.channels)
    )
