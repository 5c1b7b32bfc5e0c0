"""Best subsets against brute force, and against what they must not depend on."""

import itertools

import numpy as np
import pytest
import torch

from ellzero.dictionary import Gram, best_subset
from ellzero.dictionary.regression.fits import evaluate, swap_gains


def data(seed, num=40, columns=9, targets=1, correlation=0.8):
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(num, 1, generator=generator, dtype=torch.float64)
    x = torch.randn(num, columns, generator=generator, dtype=torch.float64) * (1 - correlation) + correlation * common
    noise = torch.randn(num, targets, generator=generator, dtype=torch.float64)
    weights = torch.randn(columns, targets, generator=generator, dtype=torch.float64)
    return x, x @ weights + 0.5 * noise


def residual(x, y, support):
    chosen = x[:, list(support)]
    return float((y - chosen @ torch.linalg.lstsq(chosen, y).solution).square().sum())


def brute_force(x, y, terms, allowed=lambda support: True):
    supports = itertools.chain(*(itertools.combinations(range(x.shape[1]), k) for k in range(1, terms + 1)))
    return min((residual(x, y, support), support) for support in supports if allowed(support))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("terms", [1, 2, 4])
def test_the_best_subset_is_the_one_that_brute_force_finds(seed, terms):
    x, y = data(seed)
    least, support = brute_force(x, y, terms)
    found = best_subset(x, y, terms, starts=8)
    assert tuple(found.support[0].nonzero().flatten().tolist()) == support
    assert found.residual.item() == pytest.approx(least, rel=1e-10)


def test_coefficients_and_intercept_are_least_squares_on_the_support():
    x, y = data(0)
    found = best_subset(x + 3.0, y + 5.0, 3, intercept=True)
    chosen = torch.cat([torch.ones(len(x), 1).double(), x[:, found.support[0]] + 3.0], 1)
    expected = torch.linalg.lstsq(chosen, y + 5.0).solution.squeeze()
    torch.testing.assert_close(found.intercept[0], expected[0])
    torch.testing.assert_close(found.coefficients[0][found.support[0]], expected[1:])
    assert found.residual.item() == pytest.approx(float((y + 5.0 - chosen @ expected[:, None]).square().sum()))


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("targets", [1, 3])
def test_the_gain_of_a_swap_is_what_refitting_gives(ridge, targets):
    x, y = data(1, targets=targets)
    gram = Gram.of(x, y)
    root, target = gram.root[None], gram.target[None, None]
    before = evaluate(root, target, torch.tensor([[[1, 4, 6]]]), ridge=ridge)
    gains = swap_gains(before)[0, 0]
    for slot, column in itertools.product(range(3), (0, 2, 8)):
        swapped = [[[1, 4, 6][other] if other != slot else column for other in range(3)]]
        after = evaluate(root, target, torch.tensor([swapped]), ridge=ridge)
        assert gains[slot, column].item() == pytest.approx((before.loss - after.loss).item(), abs=1e-10)


def test_targets_have_supports_of_their_own_unless_they_share_one():
    x, y = data(2, targets=3)
    apart = best_subset(x, y, [1, 2, 3], starts=4)
    for index in range(3):
        least, support = brute_force(x, y[:, index : index + 1], index + 1)
        assert tuple(apart.support[index].nonzero().flatten().tolist()) == support
        assert apart.residual[index].item() == pytest.approx(least, rel=1e-10)
    together = best_subset(x, y, 3, outputs="shared", starts=4)
    least, support = brute_force(x, y, 3)
    assert [tuple(row.nonzero().flatten().tolist()) for row in together.support] == [support] * 3
    assert together.residual.sum().item() == pytest.approx(least, rel=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_costs_are_kept_to_and_no_exchange_within_them_helps(seed):
    x, y = data(seed, columns=8)
    costs = torch.tensor([1.0, 2.0, 3.0, 1.5, 2.5, 1.0, 4.0, 2.0])
    found = best_subset(x, y, 6, costs=costs)
    support = set(found.support[0].nonzero().flatten().tolist())
    assert sum(costs[list(support)]) <= 6
    free = set(range(8)) - support
    others = [support | {new} for new in free] + [support - {old} | {new} for old in support for new in free]
    affordable = [other for other in others if sum(costs[list(other)]) <= 6]
    assert all(residual(x, y, other) >= found.residual.item() * (1 - 1e-8) for other in affordable)


@pytest.mark.parametrize("seed", range(4))
def test_terms_that_are_always_in_stay_in_and_count(seed):
    x, y = data(seed)
    least, support = brute_force(x, y, 3, lambda support: 0 in support and 5 in support)
    found = best_subset(x, y, 3, always=[0, -4], starts=4)
    assert tuple(found.support[0].nonzero().flatten().tolist()) == support
    assert found.residual.item() == pytest.approx(least, rel=1e-10)


def test_a_batch_gives_what_each_system_gives_alone():
    pairs = [data(seed, targets=2) for seed in range(5)]
    x, y = (torch.stack(part) for part in zip(*pairs, strict=True))
    found = best_subset(x, y, 3, intercept=True)
    assert found.coefficients.shape == (5, 2, 9)
    for index, (one_x, one_y) in enumerate(pairs):
        alone = best_subset(one_x, one_y, 3, intercept=True)
        torch.testing.assert_close(found.coefficients[index], alone.coefficients)
        torch.testing.assert_close(found.intercept[index], alone.intercept)
        torch.testing.assert_close(found.residual[index], alone.residual)


@pytest.mark.parametrize("columns", [9, 60])  # factorised, and kept as rows
def test_weights_count_samples(columns):
    x, y = data(3, columns=columns)
    counts = torch.arange(40) % 3
    weighted = best_subset(x, y, 3, weights=counts, intercept=True)
    repeated = best_subset(x.repeat_interleave(counts, 0), y.repeat_interleave(counts, 0), 3, intercept=True)
    torch.testing.assert_close(weighted.coefficients, repeated.coefficients)
    torch.testing.assert_close(weighted.residual, repeated.residual)


def test_scales_of_columns_change_units_only():
    x, y = data(4)
    scale = torch.logspace(-150, 150, 9, dtype=torch.float64)
    found, plain = best_subset(x * scale, y * 1e130, 3), best_subset(x, y, 3)
    assert found.support.equal(plain.support)
    torch.testing.assert_close(found.coefficients * scale / 1e130, plain.coefficients)


def test_nearly_dependent_columns_keep_their_digits():
    x, _ = data(5, num=200)
    x[:, 1] = x[:, 0] + 1e-7 * x[:, 1]
    y = 1e7 * (x[:, 1] - x[:, 0]) + x[:, 2]
    found = best_subset(x, y, 3, starts=4)
    assert found.support.nonzero().flatten().tolist() == [0, 1, 2]
    torch.testing.assert_close(found.coefficients[:3], torch.tensor([-1e7, 1e7, 1.0]).double(), rtol=1e-6, atol=0)


def test_equal_and_empty_columns_are_never_chosen_beside_what_they_repeat():
    x, _ = data(6)
    x[:, 3], x[:, 4], x[:, 5] = x[:, 0], 0.0, 2.0
    found = best_subset(x, x[:, 0] + 1e-3 * x[:, 1], 6, intercept=True)
    chosen = found.support.nonzero().flatten().tolist()
    assert not {0, 3} <= set(chosen)
    assert not {4, 5} & set(chosen)


def test_products_give_what_the_data_give():
    x, y = data(7)
    gram = Gram.from_products(x.T @ x, x.T @ y, y.square().sum(0), num_samples=40)
    found, plain = best_subset(gram, terms=3), best_subset(x, y, 3)
    torch.testing.assert_close(found.coefficients, plain.coefficients)
    torch.testing.assert_close(found.residual, plain.residual)


@pytest.mark.parametrize("depth", [1, 2])
def test_neither_growth_nor_exchanges_are_misled_by_a_ridge(depth):
    x, y = data(8, columns=12)
    gram = Gram.of(x, y)
    loss = {}
    for support in itertools.combinations(range(12), 3):
        loss[support] = float(
            evaluate(gram.root[None], gram.target[None, None], torch.tensor([[support]]), ridge=0.5).loss
        )
    found = best_subset(gram, terms=3, ridge=0.5, starts=6, depth=depth)
    assert tuple(found.support[0].nonzero().flatten().tolist()) == min(loss, key=loss.get)


@pytest.mark.parametrize("outputs", ["separate", "shared", "total"])
@pytest.mark.parametrize(
    "effort", [{}, {"gates": 1}, {"seconds": 1.0}, {"groups": [[0, 1], [4, 5]]}, {"costs": range(1, 7)}]
)
def test_a_budget_of_nothing_leaves_the_intercept(outputs, effort):
    x, y = np.random.default_rng(0).normal(size=(40, 6)), np.random.default_rng(1).normal([3, -1], size=(40, 2))
    found = best_subset(x, y, 0, intercept=True, outputs=outputs, **effort)
    assert not found.support.any()
    assert not found.coefficients.any()
    np.testing.assert_allclose(found.intercept, y.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.residual, ((y - y.mean(0)) ** 2).sum(0), rtol=1e-12)


@pytest.mark.parametrize("effort", [{}, {"gates": 1}, {"seconds": 1.0}])
def test_one_target_may_have_no_term_beside_another_that_has(effort):
    x = np.random.default_rng(0).normal(size=(40, 6))
    found = best_subset(x, np.stack([x[:, 2], 2 * x[:, 3]], 1), [0, 1], **effort)
    assert found.coefficients.round(decimals=9).tolist() == [[0.0] * 6, [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]]


def test_an_intercept_is_true_or_false():
    with pytest.raises(TypeError, match="intercept must be True or False, got 'no'"):
        best_subset(np.eye(4), np.ones(4), 1, intercept="no")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": 10}, "larger than the dictionary"),
        ({"terms": -1}, "0 or more"),
        ({"terms": 0, "always": [1]}, "the columns of always cost 1, the budget is 0"),
        ({"terms": 0.5, "costs": [1.0] * 9}, "does not hold the cheapest column"),
        ({"terms": None}, "missing"),
        ({"terms": [1, 2]}, "0 or more, or one for each of 1 supports"),
        ({"terms": 2, "always": [0, 1, 2]}, "raise it or drop"),
        ({"terms": 2, "always": [9]}, "names column 9"),
        ({"terms": 2, "costs": [1.0] * 8 + [0.0]}, "costs must be 9 positive"),
        ({"terms": 1, "costs": [2.0] * 9}, "cheapest"),
        ({"terms": 2, "outputs": "both"}, "'separate', 'shared' or 'total'"),
        ({"terms": 2, "ridge": -1.0}, "ridge"),
        ({"terms": 2.7}, "counts terms and must be whole"),
        ({"terms": 2, "depth": 0}, "depth must be 1 to 2, got 0"),
        ({"terms": 2, "depth": 7}, "depth must be 1 to 2, got 7; try depth=2"),
        ({"terms": 2, "starts": 0}, "starts must be 1 or more"),
        ({"terms": 2, "gates": -1}, "gates must be 0 or more"),
        ({"terms": 2, "seconds": -1}, "seconds must not be negative"),
        ({"terms": 19, "outputs": "total"}, "larger than the dictionary"),
        ({"terms": 2, "weights": [-1.0] * 40}, "not negative"),
        ({"terms": 2, "weights": [1.0] * 39}, "one weight per sample"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    x, y = data(0)
    with pytest.raises(ValueError, match=message):
        best_subset(x, y, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": True}, "terms must be a number, got True"),
        ({"terms": "a"}, "terms must hold real numbers"),
        ({"terms": 2, "always": [0.9]}, "name columns by whole numbers, got 0.9"),
        ({"terms": 2, "always": ["a"]}, "name columns by whole numbers, got 'a'"),
        ({"terms": 2, "groups": [[0.5]]}, "name columns by whole numbers, got 0.5"),
        ({"terms": 2, "starts": 2.0}, "starts must be a whole number"),
    ],
)
def test_what_is_no_whole_number_is_refused(options, message):
    x, y = data(0)
    with pytest.raises(TypeError, match=message):
        best_subset(x, y, **options)


def test_advice_names_arguments_that_the_called_function_has():
    x, y = data(0, targets=2)
    with pytest.raises(ValueError, match="columns of always cost 2, the budget is 1; raise it or drop some"):
        best_subset(x, y, 1, outputs="total", always=[0])


def test_numbers_beyond_the_range_are_named():
    x, y = data(0)
    with pytest.raises(ValueError, match=r"the coefficient of column . is beyond the range of float64"):
        best_subset(x * 1e-200, y * 1e120, 2)
    for factor in (1e200, 1e-200):
        with pytest.raises(ValueError, match="squares of the targets in column 0 are beyond the range"):
            best_subset(x, y * factor, 2)


def test_samples_fewer_than_terms_are_refused():
    x, y = data(0, num=4)
    with pytest.raises(ValueError, match="4 terms and an intercept cannot be determined from 4 samples"):
        best_subset(x, y, 4, intercept=True)
    assert best_subset(x, y, 3, intercept=True).residual.isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_with_their_column(value):
    x, y = data(0)
    x[3, 7] = value
    with pytest.raises(ValueError, match=r"features contain NaN or infinity in column \[7\]"):
        best_subset(x, y, 2)
    x[3, 7], y[0, 0] = 0.0, value
    with pytest.raises(ValueError, match=r"targets contain NaN or infinity in column \[0\]"):
        best_subset(x, y, 2)


def test_many_samples_are_factorised_chunk_by_chunk():
    x, _ = data(0, num=70_000, columns=3)
    y = (x[:, 0] - 2 * x[:, 2] + 0.1 * torch.linspace(-1, 1, 70_000).double().sin()).unsqueeze(1)
    found = best_subset(x + 100.0, y, 2, intercept=True)
    chosen = torch.cat([torch.ones(70_000, 1).double(), x[:, [0, 2]] + 100.0], 1)
    torch.testing.assert_close(found.coefficients[0][[0, 2]], torch.linalg.lstsq(chosen, y).solution[1:, 0])
    assert found.residual.item() == pytest.approx(residual(chosen, y, range(3)), rel=1e-6)


def test_integers_lists_and_single_precision_are_taken():
    x, y = data(0)
    plain = best_subset(x.float().double(), y.float().double(), 2)
    torch.testing.assert_close(best_subset(x.float(), y.float(), 2).coefficients, plain.coefficients)
    assert best_subset([[1, 0], [0, 1], [1, 1]], [2, 0, 2], 1).coefficients.tolist() == pytest.approx([2.0, 0.0])
    with pytest.raises(TypeError, match="real numbers"):
        best_subset(x.to(torch.complex128), y, 2)
    with pytest.raises(TypeError, match="real numbers"):
        best_subset(x.numpy() + 0j, y, 2)
    with pytest.raises(TypeError, match="features must hold real numbers, got list"):
        best_subset([["a"]], [1.0], 1)
    with pytest.raises(ValueError, match="do not fit; expected"):
        best_subset(x, y[:5], 2)
    with pytest.raises(ValueError, match="targets are missing"):
        best_subset(x, terms=2)
    with pytest.raises(ValueError, match="holds targets, weights and intercept already"):
        best_subset(Gram.of(x, y), y, 2)


@pytest.mark.parametrize("seed", [10, 17, 25])
def test_equal_columns_do_not_spoil_a_proof(seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(30, 2)) @ generator.normal(size=(2, 8)) + 0.05 * generator.normal(size=(30, 8))
    targets = features @ generator.normal(size=8) + generator.normal(size=30)
    features[:, 3] = features[:, 2]
    proven = best_subset(features, targets, 3, seconds=10)
    residuals = [
        np.square(targets - columns @ np.linalg.lstsq(columns, targets, rcond=None)[0]).sum()
        for columns in (features[:, list(chosen)] for chosen in itertools.combinations(range(8), 3))
    ]
    assert float(proven.residual) == pytest.approx(min(residuals))
