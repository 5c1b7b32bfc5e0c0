"""Columns that are alike, dependent, zero or constant, and budgets that hold everything: against brute force."""

import itertools

import numpy as np
import pytest
import torch

from ellzero.dictionary import SparseRegression, best_subset
from ellzero.dictionary.regression.fits import evaluate
from ellzero.dictionary.regression.groups import members_of
from ellzero.dictionary.regression.nodes import measure


def least_squares(x, y, support):
    return float(np.sum((y - x[:, support] @ np.linalg.lstsq(x[:, support], y, rcond=None)[0]) ** 2))


@pytest.mark.parametrize("seed", range(30))
def test_a_budget_of_all_columns_takes_each_of_them_once(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(13, 5)), rng.normal(size=13)
    found = best_subset(x, y, 5, seconds=5)
    assert found.num_terms == 5
    np.testing.assert_allclose(found.coefficients, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-9)
    wide = rng.normal(size=(100, 60))
    assert best_subset(wide, wide[:, 0] - wide[:, 1] + rng.normal(size=100), 60).num_terms == 60


@pytest.mark.parametrize("seed", [13, 27, 64, 81])
def test_of_equal_columns_one_is_chosen_and_the_proof_is_right(seed):
    rng = np.random.default_rng(seed)
    num, columns = int(rng.integers(8, 60)), int(rng.integers(4, 9))
    terms = min(int(rng.integers(2, columns - 1)), num)
    x = rng.normal(size=(num, columns))
    x[:, 1] = x[:, 0]
    y = 3 * x[:, 0] + x[:, 2] + rng.normal(size=num)
    found = best_subset(x, y, terms, seconds=5)
    assert not found.support[:2].all()
    best = min(least_squares(x, y, list(some)) for some in itertools.combinations(range(columns), terms))
    assert found.certificate[0].verdict == "optimal"
    assert found.residual.item() == pytest.approx(best)


@pytest.mark.parametrize("seconds", [0, 5])
@pytest.mark.parametrize("seed", range(5))
def test_a_fixed_column_that_carries_nothing_counts_but_does_not_disturb(seed, seconds):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 5))
    x[:, 1] = 0
    y = 5 * x[:, 0] + 3 * x[:, 3] + 0.1 * rng.normal(size=30)
    found = best_subset(x, y, 3, always=[1], seconds=seconds)
    assert found.support.tolist() == [True, True, False, True, False]
    assert found.residual.item() == pytest.approx(least_squares(x, y, [0, 3]))
    assert found.coefficients[1] == 0
    x[:, 1] = 2.0
    model = SparseRegression(terms=3, always=[1], seconds=seconds).fit(x, y)
    assert model.support_.tolist() == [True, True, False, True, False]
    assert model.coef_[1] == 0


def test_fixed_columns_that_are_equal_count_once_in_the_fit_and_twice_in_the_budget():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5))
    x[:, 4] = -x[:, 0]
    y = 5 * x[:, 0] + 3 * x[:, 3] + 0.1 * rng.normal(size=30)
    found = best_subset(x, y, 3, always=[0, 4], seconds=5)
    assert found.support.tolist() == [True, False, False, True, True]
    assert found.residual.item() == pytest.approx(least_squares(x, y, [0, 3]))
    torch.testing.assert_close(found.coefficients[0], -found.coefficients[4])


def test_a_fit_treats_a_column_without_a_direction_of_its_own_as_an_empty_slot():
    rng = np.random.default_rng(0)
    root = torch.from_numpy(rng.normal(size=(1, 8, 6)))
    root[..., 1] = 0
    root[..., 3] = root[..., 0] + root[..., 2]
    root = root / root.norm(dim=-2, keepdim=True).clamp_min(1e-300)
    target = torch.from_numpy(rng.normal(size=(1, 1, 8, 1)))
    fits = evaluate(root, target, torch.tensor([[[0, 1, 2, 3, 5, 6]]]))
    plain = evaluate(root, target, torch.tensor([[[0, 2, 5]]]))
    assert fits.supports.tolist() == [[[0, 2, 5, 3, 1, 6]]]
    assert fits.is_idle.tolist() == [[[False, False, False, True, True, False]]]
    torch.testing.assert_close(fits.loss, plain.loss)
    torch.testing.assert_close(fits.weights[..., :3, :], plain.weights)
    assert (fits.weights[..., 3:, :] == 0).all()
    assert fits.variance[0, 0, 4].item() == pytest.approx(plain.variance[0, 0, 4].item())


@pytest.mark.parametrize("seed", range(20))
def test_bounds_hold_where_columns_depend_on_each_other(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9, 6))
    x[:, 1], x[:, 3] = x[:, 0] + x[:, 5], 0.0
    x[:, 4] = x[:, 2]
    root = torch.from_numpy(x / np.maximum(np.linalg.norm(x, axis=0), 1e-300))
    target = torch.from_numpy(x @ rng.normal(size=6) + 0.1 * rng.normal(size=9))[:, None]
    present = torch.ones(1, 6, dtype=torch.bool)
    found = measure(root, target, present, torch.arange(6)[:, None])
    for column in range(6):
        left = least_squares(root.numpy(), target[:, 0].numpy(), [j for j in range(6) if j != column])
        assert found.loss[0] + found.drops[0, column] <= left * (1 + 1e-9)
    joined = measure(root, target, present[:, :3], torch.tensor([[0, 1, 5], [2, 6, 6], [3, 4, 6]]))
    for row, rest in enumerate(([2, 3, 4], [0, 1, 3, 4, 5], [0, 1, 2, 5])):
        assert joined.loss[0] + joined.drops[0, row] <= least_squares(root.numpy(), target[:, 0].numpy(), rest) * (
            1 + 1e-9
        )


def test_groups_of_single_columns_say_nothing():
    assert members_of([[4], [0]], 5).equal(members_of(None, 5))
    rng = np.random.default_rng(1137)
    x = rng.normal(size=(34, 6))
    y = x @ rng.normal(size=6) + rng.normal(size=34)
    plain = best_subset(x, y, 3, seconds=5)
    assert best_subset(x, y, 3, groups=[[4], [0]], seconds=5).support.equal(plain.support)


def test_complex_numbers_are_refused_by_their_name():
    with pytest.raises(TypeError, match="features must hold real numbers, got complex128"):
        best_subset(np.eye(4) * 1j, np.ones(4), 1)
