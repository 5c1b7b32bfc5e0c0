"""What cannot be cut is found with few trials, and ways to divide channels that cannot win are not tried."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from ellzero.graph import Channels, Group, Member, trace
from ellzero.graph.labelling.labels import Labels, Split
from ellzero.graph.tracing.confirm import _Attempt, weed_out
from ellzero.graph.tracing.trace import _best, _Found


def one_by_one(names, failure):
    good, failed = [], {}
    for name in names:
        why = failure([*good, name])
        if why:
            failed[name] = why
        else:
            good.append(name)
    return failed


@pytest.mark.parametrize("seed", range(20))
def test_what_fails_is_what_one_trial_after_the_other_finds(seed):
    draw = random.Random(seed)
    names = [str(number) for number in range(draw.randint(1, 30))]
    culprits = [{*draw.sample(names, min(len(names), draw.randint(1, 3)))} for _ in range(draw.randint(0, 6))]

    def failure(tried):
        return next((f"{sorted(some)} fail" for some in culprits if some <= {*tried}), "")

    assert dict(weed_out(names, failure)) == one_by_one(names, failure)


def test_one_group_of_many_is_found_with_few_trials():
    trials = []
    names = [str(number) for number in range(100)]
    assert dict(weed_out(names, lambda tried: trials.append(tried) or ("no" if "60" in tried else ""))) == {"60": "no"}
    assert len(trials) < 25


def test_nothing_is_tried_where_there_is_no_group():
    assert not dict(weed_out([], lambda tried: pytest.fail("tried")))


class Fixed(nn.Module):
    """A chain of layers of which one fixes its width."""

    def __init__(self, depth, place):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(depth))
        self.place = place

    def forward(self, values):
        for number, layer in enumerate(self.layers):
            values = layer(values)
            values = values.view(-1, 6) if number == self.place else values
        return values


def test_training_mode_is_tried_only_when_evaluation_mode_has_shown_what_stays(monkeypatch):
    trained = _Attempt._trained
    found = []
    monkeypatch.setattr(_Attempt, "_trained", lambda *args: found.append(True) or trained(*args))
    with torch.device("meta"):  # so that nothing but the cut without numbers can find it
        model = Fixed(12, 7)
    channels = trace(model, torch.zeros(3, 6))
    assert [group.name for group in channels.kept if "its width is fixed" in group.reason] == ["layers.7"]
    assert len(found) == 1


def found_with(num_free):
    labels = Labels(splits=[Split("view", 3, np.arange(8))])
    labels.allot("kept", 0, 8)
    groups = Group("kept", 8, (Member("kept", 0),), reason="it is"), Group("free", num_free, (Member("free", 0),))
    return _Found(Channels(groups, {}), {}, labels)


@pytest.mark.parametrize(("sizes", "tried"), [((4, 4, 4), [0]), ((4, 3, 4), [0]), ((4, 6, 6), [0, 5])])
def test_only_ways_to_divide_channels_that_may_give_more_gates_are_tried_once(sizes, tried):
    asked = []

    def proven(one, at_least):
        asked.append(at_least)
        return one.channels if not at_least else found_with(2).channels

    best = _best(lambda choices: found_with(sizes[choices.get("view", 0)]), proven)
    assert (best.num_gates, asked) == (4, tried)


def test_the_way_to_divide_channels_that_gives_most_gates_is_taken():
    best = _best(lambda choices: found_with(4 + choices.get("view", 0)), lambda one, at_least: one.channels)
    assert best.num_gates == 6
