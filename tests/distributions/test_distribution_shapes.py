"""Shapes and refusals that every distribution of a gate shares."""

import copy
import math

import pytest
import torch
from torch.distributions import Independent, kl_divergence

from ellzero.distributions.concrete import Concrete


def test_expand_broadcasts_and_shares_the_parameters(member):
    gate = member(torch.zeros(3, requires_grad=True), validate_args=False)
    wide = gate.expand((2, 3))
    assert type(wide) is type(gate)
    assert (wide.batch_shape, wide.event_shape) == ((2, 3), ())
    assert (wide.temperature, wide.low, wide.high) == (gate.temperature, gate.low, gate.high)
    assert wide._validate_args is False
    assert wide.rsample((5,)).shape == (5, 2, 3)
    assert wide.mean.shape == wide.entropy().shape == wide.log_prob(torch.tensor(0.5)).shape == (2, 3)
    (slope,) = torch.autograd.grad(wide.mean.sum(), gate.log_odds)
    torch.testing.assert_close(slope, 2 * torch.autograd.grad(gate.mean.sum(), gate.log_odds)[0])


@pytest.mark.parametrize("batch", [(), (0,), (4,), (2, 3)])
def test_batch_shapes_pass_through_every_law(member, batch):
    gate = member(torch.zeros(batch))
    assert gate.batch_shape == batch
    assert gate.sample().shape == batch
    for law in (gate.mean, gate.variance, gate.median, gate.entropy(), gate.stddev, kl_divergence(gate, gate)):
        assert law.shape == batch
    assert gate.cdf(torch.full((6, *batch), 0.5)).shape == (6, *batch)


def test_independent_adds_up_the_last_dimension(member):
    gate = member(torch.randn(2, 3, generator=torch.Generator().manual_seed(6)))
    joint = Independent(gate, 1)
    values = gate.sample()
    torch.testing.assert_close(joint.log_prob(values), gate.log_prob(values).sum(-1))
    torch.testing.assert_close(joint.entropy(), gate.entropy().sum(-1))
    assert copy.deepcopy(gate).mean.equal(gate.mean)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_log_odds_that_are_not_finite_are_refused(member, bad):
    with pytest.raises(ValueError, match="log_odds must be finite, got 1 of 2"):
        member(torch.tensor([0.0, bad]))
    member(torch.tensor([0.0, bad]), validate_args=False)


def test_log_odds_that_are_not_a_floating_tensor_are_refused(member):
    with pytest.raises(TypeError, match="int64"):
        member(torch.zeros(2, dtype=torch.long))
    with pytest.raises(TypeError, match="got float"):
        member(0.5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperatures_that_are_not_positive_are_refused(member, temperature):
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        member(torch.zeros(2), temperature=temperature)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_outside_the_support_are_refused_or_impossible(member, value):
    for law in ("log_prob", "cdf"):
        with pytest.raises(ValueError, match="support"):
            getattr(member(torch.zeros(2)), law)(torch.tensor(value))
    with pytest.raises(ValueError, match="pass probabilities"):
        member(torch.zeros(2)).icdf(torch.tensor(value))
    if not math.isnan(value):
        assert member(torch.zeros(2), validate_args=False).log_prob(torch.tensor(value)).tolist() == [-math.inf] * 2


def test_the_parent_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Concrete(torch.zeros(2), temperature=1.0, low=0.0, high=1.0)
