"""`make_plan`: a plan within a budget from channels alone, without gates, training or any weight in memory."""

__all__ = ["make_plan"]

from collections.abc import Mapping

import torch
from torch import Tensor

from ellzero.budgets.feasibility import check_reachable
from ellzero.budgets.projection import limits_of, shut_lowest
from ellzero.budgets.targets import Amounts, goals_of, parse
from ellzero.errors import NonFiniteError, nearest
from ellzero.graph import Channels, Costs, Group, Layout, Plan


def make_plan(
    channels: Channels,
    *,
    params: Amounts = None,
    macs: Amounts = None,
    units: Amounts = None,
    terms: Amounts = None,
    scores: Mapping[str, Tensor] | None = None,
    across: bool = False,
) -> Plan:
    r"""Decide which channels to shut so that at most this share of the parameters, multiply-adds or units stays.

    .. math:: \text{shut } j \text{ of group } g \iff r_{gj} \le t, \qquad
              r_{gj} = \frac{\#\{k \in g : s_{gk} \le s_{gj}\}}{|g|}

    with the smallest :math:`t` that meets every target: the same share goes of every group that a violated target
    depends on, and groups of one size keep one width. Where a group without a bypass would be emptied, its best channel
    stays. With `across=True` the scores themselves are compared, and groups become as wide as they deserve.

    Args:
        channels: what `trace` found, of a network with weights or on the meta device, or written by hand.
        params: share of the parameters in (0, 1] that may stay, or a mapping from name patterns (of tensors or modules)
            to shares.
        macs: the same for multiply-adds of a forward pass on the example.
        units: the same for channels.
        terms: how many candidate terms may stay, or a mapping from name patterns to numbers; see `Budget`.
        scores: for names of groups how much each channel is worth, of any real dtype, shape `(group.size,)`; the lowest
            go first. Of a group without scores the last channels go first.
        across: whether scores are compared across groups; then every group that can be gated needs some.

    Returns:
        The plan; no target is exceeded. `plan.show(channels)` prints the widths.

    Raises:
        ValueError: if a share is outside (0, 1], a name is unknown (the nearest one is offered), or scores are missing
            or of another shape.
        NonFiniteError: if a score is NaN or infinite.
        BudgetError: if a target is out of reach; the message gives the reachable range.
        TraceError: if nothing can be gated.

    Example:
        >>> from torch import nn
        >>> from ellzero.graph import trace
        >>> net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        >>> channels = trace(net.to("meta"), torch.zeros(1, 4))
        >>> make_plan(channels, params=0.6)
        Plan(shut={'0': (3, 4, 5)})
        >>> make_plan(channels, params=0.6, scores={"0": torch.tensor([1, 9, 2, 8, 3, 7])})
        Plan(shut={'0': (0, 2, 4)})
    """
    parsed = parse({"params": params, "macs": macs, "units": units, "terms": terms}, share=True)
    layout = Layout.of(channels)
    costs = Costs(layout, [target for target, _ in parsed])
    limits = limits_of(costs, goals_of(costs, parsed))
    check_reachable(costs, limits)
    given = _checked(channels, scores or {}, across=across)
    worth = torch.cat([given[group.name] if across else _ranks(group, given) for group in channels.gated])
    everything = torch.ones(layout.num_gates, dtype=torch.bool)
    return Plan.of(layout, shut_lowest(costs, worth, everything, limits, ties_together=not across))


def _checked(channels: Channels, scores: Mapping[str, Tensor], *, across: bool) -> dict[str, Tensor]:
    """The scores as float64 on the CPU."""
    gated = {group.name: group for group in channels.gated}
    kept = {group.name: group.reason for group in channels.kept}
    for name, values in scores.items():
        if name in kept:
            raise ValueError(f"scores are given for {name!r}, which is kept: {kept[name]}; leave them out")
        if name not in gated:
            raise ValueError(f"scores are given for {name!r}, which is no group{nearest(name, gated)}")
        if tuple(values.shape) != (gated[name].size,):
            raise ValueError(
                f"the scores of {name!r} have shape {tuple(values.shape)}, expected one for each of its "
                f"{gated[name].size} channels"
            )
        if not bool(values.isfinite().all()):
            raise NonFiniteError(f"some scores of {name!r} are NaN or infinite; give finite ones")
    missing = [name for name in gated if name not in scores] if across else []
    if missing:
        raise ValueError(
            f"across=True compares the scores of all groups, but {missing[0]!r} has none; give scores for every group "
            "or leave across out"
        )
    return {name: values.detach().cpu().double() for name, values in scores.items()}


def _ranks(group: Group, given: Mapping[str, Tensor]) -> Tensor:
    """For each channel the share of the group that goes when it goes, in (0, 1]."""
    places = torch.arange(group.size, 0, -1)
    if group.name in given:
        order = torch.argsort(given[group.name], stable=True)
        places = torch.empty_like(order)
        places[order] = torch.arange(1, group.size + 1)
    return places.double() / group.size
