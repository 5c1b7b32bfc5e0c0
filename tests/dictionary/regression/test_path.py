"""Paths over all budgets, information criteria, the knee, and one budget for several targets."""

import itertools
import math

import numpy as np
import pytest
import torch

from ellzero.dictionary import best_subset, subset_path
from ellzero.dictionary.regression.allocation import allocate
from ellzero.dictionary.regression.criteria import criterion, knee


def data(seed, num=60, columns=8, targets=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, columns, generator=generator, dtype=torch.float64)
    x = x + 0.9 * torch.randn(num, 1, generator=generator, dtype=torch.float64)
    weights = torch.randn(columns, targets, generator=generator, dtype=torch.float64)
    weights[torch.rand(columns, targets, generator=generator) < 0.5] = 0.0
    return x, x @ weights + 0.3 * torch.randn(num, targets, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
def test_every_size_of_a_path_is_the_best_of_its_size(seed):
    x, y = data(seed, targets=2)
    path = subset_path(x, y, intercept=True)
    assert path.sizes.tolist() == list(range(9))
    assert path.residual[:, 0].tolist() == pytest.approx((y - y.mean(0)).square().sum(0).tolist())
    for size in range(1, 9):
        best = best_subset(x, y, size, intercept=True, seconds=30)
        assert path.residual[:, size].tolist() == pytest.approx(best.residual.tolist(), rel=1e-8)
        torch.testing.assert_close(path.subset(size).coefficients, best.coefficients)


def test_a_path_begins_with_what_is_always_in_and_never_rises():
    x, y = data(1)
    path = subset_path(x, y[:, 0], always=[2, 4], max_terms=6)
    assert path.sizes.tolist() == [2, 3, 4, 5, 6]
    assert all(path.subset(size).support[[2, 4]].all() for size in range(2, 7))
    assert (path.residual.diff() <= 0).all()


def test_a_shared_path_has_one_support_for_all_targets():
    x, y = data(2, targets=3)
    path = subset_path(x, y, outputs="shared")
    found = path.subset(3)
    assert (found.support == found.support[0]).all()
    torch.testing.assert_close(found.support, best_subset(x, y, 3, outputs="shared", seconds=30).support)
    assert path.num_terms("bic").shape == path.knee().shape == (1,)
    with pytest.raises(ValueError, match="no budgets to share"):
        path.total(5)


def test_criteria_have_their_textbook_values():
    x, y = data(3)
    path = subset_path(x, y, intercept=True)
    fit = 60 * (path.residual[0, 3] / 60).log().item()
    assert path.criterion("aic")[0, 3].item() == pytest.approx(fit + 2 * 5)
    assert path.criterion("aicc")[0, 3].item() == pytest.approx(fit + 2 * 5 + 2 * 5 * 6 / (60 - 5 - 1))
    assert path.criterion("bic")[0, 3].item() == pytest.approx(fit + 5 * math.log(60))
    assert path.criterion("ebic")[0, 3].item() == pytest.approx(fit + 5 * math.log(60) + 2 * math.log(56))
    assert path.criterion("ebicc")[0, 3].item() == pytest.approx(
        fit + 4 * math.log(60) * 60 / (60 - 6) + 2 * math.log(56)
    )
    with pytest.raises(ValueError, match="did you mean 'aicc'"):
        path.criterion("aiccc")


def test_the_number_of_terms_is_found_where_the_signal_is_clear():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 200, 15, generator=generator, dtype=torch.float64)
    y = x[..., :4].sum(-1) + 0.2 * torch.randn(20, 200, generator=generator, dtype=torch.float64)
    path = subset_path(x, y)
    for by, share in (("ebic", 0.8), ("bic", 0.6), ("knee", 0.95)):
        assert (path.num_terms(by) == 4).double().mean() >= share
    found = path.subset(path.num_terms("knee"))
    assert found.coefficients.shape == (20, 15)
    assert (found.num_terms == path.num_terms("knee").squeeze(-1)).all()


def test_terms_beyond_an_exact_fit_are_not_worth_having():
    x, _ = data(4)
    path = subset_path(x, x[:, 1] - 3 * x[:, 6])
    assert {by: path.num_terms(by).item() for by in ("aic", "aicc", "bic", "ebic", "ebicc", "knee")} == dict.fromkeys(
        ("aic", "aicc", "bic", "ebic", "ebicc", "knee"), 2
    )


def test_a_straight_path_has_its_knee_at_nothing():
    assert knee(torch.tensor([1.0, 0.1, 0.01, 0.001]).double(), torch.tensor(1.0)) == 0


def test_aicc_never_chooses_as_many_parameters_as_samples():
    values = criterion(
        "aicc", torch.tensor([1.0, 0.5, 0.1]), torch.tensor(2.0), torch.tensor([0, 1, 2]), num_samples=4, num_columns=5
    )
    assert values[:2].isfinite().all()
    assert values[2] == math.inf


@pytest.mark.parametrize("total", [0, 1, 4, 9])
def test_a_total_is_shared_as_brute_force_would(total):
    residual = torch.rand(3, 5, generator=torch.Generator().manual_seed(total)).sort(-1, descending=True).values
    counts = allocate(residual, total)
    assert counts.sum() <= total
    best = min(
        sum(residual[index, k].item() for index, k in enumerate(some))
        for some in itertools.product(range(5), repeat=3)
        if sum(some) <= total
    )
    assert residual.gather(-1, counts[:, None]).sum().item() == pytest.approx(best, rel=1e-6)


def test_a_budget_in_total_is_spent_on_the_targets_that_need_it():
    x, _ = data(5, targets=2)
    y = torch.stack([x[:, 0], 1e3 * (x[:, 1] - x[:, 2] + x[:, 5])], 1)
    found = best_subset(x, y, 4, outputs="total")
    assert found.num_terms.tolist() == [1, 3]
    assert found.residual.sum().item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("options", [{}, {"costs": [1, 2, 3, 1, 2]}, {"groups": [[0, 3], [1, 2]]}, {"always": [2]}])
def test_a_budget_in_total_finds_and_proves_what_brute_force_finds(seed, options):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 5))
    weights = rng.normal(size=(5, 2)) * (rng.uniform(size=(5, 2)) < 0.5)
    y = (x @ weights + rng.normal(size=(20, 2))) * [1, 50]
    found = best_subset(x, y, 5, outputs="total", seconds=20, **options)
    parts = (found.residual / torch.from_numpy((y**2).sum(0))).sum().item()
    (certificate,) = found.certificate
    assert certificate.verdict == "optimal"
    assert parts == pytest.approx(brute_force_in_total(x, y, 5, **options), rel=1e-8)
    assert certificate.bound == pytest.approx(parts, rel=1e-8)


def brute_force_in_total(x, y, budget, *, costs=(1,) * 5, groups=((),), always=()):
    """The least sum of residuals as parts of energies, over all pairs of supports within a budget."""
    single = [(column,) for column in range(5) if column not in sum(map(tuple, groups), ())]
    whole = [tuple(group) for group in groups if group] + single
    options = []
    for target in y.T:
        best = {}
        for taken in itertools.product([False, True], repeat=len(whole)):
            support = sorted(column for group, is_in in zip(whole, taken, strict=True) if is_in for column in group)
            if set(always) <= set(support):
                rest = target - x[:, support] @ np.linalg.lstsq(x[:, support], target, rcond=None)[0]
                cost = sum(costs[column] for column in support)
                best[cost] = min(best.get(cost, np.inf), rest @ rest / (target @ target))
        options.append(best)
    return min(options[0][a] + options[1][b] for a in options[0] for b in options[1] if a + b <= budget)


def test_sizes_outside_the_path_are_refused():
    x, y = data(6, targets=2)
    path = subset_path(x, y, max_terms=3)
    with pytest.raises(ValueError, match="pass a larger max_terms"):
        path.subset(4)
    with pytest.raises(ValueError, match="pass max_terms=7"):
        path.total(7)


@pytest.mark.parametrize(("samples", "columns"), [(20, 40), (30, 300), (60, 300)])
@pytest.mark.parametrize("seed", range(3))
def test_a_criterion_finds_little_in_noise_where_columns_are_many(samples, columns, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(samples, columns)), rng.normal(size=samples)
    assert int(subset_path(x, y, intercept=True).num_terms("ebic")) <= 1  # not half as many as there are samples
    found = subset_path(x, 5 * x[:, 3] - 4 * x[:, 7] + 0.5 * y, intercept=True)
    assert found.sizes[-1] < samples // 4
    assert found.subset(2).support.nonzero().flatten().tolist() == [3, 7]


@pytest.mark.parametrize(("samples", "columns", "size"), [(12, 6, 3), (15, 10, 2), (20, 10, 4), (20, 40, 2)])
def test_few_samples_do_not_make_the_default_take_more_terms(samples, columns, size):
    right = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(samples, columns))
        y = x[:, :size] @ [3, -2, 1.5, 2][:size] + 0.5 * rng.normal(size=samples)
        right += int(subset_path(x, y, intercept=True).num_terms()) == size
    assert right >= 15  # 1 to 12 with plain EBIC


def test_no_sample_left_for_the_variance_is_no_choice():
    x = np.random.default_rng(0).normal(size=(9, 8))
    path = subset_path(x, np.random.default_rng(1).normal(size=9), max_terms=8, intercept=True)
    assert path.criterion("ebicc")[0].isfinite().tolist() == [True] * 6 + [False] * 3
    assert int(path.num_terms()) < 6
