"""Single-precision features: what depends up to rounding counts as dependent, what does not is told apart."""

import numpy as np
import pytest
import torch

from ellzero.dictionary import Gram, best_subset, bootstrap, polish, polynomial, subset_path
from ellzero.dictionary.equations.sparse import SparseDictionary
from ellzero.dictionary.regression.estimator import SparseRegression
from ellzero.dictionary.regression.rounding import rounding_of, without_rounding


def squares(seed: int, dtype=np.float32):
    """c^2, s^2, c, z and 100 + z, of which two are superfluous beside an intercept; a target of c and z."""
    rng = np.random.default_rng(seed)
    angle, z = rng.uniform(0, 6.28, 200), rng.normal(size=200)
    c, s, z = (part.astype(dtype) for part in (np.cos(angle), np.sin(angle), z))
    return np.stack([c * c, s * s, c, z, dtype(100) + z], 1), (c + 0.5 * z + 0.1 * rng.normal(size=200)).astype(dtype)


def search(x, y, **options):
    return best_subset(x, y, 5, intercept=True, **options).coefficients.numpy()


def estimator(x, y):
    return SparseRegression(terms=5).fit(x, y).coef_


def tensors(x, y):
    return search(torch.from_numpy(x), torch.from_numpy(y))


def weighted(x, y):
    return search(x, y, weights=np.random.default_rng(0).uniform(0.5, 2, len(x)))


def grouped(x, y):
    return search(x, y, groups=[[0, 1], [3, 4]])


def proven(x, y):
    return search(x, y, seconds=2.0)


def resampled(x, y):
    return np.abs(bootstrap(x, y, 5, num=20, intercept=True).coefficients.numpy()).max(0)


WAYS = [search, estimator, tensors, weighted, grouped, proven, resampled]


@pytest.mark.filterwarnings("ignore:column . equals column")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_rounding_earns_no_coefficients_that_cancel(way, seed):
    assert np.abs(way(*squares(seed))).max() < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_of_columns_that_depend_up_to_rounding_only_independent_ones_stay(seed):
    x, y = squares(seed)
    assert best_subset(x, y, 5, intercept=True).num_terms == 3
    assert int(subset_path(x, y, intercept=True).num_terms("ebic")) == 2


@pytest.mark.parametrize("angle", [3e-5, 1e-3])
def test_columns_that_differ_by_more_than_rounding_are_told_apart(angle):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 400))
    x = np.stack([one, one + angle * other], 1).astype(np.float32)
    y = (x.astype(np.float64) @ [3.0, -2.0]) + 1e-9 * rng.normal(size=400)
    np.testing.assert_allclose(best_subset(x, y, 2).coefficients, [3.0, -2.0], rtol=1e-3)


def test_powers_in_single_precision_are_what_they_are_in_double():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, 500).astype(np.float32)
    x = np.stack([z**k for k in range(1, 9)], 1)
    y = x[:, 1].astype(np.float64) - 0.5 * x[:, 6] + 0.01 * rng.normal(size=500)
    single, double = (best_subset(x.astype(kind), y, 8, intercept=True) for kind in (np.float32, np.float64))
    assert without_rounding(torch.from_numpy(x).double(), rounding_of(x), None, intercept=True).equal(
        torch.from_numpy(x).double()
    )
    assert single.coefficients.equal(double.coefficients)


def test_a_column_far_from_zero_keeps_what_it_has():
    z = np.random.default_rng(0).normal(size=300)
    x = np.stack([z, np.random.default_rng(1).normal(size=300) + 3e6], 1).astype(np.float32)
    y = (x[:, 1].astype(np.float64) - 3e6) * 2
    np.testing.assert_allclose(best_subset(x, y, 1, intercept=True).coefficients, [0.0, 2.0], rtol=1e-9)


@pytest.mark.parametrize("columns", [120, 200])
def test_where_columns_outnumber_samples_the_shortest_solution_is_taken(columns):
    x = np.random.default_rng(0).normal(size=(100, columns)).astype(np.float32)
    x[:, 1] = np.float32(1.7) * x[:, 0]
    y = x[:, 0] + np.random.default_rng(1).normal(size=100)
    found = best_subset(x, y, 2, always=[0, 1], intercept=True)
    assert np.abs(found.coefficients.numpy()).max() < 1.5


def test_double_precision_and_whole_numbers_are_taken_as_exact():
    assert rounding_of(np.zeros(2)) == rounding_of(np.zeros(2, dtype=int)) == rounding_of(torch.zeros(1).long()) == 0.0
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[:, 2] = x[:, 1] + 1e-7 * x[:, 0]
    assert without_rounding(x, 0.0, None, intercept=False) is x
    assert Gram.of(x, x[:, :1]).rounding == 0.0


def test_terms_of_single_precision_samples_are_polished_without_their_rounding():
    angle = 6.3 * torch.rand(500, generator=torch.Generator().manual_seed(0))
    x = torch.stack([angle.cos(), angle.sin()], -1)
    y = x[:, 1:] + 0.1 * torch.randn(500, 1, generator=torch.Generator().manual_seed(1))
    candidates = polynomial("c s", 2)
    found = polish(SparseDictionary(candidates.select(["s"]), 1), x, y, candidates, terms=6)
    assert float(found.coefficients.detach().abs().max()) < 1.5
