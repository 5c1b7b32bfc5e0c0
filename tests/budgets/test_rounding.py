"""Widths that are asked for are delivered, within every limit, and no group is narrower than it need be."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget, Penalty
from ellzero.distributions import median
from ellzero.errors import BudgetError
from ellzero.gates import Gated
from ellzero.graph import Costs, Filling, Group, Layout, Member, Target, Widths, settle
from ellzero.graph.plans.channels import Channels


def set_gates(gated, values):
    with torch.no_grad():
        gated.log_odds.copy_(values)


def widths_of(gated, plan):
    return {name: stay for name, (_, stay) in plan.widths(gated.channels).items()}


def build(*sizes, **options):
    torch.manual_seed(0)
    layers = []
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return Gated(nn.Sequential(*layers[:-1]), torch.zeros(1, sizes[0]), **options)


def layout_of(*groups):
    return Layout.of(Channels(groups, {}))


def group(name, size, *, entries=(1, 1), **options):
    writer, reader = (range(size * count) for count in entries)
    members = (Member(f"{name}.weight", 0, "writer", writer), Member(f"{name}.next", 1, "reader", reader))
    return Group(name, size, members, **options)


def test_a_width_is_a_multiple_or_the_full_size_and_zero_only_where_all_may_go():
    layout = layout_of(group("a", 20), group("b", 5), group("c", 16, removable=True))
    assert Widths.of(layout, 8).allowed == ((8, 16, 20), (5,), (0, 8, 16))
    assert Widths.of(layout, {"[ac]": 16, "*": 2}).allowed == ((16, 20), (2, 4, 5), (0, 16))
    assert Widths.of(layout, 1).is_free
    assert not Widths.of(layout, {"a": 8}).is_free


def test_heads_of_many_entries_count_as_many_as_they_have():
    entries = {"heads": (64, 64), "flat": (1, 16), "odd": (6, 6)}
    layout = layout_of(*(group(name, 12, entries=pair) for name, pair in entries.items()))
    assert Widths.of(layout, 8).multiples == (1, 8, 4)


def test_groups_whose_names_differ_in_numbers_of_layers_only_have_one_width():
    sizes = {"l.0.up": 8, "l.0.down": 8, "l.1.up": 8, "l.2.up": 6, "l.1.down": 8}
    layout = layout_of(*(group(name, size) for name, size in sizes.items()))
    assert Widths.of(layout, 1, uniform=True).bundles == ((0, 2), (1, 4), (3,))
    assert Widths.of(layout, 1, uniform="*.up").bundles == ((0, 2), (1,), (3,), (4,))
    assert Widths.of(layout, 1, uniform=["*.up", "l.*.down"]).bundles == ((0, 2), (1, 4), (3,))
    assert str(Widths.of(layout, 2, uniform=True)) == "multiples of 2 and the same in every layer of a kind"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"multiple_of": 0}, ValueError, "positive whole number, got 0"),
        ({"multiple_of": True}, ValueError, "positive whole number, got True"),
        ({"multiple_of": {"0": 2.0}}, ValueError, "positive whole number, got 2.0"),
        ({"multiple_of": {"00": 4}}, ValueError, "names '00', but no gated group is called so; did you mean '0'"),
        ({"multiple_of": {0: 4}}, TypeError, "patterns of group names, got 0"),
        ({"uniform": "layers.*"}, ValueError, "uniform names 'layers.*', but no gated group"),
        ({"uniform": True}, ValueError, "no two groups together.*'0' of 20, '2' of 12"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Budget(build(6, 20, 12, 3), params=0.9).fit(**options)


def test_where_the_budget_allows_it_widths_are_rounded_up_and_nothing_is_shut():
    gated = build(6, 20, 12, 3)
    set_gates(gated, torch.where(torch.arange(32) % 4 == 0, 3.0, -3.0))  # 5 of 20, 3 of 12
    fit = Budget(gated, params=0.9).fit(multiple_of=8)
    assert widths_of(gated, fit.plan) == {"0": 8, "2": 8}
    assert (fit.num_shut, fit.num_opened) == (0, 8)
    assert fit.core == gated.plan()
    first = fit.plan.open_gates(gated.layout)
    assert bool((first | ~gated.gates.is_open()).all())


def test_the_best_of_the_shut_gates_fill_a_width_up():
    gated = build(6, 6, 2)
    set_gates(gated, torch.tensor([3.0, -9.0, -2.0, -4.0, 3.0, -3.0]))
    assert Budget(gated, params=1.0).fit(multiple_of=4).plan.shut == {"0": (1, 3)}


def test_over_the_budget_the_least_open_step_goes_first():
    gated = build(6, 16, 16, 3)
    first, second = (place for _, place in gated.layout.slices())
    values = torch.full((32,), 5.0)
    values[first][8:] = 0.0
    values[second][8:] = 2.0
    values[second][8] = -3.0
    set_gates(gated, values)  # wide open: 16 and 15
    fit = Budget(gated, params=0.7).fit(multiple_of=8)
    assert widths_of(gated, fit.plan) == {"0": 8, "2": 16}
    assert (fit.num_shut, fit.num_opened) == (8, 1)


def test_what_was_made_too_narrow_is_given_back():
    """The small group is least open, but only the large one brings the network within the budget."""
    gated = build(4, 32, 4, 2)
    small, large = (place for _, place in reversed(list(gated.layout.slices())))
    values = torch.full((36,), 5.0)
    values[small], values[large] = torch.tensor([4.0, 4.0, -1.0, -1.0]), torch.linspace(1, 3, 32)
    set_gates(gated, values)
    fit = Budget(gated, params=0.6).fit(multiple_of={"0": 16, "2": 2})
    assert widths_of(gated, fit.plan) == {"0": 16, "2": 4}


def test_a_penalty_has_no_limit_and_rounds_up():
    gated = build(6, 20, 12, 3)
    set_gates(gated, torch.where(torch.arange(32) % 4 == 0, 3.0, -3.0))
    assert widths_of(gated, Penalty(gated, params=0.1).fit(multiple_of={"0": 8}).plan) == {"0": 8, "2": 3}


def test_widths_that_are_out_of_reach_are_refused_with_the_smallest_size():
    gated = build(6, 20, 12, 3)
    budget = Budget(gated, params=0.05)
    assert widths_of(gated, budget.fit().plan)["0"] < 8
    with pytest.raises(
        BudgetError, match=r"multiples of 8, params can be brought to \d+\.\d+% \(155\) at best.*\(21\)"
    ):
        budget.fit(multiple_of=8)


def laws(layout, widths, log_odds, fit):
    """What holds for every fit."""
    shape, first = fit.plan.open_gates(layout), settle(layout, log_odds, median(log_odds) > 0)
    core = fit.core.open_gates(layout)
    assert torch.equal(settle(layout, torch.zeros(len(shape)), shape), shape)
    assert torch.equal(core & shape & first, core)
    assert fit.num_shut == int((first & ~core).sum())
    assert fit.num_opened == int((shape & ~first).sum())
    sizes = [int(shape[place].sum()) for _, place in layout.slices()]
    for bundle, allowed in zip(widths.bundles, widths.allowed, strict=True):
        for number in bundle:
            assert sizes[number] in {*allowed, 0}, (sizes, widths.allowed)
            assert sizes[number] or allowed[0] == 0 or layout.channels.gated[number].parent
    return shape


@pytest.mark.parametrize("multiple", [1, 2, 3, 4, {"*": 3}])
@pytest.mark.parametrize("seed", range(6))
def test_fits_of_random_gates_keep_every_law(gated, multiple, seed):
    generator = torch.Generator().manual_seed(seed)
    layout = gated.layout
    log_odds = 3 * torch.randn(layout.num_gates, generator=generator)
    set_gates(gated, log_odds)
    widths = Widths.of(layout, multiple)
    costs = Costs(layout, [Target("params"), Target("macs")])
    first = settle(layout, log_odds, median(log_odds) > 0)
    filling = Filling(widths, first, log_odds)
    covered = filling.open(filling.covering())
    assert torch.equal(covered & first, first)
    least, most = costs.exact(filling.open(filling.least())), costs.exact(covered)
    share = torch.rand((), generator=generator).item()
    limits = [low + int(share * (high - low)) for low, high in zip(least, most, strict=True)]
    goals = [limit / full for limit, full in zip(limits, costs.full, strict=True)]
    budget = Budget(gated, params=goals[0], macs=goals[1])
    assert budget.limits == limits
    fit = budget.fit(multiple_of=multiple)
    if multiple == 1:
        assert fit.num_opened == 0
        return
    shape = laws(layout, widths, log_odds, fit)
    assert all(cost <= limit for cost, limit in zip(costs.exact(shape), limits, strict=True))
    if not layout.has_parents:
        levels = [int(shape[place].sum()) for _, place in layout.slices()]
        for number, (level, cover) in enumerate(zip(levels, filling.covering(), strict=True)):
            if level < cover:
                wider = next(width for width in widths.allowed[number] if width > level)
                exact = costs.exact(filling.open([*levels[:number], wider, *levels[number + 1 :]]))
                assert any(cost > limit for cost, limit in zip(exact, limits, strict=True)), "could be wider"
