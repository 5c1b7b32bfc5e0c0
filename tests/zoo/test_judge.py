"""The judge of the scoreboard on networks that are pruned by hand, rightly and wrongly."""

import copy

import pytest
import torch
from torch import nn

from judge import judge


@pytest.fixture
def dense() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 2)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # the judge recognises entries by their values
    return model


def pruned(dense: nn.Module, *, written=(0, 2, 5), normalised=(0, 2, 5), read=(0, 2, 5)) -> nn.Module:
    small = copy.deepcopy(dense)
    written, normalised, read = list(written), list(normalised), list(read)
    small[0].weight, small[0].bias = nn.Parameter(dense[0].weight[written]), nn.Parameter(dense[0].bias[written])
    small[1].weight, small[1].bias = nn.Parameter(dense[1].weight[normalised]), nn.Parameter(dense[1].bias[normalised])
    small[1].normalized_shape = (len(normalised),)
    small[3].weight = nn.Parameter(dense[3].weight[:, read])
    return small


EXAMPLE = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4)


def test_the_same_channels_everywhere_are_right(dense):
    found = judge(dense, pruned(dense), EXAMPLE)
    assert (found["verdict"], found["why"]) == ("right", "")
    assert found["params_removed"] == pytest.approx(1 - (15 + 6 + 8) / (30 + 12 + 14))


def test_other_channels_at_the_reader_are_wrong(dense):
    found = judge(dense, pruned(dense, read=(1, 2, 5)), EXAMPLE)
    assert found["verdict"] == "wrong"
    assert "differs by" in found["why"]


def test_another_width_at_the_reader_is_a_crash(dense):
    assert judge(dense, pruned(dense, read=(2, 5)), EXAMPLE)["verdict"] == "crash"


def test_another_shape_of_the_answer_is_wrong(dense):
    small = copy.deepcopy(dense)
    small[3].weight, small[3].bias = nn.Parameter(dense[3].weight[:1]), nn.Parameter(dense[3].bias[:1])
    found = judge(dense, small, EXAMPLE)
    assert found["verdict"] == "wrong"
    assert "shape" in found["why"]


def test_an_unchanged_network_has_nothing_removed(dense):
    assert judge(dense, copy.deepcopy(dense), EXAMPLE)["verdict"] == "nothing removed"


def test_a_second_input_is_judged_too(dense):
    class OnlyPositive(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x) if x.sum() > 0 else self.net(x) + 1

    small = OnlyPositive(pruned(dense))
    original = nn.Module()
    original.net, original.forward = dense, dense.forward
    assert judge(original, small, EXAMPLE)["verdict"] == "wrong"
