"""A plan from channels alone: never over a target, the same share of every group, or the lowest scores of all."""

import itertools

import pytest
import torch
from torch import nn

from ellzero import Gated, make_plan, prune, trace
from ellzero.errors import BudgetError, NonFiniteError, TraceError
from ellzero.graph import Costs, Layout, Target, count


def mlp(*widths):
    layers = [part for pair in itertools.pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


EXAMPLE = torch.zeros(1, 6)
DEEP = (6, 40, 40, 20, 40, 3)


def channels_of(*widths):
    with torch.device("meta"):
        network = mlp(*widths)
    return trace(network, EXAMPLE)


def shares(channels, plan, *targets):
    layout = Layout.of(channels)
    return Costs(layout, [Target(*target) for target in targets]).real(plan.open_gates(layout))


def test_the_same_share_goes_of_every_group_and_the_last_channels_go():
    channels = channels_of(*DEEP)
    plan = make_plan(channels, units=0.5)
    assert plan.shut == {"0": tuple(range(20, 40)), "2": tuple(range(20, 40)), "4": tuple(range(10, 20)),
                         "6": tuple(range(20, 40))}  # fmt: skip


@pytest.mark.parametrize(
    "target", [{"params": 0.5}, {"macs": 0.3}, {"units": 0.77}, {"params": 0.4, "macs": {"4": 0.1}}]
)
def test_no_target_is_exceeded_and_one_channel_more_of_each_group_exceeds_one(target):
    channels = channels_of(*DEEP)
    plan = make_plan(channels, **target)
    flat = {(kind, p): s for kind, a in target.items() for p, s in (a if isinstance(a, dict) else {"*": a}).items()}
    found = shares(channels, plan, *flat)
    assert all(found[str(Target(*key))] <= share for key, share in flat.items())
    less = type(plan)({name: shut[2:] for name, shut in plan.shut.items()})  # a channel of 20 is two of 40
    wider = shares(channels, less, *flat)
    assert any(wider[str(Target(*key))] > share for key, share in flat.items())


def test_groups_of_one_size_keep_one_width():
    channels = channels_of(6, 31, 31, 31, 3)
    for share in (0.2, 0.37, 0.5, 0.81):
        assert len({stay for _, stay in make_plan(channels, params=share).widths(channels).values()}) == 1


def test_a_pattern_leaves_the_groups_alone_that_it_does_not_depend_on():
    channels = channels_of(*DEEP)
    assert set(make_plan(channels, params={"0": 0.5}).shut) == {"0"}


def test_the_lowest_scores_of_a_group_go_first_whatever_their_scale_and_dtype():
    channels = channels_of(6, 4, 4, 3)
    scores = {"0": torch.tensor([3, 1, 2, 0], dtype=torch.int32), "2": torch.tensor([1e9, 4e9, 2e9, 3e9])}
    assert make_plan(channels, units=0.5, scores=scores).shut == {"0": (1, 3), "2": (0, 2)}
    half = {"2": scores["2"]}  # the first group has none
    assert make_plan(channels, units=0.5, scores=half).shut == {"0": (2, 3), "2": (0, 2)}


def test_across_groups_the_lowest_scores_of_the_network_go_first():
    channels = channels_of(6, 4, 4, 3)
    scores = {"0": torch.tensor([1.0, 2.0, 3.0, 4.0]), "2": torch.tensor([2.5, 9.0, 9.0, 9.0])}
    assert make_plan(channels, units=0.5, scores=scores, across=True).shut == {"0": (0, 1, 2), "2": (0,)}


def test_equal_scores_across_groups_shut_no_more_than_needed():
    channels = channels_of(6, 4, 4, 3)
    scores = {"0": torch.ones(4), "2": torch.ones(4)}
    assert sum(map(len, make_plan(channels, units=0.7, scores=scores, across=True).shut.values())) == 3


def test_the_plan_can_be_delivered_and_the_network_has_the_size_that_was_counted():
    network = mlp(*DEEP)
    channels = trace(network, EXAMPLE)
    plan = make_plan(channels, params=0.3, macs=0.25)
    small, full = count(prune(Gated(network, EXAMPLE), plan=plan), EXAMPLE), count(network, EXAMPLE)
    found = shares(channels, plan, ("params", "*"), ("macs", "*"))
    assert small.params == round(found["params"] * full.params) <= 0.3 * full.params
    assert small.macs == round(found["macs"] * full.macs) <= 0.25 * full.macs


def test_one_channel_of_every_layer_stays_at_the_smallest_target_and_below_it_is_refused():
    channels = channels_of(6, 5, 5, 3)
    smallest = 1 * 6 + 1 + 1 + 1 + 3 + 3
    full = 6 * 5 + 5 + 25 + 5 + 15 + 3
    plan = make_plan(channels, params=smallest / full)
    assert set(plan.widths(channels).values()) == {(5, 1)}
    with pytest.raises(BudgetError, match=r"between 18.0723% and 100 %"):
        make_plan(channels, params=smallest / full - 0.01)


def test_nothing_is_shut_where_nothing_is_violated():
    assert make_plan(channels_of(6, 5, 3), params=1.0).shut == {}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({}, ValueError, "no target was given"),
        ({"params": 50}, ValueError, "write 10 % as 0.1"),
        ({"params": {"7": 0.5}}, ValueError, "no params belong to '7'"),
        ({"params": 0.5, "scores": {"00": torch.zeros(5)}}, ValueError, "did you mean '0'"),
        ({"params": 0.5, "scores": {"2": torch.zeros(3)}}, ValueError, "which is kept: is an output"),
        ({"params": 0.5, "scores": {"0": torch.zeros(4)}}, ValueError, r"shape \(4,\), expected .* 5 channels"),
        ({"params": 0.5, "scores": {"0": torch.full((5,), torch.nan)}}, NonFiniteError, "give finite ones"),
        ({"params": 0.5, "across": True}, ValueError, "'0' has none"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, error, message):
    channels = channels_of(6, 5, 3)
    with pytest.raises(error, match=message):
        make_plan(channels, **wrong)


def test_a_network_without_anything_to_gate_is_refused():
    with pytest.raises(TraceError, match="nothing to gate"):
        make_plan(channels_of(6, 3), params=0.5)
