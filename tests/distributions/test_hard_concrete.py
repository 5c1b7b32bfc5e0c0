"""The hard-concrete distribution against reference values, arbitrary-precision integrals and its atoms."""

import json
import math
from pathlib import Path

import mpmath
import pytest
import torch
from torch.distributions import kl_divergence

from ellzero.distributions import HardConcrete

COPY = Path(__file__).parents[1] / "data" / "hard_concrete.json"
ORIGINAL = Path(__file__).parents[3] / "shared" / "reference" / "hard_concrete.json"
REFERENCE = json.loads(COPY.read_text())

# log-odds, temperature, low, high: none of them is among the reference values.
ELSEWHERE = [
    (1.3, 0.5, -0.2, 1.3),
    (-4.0, 1.5, -0.01, 1.05),
    (3.0, 0.1, -0.3, 1.02),
    (0.4, 6.0, -1e-4, 1.001),
    (-20.0, 2 / 3, -0.1, 1.1),
]


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def cdf(x, log_odds, temperature, low, high):
    return 1 / (1 + mpmath.exp(log_odds - temperature * mpmath.log((x - low) / (high - x))))


def density(x, log_odds, temperature, low, high):
    chance = cdf(x, log_odds, temperature, low, high)
    return chance * (1 - chance) * temperature * (high - low) / ((x - low) * (high - x))


@mpmath.workdps(30)
def integrate(log_odds: float, other: float, *shape: float) -> dict[str, float]:
    """Mean, variance, entropy and divergence from masses and densities on the gate's own axis, with 30 digits."""
    mine, theirs = (tuple(map(mpmath.mpf, (location, *shape))) for location in (log_odds, other))
    (zero, one), (zero_other, one_other) = ((cdf(0, *law), 1 - cdf(1, *law)) for law in (mine, theirs))

    def expect(at_zero, at_one, between):
        pieces = [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1]
        return zero * at_zero + one * at_one + mpmath.quad(lambda x: density(x, *mine) * between(x), pieces)

    mean = expect(0, 1, lambda x: x)
    variance = expect(mean**2, (1 - mean) ** 2, lambda x: (x - mean) ** 2)
    entropy = expect(-mpmath.log(zero), -mpmath.log(one), lambda x: -mpmath.log(density(x, *mine)))
    divergence = expect(
        mpmath.log(zero / zero_other),
        mpmath.log(one / one_other),
        lambda x: mpmath.log(density(x, *mine) / density(x, *theirs)),
    )
    laws = {"mean": mean, "variance": variance, "entropy": entropy, "divergence": divergence}
    return {name: float(value) for name, value in laws.items()}


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the reference beside the repository is absent")
def test_the_copied_reference_is_the_original():
    assert json.loads(ORIGINAL.read_text()) == REFERENCE


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: f"{float(case['log_alpha']):g}-{float(case['beta']):.2g}")
def test_every_law_agrees_with_the_reference_to_1e_9(case):
    gate = HardConcrete(
        scalar(float(case["log_alpha"])),
        temperature=float(case["beta"]),
        low=float(case["gamma"]),
        high=float(case["zeta"]),
    )
    laws = {
        "prob_active": gate.prob_open,
        "prob_one": gate.prob_one,
        "mean": gate.mean,
        "variance": gate.variance,
        "median": gate.median,
        "quantile_0_3": gate.icdf(scalar(0.3)),
        "log_density_at_0_25": gate.log_prob(scalar(0.25)),
        "log_density_at_0_9": gate.log_prob(scalar(0.9)),
        "cdf_at_0_5": gate.cdf(scalar(0.5)),
        "entropy_mixed": gate.entropy(),
    }
    for name, value in laws.items():
        assert value.item() == pytest.approx(float(case[name]), rel=0, abs=1e-9), name


@pytest.mark.parametrize("setting", ELSEWHERE)
def test_integrals_agree_with_arbitrary_precision_elsewhere(setting):
    log_odds, temperature, low, high = setting
    shape = {"temperature": temperature, "low": low, "high": high}
    gate, other = HardConcrete(scalar(log_odds), **shape), HardConcrete(scalar(-0.7), **shape)
    expected = integrate(log_odds, -0.7, temperature, low, high)
    assert gate.mean.item() == pytest.approx(expected["mean"], rel=1e-11)
    assert gate.variance.item() == pytest.approx(expected["variance"], rel=1e-11)
    assert gate.entropy().item() == pytest.approx(expected["entropy"], rel=1e-11, abs=1e-13)
    assert kl_divergence(gate, other).item() == pytest.approx(expected["divergence"], rel=1e-11)


def test_log_prob_at_the_atoms_is_their_log_mass():
    gate = HardConcrete(torch.linspace(-5, 5, 11, dtype=torch.float64))
    torch.testing.assert_close(gate.log_prob(scalar(0.0)).exp(), 1 - gate.prob_open)
    torch.testing.assert_close(gate.log_prob(scalar(1.0)).exp(), gate.prob_one)


def test_atoms_and_density_add_up_to_one():
    gate = HardConcrete(torch.linspace(-5, 5, 11, dtype=torch.float64), temperature=0.5)
    midpoints = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    between = gate.log_prob(midpoints).exp().mean(0)
    # The midpoint rule on a smooth density: the error is of the order of (1 / 20 000) ** 2.
    torch.testing.assert_close(1 - gate.prob_open + gate.prob_one + between, torch.ones(11).double(), rtol=0, atol=1e-7)


def test_cdf_jumps_by_the_atoms_at_both_ends():
    gate = HardConcrete(torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64), validate_args=False)
    torch.testing.assert_close(gate.cdf(scalar(0.0)), 1 - gate.prob_open)
    torch.testing.assert_close(gate.cdf(scalar(1 - 1e-15)), 1 - gate.prob_one)
    assert gate.cdf(scalar(1.0)).tolist() == [1.0] * 3
    assert gate.cdf(scalar(-1e-9)).tolist() == [0.0] * 3


def test_median_equals_the_quantile_at_one_half():
    gate = HardConcrete(torch.linspace(-5, 5, 101, dtype=torch.float64))
    torch.testing.assert_close(gate.median, gate.icdf(scalar(0.5)), rtol=0, atol=1e-15)


def test_a_cold_gate_becomes_a_bernoulli_variable():
    chance = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    gate = HardConcrete(chance.logit(), temperature=1e-3)
    # At temperature b the law differs by O(b).
    torch.testing.assert_close(gate.mean, chance, rtol=0, atol=1e-3)
    torch.testing.assert_close(gate.variance, chance * (1 - chance), rtol=0, atol=2e-3)


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"low": -0.2}, {"high": 1.2}])
def test_divergence_refuses_different_shapes(change):
    with pytest.raises(ValueError, match="build both with the same temperature, low and high"):
        kl_divergence(HardConcrete(torch.zeros(2)), HardConcrete(torch.zeros(2), **change))


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"temperature": math.nan}, {"low": 0.0}, {"high": 1.0}])
def test_a_bad_shape_is_refused(change):
    with pytest.raises(ValueError, match="must"):
        HardConcrete(torch.zeros(2), **change)
