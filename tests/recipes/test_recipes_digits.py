"""The digits: what is gated, that a short training is the same every time, and that the budget is kept."""

import pytest
import torch

from ellzero.budgets import Budget
from ellzero.recipes import digits
from ellzero.recipes.digits import DigitsSettings
from ellzero.surgery import prune


def test_the_dense_network_has_53002_parameters():
    assert sum(parameter.numel() for parameter in digits.build().parameters()) == 53_002


def test_feature_maps_positions_and_hidden_units_are_gated():
    gated = digits.prepare(DigitsSettings()).gated
    assert {group.name: group.size for group in gated.channels.gated} == {
        "conv1": 32,
        "conv2": 64,
        "fc1": 128,
        "fc1 inputs": 256,
    }


def test_the_same_settings_give_the_same_bits_and_keep_the_budget():
    settings = DigitsSettings(epochs=2, budget={"params": 0.4})
    one, two = digits.run(settings), digits.run(settings)
    pairs = zip(one.gated.state_dict().values(), two.gated.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    small = prune(one.gated, one.sizer)
    assert sum(parameter.numel() for parameter in small.parameters()) <= 0.4 * 53_002
    assert len(one.history.epochs) == 2


def test_every_epoch_is_announced():
    seen = []
    digits.run(DigitsSettings(epochs=2, penalty={"units": 1e-6}, budget={}), seen.append)
    assert [epoch.epoch for epoch in seen] == [1, 2]


def test_the_budget_knows_how_many_steps_there_will_be():
    sizer = digits.prepare(DigitsSettings()).sizer
    assert isinstance(sizer, Budget)
    assert sizer.steps == 100 * (1437 // 64)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="both a budget and a penalty"):
        digits.prepare(DigitsSettings(penalty={"params": 1.0}))
