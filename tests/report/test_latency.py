"""Latency is measured only when asked for, in turns; the arithmetic is held against sums done by hand."""

import json

import pytest
import torch
from torch import nn

from ellzero.gates import Gated
from ellzero.graph import Plan
from ellzero.report import Spread, report
from ellzero.report.latency import in_turns
from ellzero.surgery import prune


class Counted(nn.Module):
    """Writes down that it was called, in which mode, and whether gradients were recorded."""

    def __init__(self, name, seen):
        super().__init__()
        self.name, self.seen = name, seen

    def forward(self, values):
        self.seen.append((self.name, self.training, torch.is_grad_enabled()))
        return values


def test_quartiles_are_those_of_the_sorted_numbers():
    assert Spread.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(2.0, 3.0, 4.0)


def test_networks_take_turns_in_rotating_order_in_evaluation_mode_without_gradients():
    seen = []
    networks = {name: Counted(name, seen).train() for name in "abc"}
    times = in_turns(networks, torch.zeros(1), rounds=3)
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3, "c": 3}
    assert all(value > 0 for values in times.values() for value in values)
    assert not any(training or grad for _, training, grad in seen)
    assert all(network.training for network in networks.values())
    order = [name for (name, *_), (before, *_) in zip(seen[1:], seen, strict=False) if name != before]
    assert "".join(order)[-9:] == "abcbcacab"


def test_a_report_measures_only_when_asked_to():
    torch.manual_seed(0)
    gated = Gated(nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)), torch.zeros(1, 16))
    small = prune(gated, plan=Plan({"0": (0, 1, 2)}))
    assert report(gated, small).latency is None
    found = report(gated, small, latency=True)
    assert found.latency.predicted == pytest.approx((16 * 12 + 12 * 3) / (16 * 9 + 9 * 3))
    assert found.latency.before.low <= found.latency.before.median <= found.latency.before.high
    assert found.latency.threads == torch.get_num_threads()
    assert json.loads(found.to_json())["latency"]["predicted"] == found.latency.predicted
    assert "times faster" in str(found)
    assert f"{found.latency.predicted:.2f}" in str(found)


def test_gates_that_fill_widths_up_are_reported():
    torch.manual_seed(0)
    gated = Gated(nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)), torch.zeros(1, 16))
    gated.log_odds.data[:] = torch.tensor([9.0] * 3 + [-9.0] * 9)
    found = report(gated, prune(gated, multiple_of=8))
    assert (found.num_opened, found.groups[0].after) == (5, 8)
    assert "5 gates that training had shut stay as zeros" in str(found)
