"""Budgets and plans: never over the limit, and every refusal leaves the network as it was."""

import logging

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import NonFiniteError, SurgeryError, TraceError
from ellzero.graph import structure_of
from ellzero.surgery import compare


def build():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 3)
    )
    return l0.Gated(model, torch.zeros(1, 1, 6, 6))


@pytest.mark.parametrize("limits", [{"params": 0.3}, {"macs": 0.25}, {"units": 0.4}, {"params": 0.5, "macs": 0.2}])
@pytest.mark.parametrize("start", [4.0, 0.0, -1.7])
def test_the_delivered_network_is_never_over_the_budget(limits, start, caplog):
    gated = build()
    budget = l0.Budget(gated, **limits)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        gated.log_odds.copy_(start + torch.randn(gated.log_odds.shape, generator=generator))
    median_plan = gated.plan()
    with caplog.at_level(logging.INFO, logger="ellzero"):
        small = l0.prune(gated, budget)
    full, found = (l0.count(model, torch.zeros(1, 1, 6, 6)) for model in (gated.bare(), small))
    num_open = 16 - sum(len(indices) for indices in structure_of(small).plan.shut.values())
    shares = {"params": found.params / full.params, "macs": found.macs / full.macs, "units": num_open / 16}
    assert all(shares[kind] <= limit for kind, limit in limits.items())
    num_more = sum(map(len, structure_of(small).plan.shut.values())) - sum(map(len, median_plan.shut.values()))
    assert structure_of(small).num_shut == num_more
    assert (f"{num_more} gates that training had left open were shut" in caplog.text) is (num_more > 0)


def test_the_least_open_gates_are_shut_first():
    gated = build()
    with torch.no_grad():
        gated.log_odds.copy_(torch.linspace(1, 4, 16))
    small = l0.prune(gated, l0.Budget(gated, units=14 / 16))
    assert structure_of(small).plan == l0.Plan({"0": (0, 1)})


def test_a_plan_decides_when_it_is_given():
    gated = build()
    small = l0.prune(gated, plan=l0.Plan({"0": (0, 5), "4": (1,)}))
    assert (small[0].out_channels, small[4].weight.shape) == (4, (9, 16))
    assert structure_of(small).plan == l0.Plan({"0": (0, 5), "4": (1,)})
    full = gated.bare()
    assert torch.equal(small[0].weight, full[0].weight[1:5])


def test_a_plan_may_open_what_the_gates_shut():
    gated = build()
    with torch.no_grad():
        gated.log_odds.fill_(-4.0)
    small = l0.prune(gated, plan=l0.Plan({}))
    assert torch.equal(small[6].weight, gated.bare()[6].weight), "a gate that is opened by a plan is one"


@pytest.mark.parametrize(
    ("shut", "message"),
    [
        ({"1": (0,)}, "no group is called '1'"),
        ({"0": (6,)}, "shuts channel 6 of '0', which has 6 channels"),
        ({"6": (0,)}, "is kept: is an output of the network"),
        ({"4": tuple(range(10))}, "shuts all of '4', which carries the only path"),
    ],
)
def test_plans_that_do_not_fit_are_refused(shut, message):
    gated = build()
    before = {name: tensor.clone() for name, tensor in gated.state_dict().items()}
    with pytest.raises(TraceError, match=message):
        l0.prune(gated, plan=l0.Plan(shut))
    assert all(torch.equal(tensor, before[name]) for name, tensor in gated.state_dict().items())


def test_a_budget_and_a_plan_contradict_each_other():
    gated = build()
    with pytest.raises(SurgeryError, match="either a budget or a plan, not both"):
        l0.prune(gated, l0.Budget(gated, params=0.5), plan=l0.Plan({}))


@pytest.mark.parametrize("module", [nn.Linear(3, 4), 3, None])
def test_only_gated_networks_are_pruned(module):
    with pytest.raises(SurgeryError, match=r"prune needs a gated network, got \w+; wrap it: Gated\(model, example\)"):
        l0.prune(module)


def test_a_weight_that_became_nan_is_named_as_such():
    gated = build()
    with torch.no_grad():
        gated.model[0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="returns NaN on the example"):
        l0.prune(gated, example=torch.randn(1, 1, 6, 6))


def test_a_forward_that_is_changed_after_gating_is_caught_with_the_largest_difference():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.by_width = nn.Linear(4, 5), nn.Linear(5, 2), False

        def forward(self, values):
            hidden = self.one(values)
            return self.two(hidden * hidden.shape[1] if self.by_width else hidden)

    gated = l0.Gated(Scaled(), torch.ones(1, 4))
    gated.model.by_width = True
    with pytest.raises(
        SurgeryError, match=r"differs from the gated one by [0-9.]+, more than the .* nothing was changed"
    ):
        l0.prune(gated, plan=l0.Plan({"one": (0,)}))


def test_masked_logits_may_be_infinite():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 3)
            self.register_buffer("mask", torch.tensor([0.0, -torch.inf, 0.0]))

        def forward(self, values):
            return self.two(self.one(values).relu()) + self.mask

    small = l0.prune(l0.Gated(Masked(), torch.ones(1, 4)), plan=l0.Plan({"one": (0, 2)}))
    assert small.two.weight.shape == (3, 3)


def test_compare_returns_the_largest_difference_and_refuses_more_than_rounding():
    one = nn.Linear(3, 2).double()
    other = nn.Linear(3, 2).double()
    other.load_state_dict(one.state_dict())
    values = torch.ones(1, 3, dtype=torch.float64)
    assert compare(one, other, values) == 0.0
    with torch.no_grad():
        other.bias[1] += 1e-14
    assert 0 < compare(one, other, values) < 1e-13
    with torch.no_grad():
        other.bias[1] += 1e-3
    with pytest.raises(SurgeryError, match=r"differs from the gated one by 0.001"):
        compare(one, other, values)


def test_compare_restores_the_training_flags():
    one, other = nn.Sequential(nn.Dropout().eval(), nn.Identity()), nn.Identity()
    compare(one, other, torch.ones(2))
    assert [module.training for module in one.modules()] == [True, False, True]


@pytest.mark.parametrize(
    ("other", "message"),
    [(nn.Linear(3, 4), r"returns shape \(1, 4\) instead of \(1, 2\)"), (nn.Linear(4, 2), "does not run: ")],
)
def test_compare_refuses_another_shape_and_what_does_not_run(other, message):
    with pytest.raises(SurgeryError, match=message):
        compare(nn.Linear(3, 2), other, torch.ones(1, 3))


class Mixed(nn.Module):
    """Weights of several precisions, the first of which is not that of the input."""

    def __init__(self, first):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=first))
        self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, values):
        return self.two(self.one(values).relu()) * self.scale.float()


@pytest.mark.parametrize("first", [torch.float64, torch.bfloat16])
def test_an_example_keeps_a_precision_that_the_network_has(first):
    gated = l0.Gated(Mixed(first), torch.ones(1, 4))
    assert l0.prune(gated, plan=l0.Plan({"one": (0, 2)})).two.weight.shape == (3, 3)
    assert l0.prune(gated, plan=l0.Plan({"one": (0,)}), example=torch.randn(2, 4)).two.weight.shape == (3, 4)


def test_an_example_follows_a_network_into_another_precision():
    assert l0.prune(build().double(), plan=l0.Plan({"0": (0,)}))[0].weight.dtype == torch.float64
