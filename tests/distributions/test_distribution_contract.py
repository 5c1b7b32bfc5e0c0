"""What every distribution of a gate promises, from one table of members."""

import math

import pytest
import torch
from torch.distributions import kl_divergence

from ellzero.distributions import BinaryConcrete, HardConcrete

EXTREMES = [1e4, -1e4, 200.0, -200.0, 30.0, -30.0, 0.0]


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def noise_grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Logistic noise on a fine grid and the mass of every point, for sums that know nothing of the library's rules."""
    noise = torch.linspace(-36, 36, 400_001, dtype=torch.float64)[:, None]
    mass = torch.sigmoid(noise) * torch.sigmoid(-noise)
    return noise, mass / mass.sum()


def test_moments_are_sums_over_the_noise(member):
    gate = member(doubles(-2.5, 0.0, 0.7, 3.0))
    noise, mass = noise_grid()
    values = gate.icdf(torch.sigmoid(noise))
    mean = (mass * values).sum(0)
    # The trapezoidal rule with step 2e-4 over kinks: errors of 1e-8.
    torch.testing.assert_close(gate.mean, mean, rtol=0, atol=1e-7)
    torch.testing.assert_close(gate.variance, (mass * (values - mean) ** 2).sum(0), rtol=0, atol=1e-7)


def test_entropy_and_divergence_are_means_of_log_probabilities(member):
    gate, other = member(doubles(-2.5, 0.0, 0.7)), member(doubles(-1.0, 0.3, -2.0))
    noise, mass = noise_grid()
    values = gate.icdf(torch.sigmoid(noise))
    mine, theirs = gate.log_prob(values), other.log_prob(values)
    # The log probability jumps where an atom ends: errors of one step, 2e-4, times the jump.
    torch.testing.assert_close(gate.entropy(), -(mass * mine).sum(0), rtol=0, atol=2e-4)
    torch.testing.assert_close(kl_divergence(gate, other), (mass * (mine - theirs)).sum(0), rtol=0, atol=2e-4)


def test_density_is_the_slope_of_the_cdf(member):
    gate = member(doubles(-2.5, 0.0, 3.0))
    value = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None].expand(-1, 3).clone().requires_grad_()
    (slope,) = torch.autograd.grad(gate.cdf(value).sum(), value)
    torch.testing.assert_close(gate.log_prob(value).exp(), slope, rtol=1e-12, atol=0)


def test_quantiles_invert_the_cdf(member):
    gate = member(doubles(-2.5, 0.0, 3.0))
    value = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None]
    torch.testing.assert_close(gate.icdf(gate.cdf(value)), value.expand(-1, 3), rtol=0, atol=1e-12)
    torch.testing.assert_close(gate.median, gate.icdf(doubles(0.5)), rtol=0, atol=1e-15)


def test_draws_follow_the_cdf(member):
    # Dvoretzky-Kiefer-Wolfowitz: some point is off by e with chance 2 exp(-2 n e**2), here 1e-7 for each of 3 gates.
    num_draws = 200_000
    tolerance = math.sqrt(math.log(2 / 1e-7) / (2 * num_draws))
    torch.manual_seed(1)
    gate = member(doubles(-1.5, 0.0, 2.0))
    draws = gate.sample((num_draws,))
    for point in (0.0, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999):
        frequency = (draws <= point).double().mean(0)
        torch.testing.assert_close(frequency, gate.cdf(doubles(point)), rtol=0, atol=tolerance)


def test_draws_are_independent_across_gates_and_across_time(member):
    # Hoeffding, for disjoint pairs and each of 2 x 3 x 9 joint events: chance 2 exp(-2 n e**2) = 1e-8, 6e-7 in all.
    num_pairs = 150_000
    tolerance = math.sqrt(math.log(2 / 1e-8) / (2 * num_pairs))
    torch.manual_seed(2)
    gate = member(torch.full((4,), 0.4, dtype=torch.float64))
    draws = gate.sample((2 * num_pairs,))
    across_gates = [(draws[:num_pairs, 0], draws[:num_pairs, k]) for k in (1, 2, 3)]
    across_time = [(draws[0::2, k], draws[1::2, k]) for k in (0, 1, 2)]
    for first, second in across_gates + across_time:
        for x in doubles(0.1, 0.5, 0.9):
            for y in doubles(0.1, 0.5, 0.9):
                joint = ((first <= x) & (second <= y)).double().mean()
                torch.testing.assert_close(joint, gate.cdf(x)[0] * gate.cdf(y)[0], rtol=0, atol=tolerance)


def test_draws_repeat_with_the_seed_and_stay_in_the_support(member):
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        gate = member(torch.linspace(-40, 40, 81).to(dtype))
        torch.manual_seed(3)
        draws = gate.rsample((500,))
        torch.manual_seed(3)
        assert torch.equal(draws, gate.rsample((500,)))
        assert draws.dtype == dtype
        assert gate.support.check(draws).all()


def test_draws_survive_a_generator_that_returns_exact_zero_and_one(member, monkeypatch):
    for constant in (torch.zeros, torch.ones):
        monkeypatch.setattr(torch, "rand", constant)
        log_odds = torch.tensor(EXTREMES, requires_grad=True)
        draws = member(log_odds).rsample((2,))
        (slope,) = torch.autograd.grad(draws.sum(), log_odds)
        assert torch.isfinite(draws).all()
        assert torch.isfinite(slope).all()


@pytest.mark.parametrize("law", ["mean", "variance", "entropy", "log_prob", "cdf", "icdf", "rsample", "kl"])
def test_gradients_agree_with_finite_differences_away_from_the_kinks(member, law):
    def evaluate(log_odds: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        gate = member(log_odds)
        if law == "kl":
            return kl_divergence(gate, member(other))
        if law == "rsample":
            torch.manual_seed(4)
            return gate.rsample((5,))
        if law in ("log_prob", "cdf"):
            return getattr(gate, law)(torch.sigmoid(other))
        if law == "icdf":
            return gate.icdf(torch.sigmoid(other / 9))
        return gate.entropy() if law == "entropy" else getattr(gate, law)

    log_odds, other = doubles(-2.1, 0.1, 0.8).requires_grad_(), doubles(1.0, 0.12, -0.5).requires_grad_()
    assert torch.autograd.gradcheck(evaluate, (log_odds, other))


def test_everything_is_finite_with_finite_gradients_at_extreme_log_odds(member):
    log_odds = torch.tensor(EXTREMES, requires_grad=True)
    gate, other = member(log_odds), member(torch.zeros(()))
    values = torch.tensor([[0.0], [0.3], [1.0]])
    torch.manual_seed(5)
    laws = {
        "mean": gate.mean,
        "variance": gate.variance,
        "median": gate.median,
        "entropy": gate.entropy(),
        "log_prob": gate.log_prob(values),
        "cdf": gate.cdf(values),
        "icdf": gate.icdf(torch.tensor([[0.0], [0.3], [1.0]])),
        "rsample": gate.rsample((50,)),
        "kl from": kl_divergence(gate, other),
        "kl to": kl_divergence(other, gate),
        "kl across": kl_divergence(gate, member(-log_odds)),
    }
    if isinstance(gate, HardConcrete):
        laws |= {"prob_open": gate.prob_open, "prob_one": gate.prob_one}
    for name, law in laws.items():
        (slope,) = torch.autograd.grad(law.sum(), log_odds)
        assert torch.isfinite(law).all(), name
        assert torch.isfinite(slope).all(), name
        assert law.dtype == torch.float32, name


def test_means_and_variances_stay_in_their_ranges_in_single_precision(member):
    gate = member(torch.linspace(-60, 60, 5001))
    assert ((gate.mean >= 0) & (gate.mean <= 1)).all()
    assert ((gate.variance >= 0) & (gate.variance <= 0.25)).all()
    reference = member(torch.linspace(-60, 60, 5001).double())
    # 24 or more terms of single precision, each to 6e-8.
    torch.testing.assert_close(gate.mean.double(), reference.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(gate.variance.double(), reference.variance, rtol=0, atol=1e-6)


def test_divergence_is_zero_from_itself_and_positive_from_others(member):
    log_odds = doubles(-3.0, -0.4, 0.0, 2.0)
    table = kl_divergence(member(log_odds[:, None]), member(log_odds))
    assert table.shape == (4, 4)
    torch.testing.assert_close(table.diagonal(), torch.zeros(4).double(), rtol=0, atol=1e-15)
    assert (table[~torch.eye(4, dtype=torch.bool)] > 1e-3).all()


def test_divergence_of_binary_concretes_is_smooth_where_the_series_takes_over():
    other = BinaryConcrete(doubles(0.0))
    gates = BinaryConcrete(doubles(0.03 - 1e-12, 0.03 + 1e-12))
    below, above = kl_divergence(gates, other).tolist()
    assert above == pytest.approx(below, abs=1e-12)
    # d coth(d / 2) - 2 at d = 2 is 2 coth(1) - 2.
    assert kl_divergence(BinaryConcrete(doubles(2.0)), other).item() == pytest.approx(2 / math.tanh(1) - 2, rel=1e-14)


def test_divergence_of_binary_concretes_refuses_different_temperatures():
    with pytest.raises(ValueError, match="build both with the same temperature"):
        kl_divergence(BinaryConcrete(torch.zeros(2)), BinaryConcrete(torch.zeros(2), temperature=1.0))


def test_binary_concrete_of_temperature_one_at_zero_is_uniform():
    gate = BinaryConcrete(doubles(0.0), temperature=1.0)
    assert gate.mean.item() == pytest.approx(1 / 2, abs=1e-14)
    assert gate.variance.item() == pytest.approx(1 / 12, abs=1e-14)
    assert gate.entropy().item() == pytest.approx(0, abs=1e-14)
    assert gate.log_prob(doubles(0.2)).item() == pytest.approx(0, abs=1e-14)
