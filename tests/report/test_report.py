"""The numbers of a report, held against sums done by hand."""

import copy
import json

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget, Penalty
from ellzero.distributions import prob_open
from ellzero.errors import BudgetError, SurgeryError
from ellzero.gates import Gated
from ellzero.graph import Channels, Group, Member, Plan, structure_of
from ellzero.report import Promise, Report, Size, report
from ellzero.surgery import prune


def classifier(**settings) -> Gated:
    torch.manual_seed(0)
    return Gated(nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)), torch.zeros(1, 16), **settings)


def test_sizes_are_the_sums_done_by_hand(trained):
    gated, budget, small = trained
    found = report(gated, small, budget=budget)
    inputs, hidden = (group.after for group in found.groups)
    params, macs, gates = found.sizes
    assert (params.before, params.after) == (16 * 12 + 12 + 12 * 3 + 3, inputs * hidden + hidden + hidden * 3 + 3)
    assert (macs.before, macs.after) == (16 * 12 + 12 * 3, inputs * hidden + hidden * 3)
    assert (gates.before, gates.after) == (28, inputs + hidden)
    assert params.after == sum(parameter.numel() for parameter in small.parameters())


def test_expected_sizes_are_means_of_products_of_independent_gates():
    gated = classifier(inputs=True)
    gated.log_odds.data.fill_(0.0)
    p = prob_open(torch.zeros(())).item()
    found = report(gated, prune(gated))
    assert found.sizes[0].expected == pytest.approx(16 * p * 12 * p + 12 * p + 3 * 12 * p + 3, rel=1e-6)
    assert found.sizes[1].expected == pytest.approx(16 * p * 12 * p + 3 * 12 * p, rel=1e-6)
    assert [group.expected for group in found.groups] == pytest.approx([16 * p, 12 * p], rel=1e-6)


def test_a_position_is_expected_only_where_its_channel_is(convolutional):
    gated = copy.deepcopy(convolutional[0])
    gated.log_odds.data.fill_(0.0)
    p = prob_open(torch.zeros(())).item()
    channels, positions, hidden = report(gated, prune(gated)).groups
    assert [channels.kind, positions.kind, hidden.kind] == ["channels", "positions", "channels"]
    assert positions.expected == pytest.approx(12 * p * p, rel=1e-6)


def test_undecided_gates_have_a_median_strictly_between_zero_and_one():
    gated = classifier()
    gated.log_odds.data[:] = torch.tensor([-9.0] * 3 + [0.0] * 6 + [9.0] * 3)
    assert report(gated, prune(gated)).undecided == 0.5


def test_targets_are_held_against_what_was_delivered(trained):
    gated, budget, small = trained
    params, units = report(gated, small, budget=budget).targets
    kept_inputs = structure_of(small).plan.widths(gated.channels)["input"][1]
    num_params = sum(parameter.numel() for parameter in small.parameters())
    assert (params.name, params.allowed, params.delivered) == ("params", 0.4, num_params / 243)
    assert (units.name, units.allowed, units.delivered) == ("units of 'input'", 0.75, kept_inputs / 16)
    assert params.is_met
    assert units.is_met
    assert params.expected == budget.expected()["params"]


def test_a_network_over_the_budget_is_said_to_be(trained):
    gated, _, _ = trained
    budget = Budget(copy.deepcopy(gated), params=0.1)
    (promise,) = (found := report(gated, prune(gated, plan=Plan({})), budget=budget)).targets
    assert promise == Promise("params", 0.1, promise.expected, 1.0, is_met=False)
    assert "NO" in str(found)


def test_gates_shut_for_the_budget_and_the_difference_are_those_of_the_surgery():
    gated = classifier(pretrained=True)
    small = prune(gated, Budget(gated, params=0.5))
    found = report(gated, small)
    assert found.num_shut == found.sizes[2].before - found.sizes[2].after > 0
    assert found.difference == structure_of(small).difference
    assert f"{found.num_shut} open gates were shut to keep the budget" in str(found)


def test_indices_of_selections_are_counted_beside_the_parameters(convolutional):
    gated, _, small = convolutional
    found = report(gated, small)
    assert found.num_indices == len(small.get_buffer("3.select.indices")) == found.groups[1].after


def test_every_kept_group_has_its_reason(trained):
    gated, _, small = trained
    (output,) = report(gated, small).kept
    assert (output.name, output.size, output.reason) == ("2", 3, "is an output of the network")


def test_multiply_adds_follow_the_example(trained):
    gated, _, small = trained
    one, five = (report(gated, small, example=torch.zeros(batch, 16)).sizes[1] for batch in (1, 5))
    assert (five.before, five.after) == (5 * one.before, 5 * one.after)


def test_the_example_follows_the_dtype_of_each_network(trained):
    gated, _, small = trained
    assert report(gated, copy.deepcopy(small).double()).sizes == report(gated, small).sizes


def test_a_branch_that_is_gone_has_no_width():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 4)

        def forward(self, x):
            return x + self.down(self.up(x).relu())

    gated = Gated(Residual(), torch.zeros(1, 4))
    (branch,) = report(gated, prune(gated, plan=Plan({"up": tuple(range(6))}))).groups
    assert (branch.before, branch.after) == (6, 0)


def test_channels_written_by_hand_have_no_expected_multiply_adds():
    hidden = Group(
        "hidden", 12, (Member("0.weight", 0, "writer"), Member("0.bias", 0), Member("2.weight", 1, "reader"))
    )
    traced = classifier()
    gated = classifier(channels=Channels((hidden,), traced.channels.shapes))
    params, macs, gates = report(gated, prune(gated)).sizes
    assert params.expected is not None
    assert gates.expected is not None
    assert macs == Size("multiply-adds", 228, None, macs.after)


def test_reading_changes_nothing(trained):
    gated, budget, small = trained
    before = {name: tensor.clone() for name, tensor in gated.state_dict().items()}
    flags = [module.training for module in [*gated.modules(), *small.modules()]]
    assert report(gated, small, budget=budget) == report(gated, small, budget=budget)
    assert flags == [module.training for module in [*gated.modules(), *small.modules()]]
    assert all(torch.equal(tensor, before[name]) for name, tensor in gated.state_dict().items())


def test_json_holds_the_plain_data(trained):
    gated, budget, small = trained
    found = report(gated, small, budget=budget, error=0.0182)
    plain = json.loads(found.to_json())
    assert plain == found.to_dict()
    assert plain["schema"] == 2
    assert plain["sizes"][0] == {
        "name": "parameters",
        "before": 243,
        "expected": found.sizes[0].expected,
        "after": found.sizes[0].after,
    }
    assert plain["error"] == 0.0182
    assert plain["targets"][1]["name"] == "units of 'input'"


def test_the_text_shows_the_true_numbers(trained):
    gated, budget, small = trained
    found = report(gated, small, budget=budget, error=0.0182)
    lines = [line.split() for line in str(found).splitlines()]
    num_params = sum(parameter.numel() for parameter in small.parameters())
    (sizes,) = (line for line in lines if line[:1] == ["parameters"])
    assert sizes[1::2][:2] == ["243", str(num_params)]
    assert sizes[4:] == [f"{100 * num_params / 243:.1f}", "%", f"{243 / num_params:.1f}x"]
    (inputs,) = (line for line in lines if line[:2] == ["input", "input"])
    assert (int(inputs[2]), int(inputs[4])) == (16, found.groups[0].after)
    assert ["error", "0.0182"] in lines
    assert "is an output of the network" in str(found)


def test_without_a_budget_or_an_error_neither_is_spoken_of(trained):
    gated, _, small = trained
    found = report(gated, small)
    assert isinstance(found, Report)
    assert found.targets == ()
    assert "allowed" not in str(found)
    assert "\nerror" not in str(found)


def test_a_module_that_was_not_pruned_is_refused(trained):
    with pytest.raises(SurgeryError, match="was not pruned"):
        report(trained[0], nn.Linear(2, 2))


def test_a_network_pruned_from_another_one_is_refused(trained, convolutional):
    with pytest.raises(SurgeryError, match="pruned from another network"):
        report(convolutional[0], trained[2])


def test_a_budget_made_for_another_network_is_refused(trained, convolutional):
    gated, _, small = trained
    with pytest.raises(BudgetError, match="gated in another way"):
        report(gated, small, budget=convolutional[1])


def test_a_penalty_has_no_targets_to_be_held_against(trained):
    gated, _, small = trained
    with pytest.raises(TypeError, match="a Penalty has no targets"):
        report(gated, small, budget=Penalty(copy.deepcopy(gated), params=1e-6))


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_an_error_that_is_no_number_is_refused(trained, error):
    with pytest.raises(ValueError, match="finite number"):
        report(trained[0], trained[2], error=error)
