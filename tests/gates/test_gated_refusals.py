"""What `Gated` refuses, before anything is changed."""

import pytest
import torch
from torch import nn

from ellzero import Channels, Gated, Group, Member, trace
from ellzero.errors import NonFiniteError, TraceError


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(bad):
    model = network()
    with torch.no_grad():
        model[3].weight[0, 1] = bad
    with pytest.raises(NonFiniteError, match=r"weight '3.weight' holds NaN or infinite numbers; load a sound"):
        Gated(model, torch.zeros(2, 4))


def test_statistics_that_are_nan_are_refused_but_masks_may_be_infinite():
    model = network()
    model.register_buffer("mask", torch.full((2, 2), -torch.inf))
    Gated(model, torch.zeros(2, 4))
    broken = network()
    broken[1].running_var[0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"buffer '1.running_var' holds NaN"):
        Gated(broken, torch.zeros(2, 4))


@pytest.mark.parametrize("model", [nn.Linear(4, 2), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Softmax(1))])
def test_a_network_with_nothing_to_gate_is_refused(model):
    with pytest.raises(TraceError, match="there is nothing to gate in this network; what was found:\n"):
        Gated(model, torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("example", "message"),
    [(torch.zeros(2, 5), r"failed in '0' on an example of shape \(2, 5\)"), (None, "give an example")],
)
def test_a_wrong_example_is_refused(example, message):
    with pytest.raises(TraceError, match=message):
        Gated(network(), example)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_odds": float("nan")}, "finite log-odds, got nan; leave it out"),
        ({"log_odds": float("inf")}, "finite log-odds, got inf"),
        ({"keep": ["3.wieght"]}, "did you mean '3.weight'"),
        ({"keep": "3"}, r"write keep=\['3'\]"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Gated(network(), torch.zeros(2, 4), **settings)


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"lr": -1.0}, {"lr": float("nan")}, {"lr": 1.0, "gate_lr": 0.0}])
def test_learning_rates_must_be_positive(settings):
    with pytest.raises(ValueError, match="must be positive and finite, got"):
        Gated(network(), torch.zeros(2, 4)).parameter_groups(**settings)


def test_a_network_is_gated_once():
    model = network()
    Gated(model, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="has gates already; use the Gated that made them"):
        Gated(model, torch.zeros(2, 4))


def test_channels_of_another_network_are_refused():
    channels = trace(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)), torch.zeros(1, 4))
    with pytest.raises(TraceError, match=r"'0.weight' has shape \(3, 4\) in the network, \(5, 4\) in the channels"):
        Gated(network(), torch.zeros(2, 4), channels=channels)


def test_channels_written_by_hand_are_accepted_when_they_fit():
    carriers = tuple(Member(f"1.{name}", 0) for name in ("weight", "bias", "running_mean", "running_var"))
    members = (Member("0.weight", 0, "writer"), Member("0.bias", 0), *carriers, Member("3.weight", 1, "reader"))
    gated = Gated(network(), torch.zeros(2, 4), channels=Channels((Group("hidden", 3, members),), {}))
    assert gated.log_odds.shape == (3,)


def test_a_reader_that_is_parametrized_by_somebody_else_is_kept():
    model = network()
    model[3] = nn.utils.parametrizations.weight_norm(model[3])
    with pytest.raises(TraceError, match="nothing to gate"):
        Gated(model, torch.zeros(2, 4))


def test_a_refused_network_is_unchanged():
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(TraceError):
        Gated(model, torch.zeros(2, 5))
    assert list(model.state_dict()) == list(before)
    assert not any(nn.utils.parametrize.is_parametrized(module) for module in model.modules())
