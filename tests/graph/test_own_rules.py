"""Rules for operations that the library does not know."""

import pytest
import torch
from torch import Tensor, nn

import ellzero as l0
from ellzero.rules import mixes, moves, pointwise


@torch.library.custom_op("ellzero_tests::smooth", mutates_args=())
def smooth(x: Tensor) -> Tensor:
    return (x + x.roll(1, -1)) / 2


@torch.library.custom_op("ellzero_tests::across", mutates_args=())
def across(x: Tensor) -> Tensor:
    return (x + x.roll(1, 1)) / 2


for one in (smooth, across):
    one.register_fake(torch.empty_like)


def smoothed(hidden):
    return smooth(hidden)


def mixed(hidden):
    return across(hidden)


class Network(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.first, self.last = nn.Conv1d(3, 8, 3), nn.Conv1d(8, 2, 3)
        self.operation = operation

    def forward(self, values):
        return self.last(self.operation(self.first(values)))


EXAMPLE = torch.randn(2, 3, 9)


def test_without_a_rule_the_channels_are_kept_and_with_one_they_are_not():
    assert l0.trace(Network(smoothed), EXAMPLE).num_gates == 0
    assert l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": mixes(-1)}).num_gates == 8


def test_a_gated_network_takes_rules_too():
    gated = l0.Gated(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": mixes(-1)})
    small = l0.prune(gated, plan=l0.Plan({"first": (0, 3)}))
    assert small.last.in_channels == 6


@pytest.mark.parametrize("rule", [mixes(-1), pointwise])
def test_a_wrong_rule_is_found_out(rule):
    channels = l0.trace(Network(mixed), EXAMPLE, rules={"ellzero_tests.across": rule})
    assert channels.num_gates == 0
    assert "cutting it changes what is computed" in channels.group("first").reason


def test_a_rule_may_replace_one_of_the_library():
    def keep(labels, call):
        labels.pin_all(call.sources, "because")

    assert l0.trace(Network(torch.relu), EXAMPLE, rules={"aten.relu": keep}).group("first").reason == "because"
    assert l0.trace(Network(lambda h: h.swapaxes(1, 2).transpose(1, 2)), EXAMPLE, rules={"aten.transpose": moves}).gated


def test_a_rule_for_an_operation_that_did_not_run_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'aten.relo', but no such operation ran; did you mean 'aten.relu'"):
        l0.trace(Network(torch.relu), EXAMPLE, rules={"aten.relo": pointwise})
