"""Exported graphs carry the conditions under which they are the network, and what belongs to it."""

import copy

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.graph import Plan
from networks.fixed_sizes import Shuffled


class Conditional(Shuffled):
    """Its forward pass depends on the batch, on the number of columns, and on a flag."""

    def forward(self, x, scale=1.0, flip=False):
        found = super().forward(x) * scale
        if x.shape[0] > 3:
            found = found * 2
        return -found if flip else found


@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")  # of PyTorch 2.13, about its own copying
def test_inputs_for_which_the_graph_is_another_network_are_refused():
    torch.manual_seed(0)
    example = {"x": torch.randn(4, 10, dtype=torch.float64), "scale": 2.0, "flip": True}
    gated = l0.Gated(Conditional().double(), example, exported=True).eval()
    plan = Plan({"fc1": (1, 4, 6)})
    small = l0.prune(gated, plan=plan)
    twin = copy.deepcopy(small)
    other = torch.randn(7, 10, dtype=torch.float64)
    with gated.planned(plan), torch.no_grad():
        assert torch.allclose(gated(other, scale=2.0, flip=True), small(other, scale=2.0, flip=True), atol=1e-12)
    for wrong in ({"x": other[:2], "scale": 2.0, "flip": True}, {"x": other, "scale": 3.0, "flip": True},
                  {"x": other, "scale": 2.0, "flip": False}):  # fmt: skip
        for one in (small, twin):
            with pytest.raises(AssertionError, match="Guard failed"):
                one(**wrong)


def test_an_optimizer_goes_along_without_what_evaluation_does_not_use():
    class Helped(Shuffled):
        def __init__(self):
            super().__init__()
            self.helper = nn.Linear(10, 2)

        def forward(self, x):
            found = super().forward(x)
            return (found, self.helper(x)) if self.training else found

    gated = l0.Gated(Helped(), torch.randn(4, 10), exported=True)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3))
    sum(part.sum() for part in gated(torch.randn(4, 10))).backward()
    optimizer.step()
    small = l0.prune(gated, plan=Plan({"fc1": (1, 4)}))
    moved = l0.transfer_optimizer(optimizer, small)
    assert {id(one) for group in moved.param_groups for one in group["params"]} == {
        id(one) for one in small.parameters()
    }
