"""Branch and bound against brute force: proofs, gaps, costs and groups."""

import itertools

import pytest
import torch

from ellzero.dictionary import best_subset
from ellzero.dictionary.regression.bounds import Proof, prove


def data(seed, num=40, columns=9, targets=1, correlation=0.8):
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(num, 1, generator=generator, dtype=torch.float64)
    x = torch.randn(num, columns, generator=generator, dtype=torch.float64) * (1 - correlation) + correlation * common
    noise = torch.randn(num, targets, generator=generator, dtype=torch.float64)
    weights = torch.randn(columns, targets, generator=generator, dtype=torch.float64)
    return x, x @ weights + 0.5 * noise


def residual(x, y, support):
    chosen = x[:, sorted(support)]
    return float((y - chosen @ torch.linalg.lstsq(chosen, y, driver="gelsd").solution).square().sum())


def brute_force(x, y, units, is_allowed):
    chosen = itertools.chain(*(itertools.combinations(units, k) for k in range(1, len(units) + 1)))
    supports = [sorted(itertools.chain(*some)) for some in chosen]
    return min((residual(x, y, support), support) for support in supports if is_allowed(support))


def of(found):
    return found.support[0].nonzero().flatten().tolist()


@pytest.mark.parametrize("seed", range(6))
def test_a_proof_holds_under_brute_force(seed):
    x, y = data(seed)
    least, support = brute_force(x, y, [[j] for j in range(9)], lambda support: len(support) <= 4)
    found = best_subset(x, y, 4, seconds=60)
    assert of(found) == support
    assert found.certificate[0].verdict == "optimal"
    assert found.certificate[0].bound == pytest.approx(least, rel=1e-8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("targets", [1, 2])
def test_a_proof_started_from_a_bad_support_finds_the_best_one(seed, targets):
    x, y = data(seed, targets=targets)
    x = x / x.norm(dim=0)
    worst = torch.arange(9) >= 6
    proof = Proof(x, y, torch.arange(9)[:, None], torch.ones(9).double(), 3.0, residual(x, y, [6, 7, 8]), worst)
    known = prove(proof, torch.zeros(9, dtype=torch.bool), 60.0)
    least, support = brute_force(x, y, [[j] for j in range(9)], lambda support: len(support) <= 3)
    assert known.verdict == "optimal"
    assert proof.chosen.nonzero().flatten().tolist() == support
    assert proof.loss == pytest.approx(least, rel=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_costs_are_proven_too(seed):
    x, y = data(seed, columns=8)
    costs = torch.tensor([1.0, 2.0, 3.0, 1.5, 2.5, 1.0, 4.0, 2.0])
    least, support = brute_force(x, y, [[j] for j in range(8)], lambda support: sum(costs[support]) <= 6)
    found = best_subset(x, y, 6, costs=costs, seconds=60)
    assert of(found) == support
    assert found.residual.item() == pytest.approx(least, rel=1e-8)
    assert found.certificate[0].verdict == "optimal"


@pytest.mark.parametrize("seed", range(6))
def test_groups_are_chosen_together_or_not_at_all(seed):
    x, y = data(seed)
    units = [[0, 3, 5], [1, 2], [8, 7], [4], [6]]
    least, support = brute_force(x, y, units, lambda support: len(support) <= 5)
    found = best_subset(x, y, 5, groups=units[:3], seconds=60)
    assert of(found) == support
    assert found.residual.item() == pytest.approx(least, rel=1e-8)
    assert found.certificate[0].verdict == "optimal"
    assert all(set(unit) <= set(of(found)) or not set(unit) & set(of(found)) for unit in units)
    assert best_subset(x, y, 5, groups=units[:3]).residual.item() >= least * (1 - 1e-9)


def test_a_group_comes_with_the_column_that_is_always_in():
    x, y = data(0)
    assert {0, 3, 5} <= set(of(best_subset(x, y, 4, groups=[[0, 3, 5]], always=[3])))
    with pytest.raises(ValueError, match="groups of always cost 3"):
        best_subset(x, y, 2, groups=[[0, 3, 5]], always=[3])


def test_groups_of_dependent_columns_get_the_shortest_coefficients():
    x, _ = data(1)
    x[:, 2] = x[:, 0] + x[:, 1]
    found = best_subset(x, x[:, :1] + 2 * x[:, 1:2], 3, groups=[[0, 1, 2]], seconds=10)
    assert of(found) == [0, 1, 2]
    assert found.residual.item() == pytest.approx(0, abs=1e-20)
    torch.testing.assert_close(x[:, :3] @ found.coefficients[0][:3], x[:, 0] + 2 * x[:, 1])


def test_a_proof_with_a_ridge_is_about_the_sum_with_the_ridge():
    x, y = data(2)
    unit = torch.cat([x / x.norm(dim=0), 0.3**0.5 * torch.eye(9)])
    padded = torch.cat([y, torch.zeros(9, 1)])
    _, support = brute_force(unit, padded, [[j] for j in range(9)], lambda support: len(support) <= 3)
    found = best_subset(x, y, 3, ridge=0.3, seconds=60)
    assert of(found) == support
    assert found.certificate[0].verdict == "optimal"


def test_duplicated_columns_do_not_stop_a_proof():
    x, y = data(3, columns=8)
    x = torch.cat([x, x[:, :3]], 1)
    found = best_subset(x, y, 3, seconds=60)
    assert found.certificate[0].verdict == "optimal"
    assert found.residual.item() == pytest.approx(best_subset(x[:, :8], y, 3, seconds=60).residual.item(), rel=1e-8)


def test_without_time_there_is_a_gap_that_the_best_support_lies_in():
    x, y = data(4, num=120, columns=40, correlation=0.9)
    hurried = best_subset(x, y, 8, seconds=1e-9)
    known = hurried.certificate[0]
    assert known.verdict == "gap"
    proven = best_subset(x, y, 8, seconds=120)
    assert proven.certificate[0].verdict == "optimal"
    assert known.bound <= proven.residual.item() <= hurried.residual.item() * (1 + 1e-9)
    assert known.gap == pytest.approx(1 - known.bound / hurried.residual.item())
    assert "within" in str(known)
    assert "no support within the budget" in str(proven.certificate[0])


def test_every_support_of_a_batch_has_its_certificate():
    pairs = [data(seed, targets=2) for seed in range(3)]
    x, y = (torch.stack(part) for part in zip(*pairs, strict=True))
    found = best_subset(x, y, 3, seconds=60)
    assert [known.verdict for known in found.certificate] == ["optimal"] * 6
    for index, (one_x, one_y) in enumerate(pairs):
        assert found.support[index].equal(best_subset(one_x, one_y, 3, seconds=60).support)
    shared = best_subset(x, y, 3, outputs="shared", seconds=60)
    assert len(shared.certificate) == 3
    assert shared.certificate[1].bound == pytest.approx(shared.residual[1].sum().item(), rel=1e-8)


@pytest.mark.parametrize("groups", [[[0, 1], [1, 2]], [[0, 9]], [[]]])
def test_wrong_groups_are_refused(groups):
    x, y = data(0)
    with pytest.raises(ValueError, match="none twice"):
        best_subset(x, y, 3, groups=groups)


def test_a_proof_over_a_thousand_columns_is_refused():
    x, y = data(0, columns=300)
    with pytest.raises(ValueError, match="out of reach for 300 columns"):
        best_subset(x, y, 3, seconds=1)
