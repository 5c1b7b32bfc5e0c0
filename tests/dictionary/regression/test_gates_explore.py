"""Gates over a linear regression: the expected loss, supports that exchanges miss, and probabilities."""

import pytest
import torch

from ellzero.dictionary import best_subset, calibration, gate_probabilities, simulate_regression
from ellzero.dictionary.regression.calibrate import Calibration
from ellzero.dictionary.regression.relaxed import Relaxed, expected_loss
from ellzero.distributions import HardConcrete


def cancelling(seed, pairs=3, others=20, num=400):
    """Columns in pairs that nearly equal each other; the target is made of differences of some pairs."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(num, others, generator=generator, dtype=torch.float64)
    left, right = (common + 0.05 * torch.randn(num, others, generator=generator, dtype=torch.float64) for _ in range(2))
    x = torch.cat([left, right, torch.randn(num, others, generator=generator, dtype=torch.float64)], 1)
    chosen = torch.randperm(others, generator=generator)[:pairs]
    signal = (left - right)[:, chosen].sum(1)
    noise = 0.3 * signal.std() * torch.randn(num, generator=generator, dtype=torch.float64)
    return x, signal + noise, torch.cat([chosen, chosen + others]).sort().values


def test_gates_find_columns_that_explain_only_together():
    found = {0: 0, 2: 0}
    for seed in range(5):
        x, y, truth = cancelling(seed)
        for gates in found:
            found[gates] += best_subset(x, y, 6, gates=gates).support.nonzero().flatten().equal(truth)
    assert found[2] == 5
    assert found[0] <= 1  # what greedy growth and exchanges of up to two terms reach


def test_exploring_never_makes_it_worse_and_keeps_to_costs_and_fixed_columns():
    x, y, _ = cancelling(1)
    costs = torch.linspace(0.5, 2, 60)
    plain = best_subset(x, y, 6, costs=costs, always=[3])
    found = best_subset(x, y, 6, costs=costs, always=[3], gates=2)
    assert found.residual <= plain.residual * (1 + 1e-9)
    assert costs[found.support].sum() <= 6
    assert found.support[3]


def test_systems_of_a_batch_explore_as_each_does_alone_where_the_best_is_clear():
    parts = [cancelling(seed) for seed in (2, 3)]
    x, y = (torch.stack([part[place] for part in parts]) for place in (0, 1))
    assert best_subset(x, y, 6, gates=2).support.equal(
        torch.stack([best_subset(one, other, 6, gates=2).support for one, other, _ in parts])
    )


def test_the_expected_loss_is_the_mean_over_sampled_gates():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    root = root / root.norm(dim=0)
    target = torch.randn(30, 1, generator=generator, dtype=torch.float64)
    gates = HardConcrete(torch.tensor([-1.0, 0.0, 1.0, 3.0], dtype=torch.float64))
    ones = torch.ones(1, 1, dtype=torch.float64)
    problem = Relaxed(
        (root.T @ root)[None, None], (root.T @ target)[None, None], target.square().sum() * ones,
        torch.ones(1, 1, 4), 4 * ones, torch.zeros(1, 1, 4, dtype=torch.bool),
    )  # fmt: skip
    found = expected_loss(problem, gates.mean[None, None, None], gates.variance[None, None, None])
    torch.manual_seed(0)
    samples = gates.sample((200_000,))
    # The weights that make the mean over these samples least, which is a least-squares problem of its own.
    second = samples.T @ samples / len(samples) * (root.T @ root)
    first = samples.mean(0) * (root.T @ target).squeeze()
    least = target.square().sum() - first @ torch.linalg.solve(second, first)
    assert found.item() == pytest.approx(least.item(), rel=2e-3)


def test_the_gradient_of_the_expected_loss_is_that_of_its_least_value():
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    root = root / root.norm(dim=0)
    target = torch.randn(9, 1, generator=generator, dtype=torch.float64)
    ones = torch.ones(1, 1, dtype=torch.float64)
    problem = Relaxed(
        (root.T @ root)[None, None], (root.T @ target)[None, None], target.square().sum() * ones,
        torch.ones(1, 1, 3), 3 * ones, torch.zeros(1, 1, 3, dtype=torch.bool),
    )  # fmt: skip
    mean = torch.tensor([[[[0.3, 0.6, 0.9]]]], dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([[[[0.1, 0.2, 0.05]]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, v: expected_loss(problem, m, v), (mean, variance), atol=1e-6)


def test_probabilities_are_high_for_what_is_there_and_low_for_what_is_not():
    x, y, truth = simulate_regression(0, num_samples=400, noise=0.1)
    stated = gate_probabilities(x, torch.stack([y, -y], 1), expected_terms=4)
    assert stated.shape == (2, 20)
    torch.testing.assert_close(stated[0], stated[1], atol=0.05, rtol=0)
    assert stated[0][truth].min() > 0.9
    assert stated[0][~truth].max() < 0.2


def test_more_expected_terms_make_all_terms_more_probable():
    x, y, _ = simulate_regression(1)
    few, many = (gate_probabilities(x, y, expected_terms=k) for k in (0.5, 10))
    assert few.sum() < many.sum()
    with pytest.raises(ValueError, match="between 0 and the 20 columns"):
        gate_probabilities(x, y, expected_terms=20)


def test_calibration_tells_right_from_wrong():
    def coin(seed):
        generator = torch.Generator().manual_seed(seed)
        stated = torch.rand(200, generator=generator, dtype=torch.float64)
        return stated[None], stated, torch.rand(200, generator=generator, dtype=torch.float64) < stated

    right = calibration(lambda x, _: x[0], coin, num=100)
    assert right.error < 0.02
    assert right.brier == pytest.approx(1 / 6, abs=0.01)
    wrong = calibration(lambda x, _: x[0].sqrt(), coin, num=100)
    assert wrong.error == pytest.approx(2 / 3 - 1 / 2, abs=0.02)
    assert wrong.brier > right.brier
    assert str(right).count("\n") == 11
    with pytest.raises(ValueError, match="expected 200 probabilities between 0 and 1"):
        calibration(lambda x, _: 2 * x[0], coin, num=1)


def test_empty_bins_count_for_nothing():
    found = Calibration(torch.tensor([0.1, torch.nan]), torch.tensor([0.3, torch.nan]), torch.tensor([5, 0]), 0.1)
    assert found.error == pytest.approx(0.2)
    assert "nan" not in str(found)


@pytest.mark.parametrize("terms", [4, "ebic"])
def test_bootstrap_probabilities_are_calibrated_on_few_samples(terms):
    from ellzero.dictionary import bootstrap

    def few(seed):
        return simulate_regression(seed, num_samples=60, num_columns=15, noise=0.4)

    found = calibration(
        lambda x, y: bootstrap(x, y, terms, num=40, intercept=True).inclusion_probability, few, num=40, bins=4
    )
    assert found.error < 0.06  # 0.1 where criteria take the repeated rows of a resample for independent ones


def test_bootstrap_probabilities_are_calibrated_where_the_number_of_terms_is_known():
    from ellzero.dictionary import bootstrap

    found = calibration(lambda x, y: bootstrap(x, y, 4, num=50).inclusion_probability, simulate_regression, num=30)
    assert found.error < 0.06  # the base rate is 0.2
    assert found.brier < 0.1
