"""The search for a support, and the least squares problem that it stands on."""

import itertools

import numpy as np
import pytest
import torch

from ellzero.dictionary.dynamics.coupled import Limit, search_support
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.thinning import independent, thinned


def quadratic(size=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(rng.normal(size=(40, size)))
    truth = torch.tensor([3.0, 0, -2, 0, 0, 1.0], dtype=torch.float64)
    target = rows @ truth + 0.1 * torch.from_numpy(rng.normal(size=40))
    return Evidence.from_rows(rows / 0.1, target / 0.1)


@pytest.mark.parametrize("start", [[], [1, 3, 4], [0, 1, 2, 3, 4, 5]])
def test_the_search_finds_the_support_from_any_start(start):
    found = search_support(quadratic(), torch.tensor(start, dtype=torch.long), penalty=10.0)
    assert found.tolist() == [0, 2, 5]


def test_a_limit_in_total_and_one_for_each_equation_are_used_up():
    start = torch.zeros(0, dtype=torch.long)
    assert search_support(quadratic(), start, penalty=10.0, limit=Limit(total=2)).tolist() == [0, 2]
    each = search_support(quadratic(), start, penalty=10.0, num_equations=2, limit=Limit(each=(1, 1)))
    assert each.tolist() == [0, 5]


def test_refitting_agrees_with_least_squares_and_keeps_zeros():
    found = quadratic().refit(torch.tensor([0, 5]))
    expected = torch.linalg.lstsq(quadratic().columns[:, [0, 5]], quadratic().right).solution
    assert torch.allclose(found[[0, 5]], expected)
    assert not found[[1, 2, 3, 4]].any()


def far_away(offset, noise=1e-6):
    """Powers of a number that varies by one around an offset; the target holds the first and the third."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(offset + rng.uniform(-1, 1, 400))
    rows = torch.stack([x**power for power in range(4)], 1)
    return Evidence.from_rows(rows / noise, (rows[:, 1] - rows[:, 3] / offset**2) / noise)


@pytest.mark.parametrize("offset", [1.0, 30.0, 1000.0])
def test_powers_of_a_number_far_from_zero_are_told_apart(offset):
    found = search_support(far_away(offset), torch.zeros(0, dtype=torch.long), penalty=10.0)
    assert found.tolist() == [1, 3]
    assert torch.allclose(
        far_away(offset).refit(found)[[1, 3]], torch.tensor([1.0, -1 / offset**2], dtype=torch.float64), rtol=1e-6
    )


def test_standard_errors_do_not_depend_on_the_scale_of_terms():
    rows = quadratic().columns
    scale = torch.tensor([1e9, 1, 1e-9, 1, 1, 1], dtype=torch.float64)
    support = torch.tensor([0, 2, 5])
    plain = Evidence.from_rows(rows, quadratic().right).standard_errors(support)
    scaled = Evidence.from_rows(rows * scale, quadratic().right).standard_errors(support)
    assert torch.allclose(scaled * scale, plain, rtol=1e-9)
    gram = rows[:, support].T @ rows[:, support]
    assert torch.allclose(plain[support].square(), torch.linalg.inv(gram).diagonal())


def test_backward_elimination_gives_up_what_brute_force_gives_up():
    evidence = quadratic(seed=3)
    unit = evidence.columns / evidence.columns.norm(dim=0)

    def explained(support):
        return float((torch.linalg.qr(unit[:, list(support)])[0].T @ evidence.aim).square().sum())

    left = list(range(6))
    for size in (5, 4, 3, 2):

        def at_risk(terms, size=size):
            return list(range(len(terms))) if len(terms) > size else []

        left = list(max(itertools.combinations(left, size), key=explained))
        assert thinned(unit, evidence.aim, torch.arange(6), at_risk=at_risk, below=np.inf).tolist() == left


def test_columns_that_depend_on_others_are_left_out():
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.normal(size=(9, 3)))
    table = torch.cat([table[:, :2], table[:, :1] - table[:, 1:2], table[:, 2:]], 1)
    assert independent(table / table.norm(dim=0), 1e-18).tolist() == [0, 1, 3]
    assert independent(torch.eye(2, dtype=torch.float64)[:, [0, 1, 0]], 1e-18).tolist() == [0, 1]


def test_equal_columns_do_not_disturb_the_search():
    evidence = quadratic()
    twice = Evidence.from_rows(evidence.columns[:, [0, 0, 1, 2, 2, 5]], evidence.right)
    found = search_support(twice, torch.zeros(0, dtype=torch.long), penalty=10.0)
    assert len(found) == 3
    assert torch.isfinite(twice.refit(found)).all()
    assert twice.chi_square(twice.refit(found)) == pytest.approx(
        evidence.chi_square(evidence.refit(torch.tensor([0, 2, 5])))
    )
