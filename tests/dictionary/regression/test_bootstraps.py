"""Bootstraps in one program against bootstraps one by one."""

import pytest
import torch

from ellzero.dictionary import best_subset, bootstrap, subset_path
from ellzero.dictionary.regression.bootstraps import drawn_sizes
from ellzero.dictionary.regression.resamples import draw


def data(num=120, columns=8, targets=2):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num, columns, generator=generator, dtype=torch.float64) + 3.0
    weights = torch.zeros(columns, targets, dtype=torch.float64)
    weights[1, 0], weights[4, 0], weights[5, -1] = 1.0, -0.3, 2.0
    return x, x @ weights + torch.randn(num, targets, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("num", [120, 15])  # factorised, and kept as rows
@pytest.mark.parametrize("intercept", [False, True])
def test_every_resample_gives_what_its_rows_give(num, intercept):
    x, y = data(num)
    found = bootstrap(x, y, 2, num=5, seed=3, intercept=intercept)
    for counts, coefficients, constant in zip(
        draw(num, 5, seed=3).long(), found.coefficients, found.intercept, strict=True
    ):
        alone = best_subset(x.repeat_interleave(counts, 0), y.repeat_interleave(counts, 0), 2, intercept=intercept)
        torch.testing.assert_close(coefficients, alone.coefficients)
        torch.testing.assert_close(constant, alone.intercept)


def test_a_criterion_on_the_data_draws_the_number_of_terms_of_every_resample():
    x, y = data()
    path = subset_path(x, y, max_terms=5)
    found = bootstrap(x, y, "bic", num=2000, max_terms=5)
    chances = torch.softmax(-path.criterion("bic") / 2, -1)
    for target in range(2):
        counts = found.support[:, target].sum(-1).bincount(minlength=6) / 2000
        torch.testing.assert_close(counts.double(), chances[target], atol=0.05, rtol=0)  # over four sigma
    sizes = drawn_sizes(path, "bic", 6)
    some = bootstrap(x, y, "bic", num=6, max_terms=5, depth=1)
    for counts, size, support in zip(draw(120, 6).long(), sizes, some.support, strict=True):
        alone = subset_path(x.repeat_interleave(counts, 0), y.repeat_interleave(counts, 0), max_terms=5)
        assert support.equal(alone.subset(size).support)


def test_the_knee_of_the_data_holds_for_all_resamples_and_a_total_is_shared_out():
    x, y = data()
    knee = bootstrap(x, y, "knee", num=3)
    assert (knee.support.sum(-1) == subset_path(x, y).knee()).all()
    for by in ("knee", "ebic", "ebicc", "aicc"):
        together = bootstrap(x, y, by, num=5, outputs="total")
        assert together.support[:, 0, 1].all()
        assert together.support[:, 1, 5].all()
    shared = bootstrap(x, y, "bic", num=5, outputs="shared")
    assert shared.support[:, 0].equal(shared.support[:, 1])


@pytest.mark.parametrize("num", [120, 15])
def test_weights_that_count_samples_are_drawn_as_these(num):
    x, y = data(num)
    counts = torch.arange(num) % 3
    found = bootstrap(x, y, 2, num=4, weights=counts, intercept=True)
    repeated = bootstrap(x.repeat_interleave(counts, 0), y.repeat_interleave(counts, 0), 2, num=4, intercept=True)
    torch.testing.assert_close(found.coefficients, repeated.coefficients)


def test_other_weights_are_brought_along():
    x, y = data()
    weights = torch.linspace(0, 2, 120).double()
    found = bootstrap(x, y, 2, num=3, weights=weights)
    drawn = draw(120, 3, weights=(weights > 0).double())
    assert draw(120, 3, weights=weights).equal(drawn * weights)
    for some, coefficients in zip(drawn, found.coefficients, strict=True):
        torch.testing.assert_close(best_subset(x, y, 2, weights=some * weights).coefficients, coefficients)
    with pytest.raises(ValueError, match="too many to draw"):
        draw(120, 10, weights=[1e9] * 120)


def test_costs_and_groups_are_kept_to_on_every_resample():
    x, y = data(targets=1)
    costs = torch.tensor([1.0, 2.0, 3.0, 1.0, 2.5, 1.0, 4.0, 2.0]).double()
    assert (bootstrap(x, y, 5, num=5, costs=costs).support.double() @ costs <= 5).all()
    support = bootstrap(x, y, 4, num=5, groups=[[1, 2], [5, 6, 7]]).support
    assert support[..., 1].equal(support[..., 2])
    with pytest.raises(ValueError, match="a criterion chooses numbers of terms only"):
        bootstrap(x, y, "bic", costs=costs)


def test_a_resample_of_few_different_samples_uses_less_of_the_budget():
    x, y = data(9)
    found = bootstrap(x, y, 8, num=50, intercept=True)
    assert found.coefficients.isfinite().all()
    assert (found.support.sum(-1) <= 8).all()


def test_counts_draw_every_sample_equally_often_and_blocks_together():
    counts = draw(50, 2000, seed=1)
    assert (counts.sum(-1) == 50).all()
    assert counts.mean(0).sub(1).abs().max() < 0.12  # five standard deviations
    assert counts.var().item() == pytest.approx(1 - 1 / 50, abs=0.02)
    blocks = draw(50, 200, block=10)
    assert (blocks.sum(-1) == 50).all()
    assert (blocks.diff(dim=-1) != 0).sum(-1).max() <= 10
    assert draw(50, 3, seed=4).equal(draw(50, 3, seed=4))
    assert not draw(50, 3, seed=4).equal(draw(50, 3, seed=5))


def test_probabilities_and_intervals_say_what_is_certain():
    x, y = data()
    found = bootstrap(x, y[:, 0], 2, num=200)
    assert found.inclusion_probability.shape == (8,)
    assert found.inclusion_probability.sum().item() == pytest.approx(2)
    assert found.inclusion_probability[1] > 0.99
    low, high = found.interval(0.9)
    assert low[1] < 1.0 < high[1]
    assert high[1] - low[1] == pytest.approx(2 * 1.645 / 120**0.5, rel=0.4)
    assert found.interval(0.5)[0][1] > low[1]


def test_columns_that_hardly_differ_keep_their_digits():
    x, _ = data(columns=6)
    x = x / x.norm(dim=0)
    x[:, 1] = x[:, 0] + 1e-6 * x[:, 1]
    y = (x[:, 1] - x[:, 0]) * 1e6
    found = bootstrap(x, y, 2, num=20)
    assert (found.support.sum(0)[:2] == 20).all()
    torch.testing.assert_close(found.coefficients[:, 1], torch.full((20,), 1e6).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "num must be 1 or more, got 0"),
        ({"block": 121}, "block must be 1 to 120, got 121"),
        ({"terms": "bicc"}, "did you mean"),
        ({"terms": 20}, "larger than the dictionary"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    x, y = data()
    with pytest.raises(ValueError, match=message):
        bootstrap(x, y, **({"terms": 2} | options))
    with pytest.raises(ValueError, match="between 0 and 1"):
        bootstrap(x, y, 2, num=2).interval(1.0)
    with pytest.raises(ValueError, match="do not fit"):
        bootstrap(x, y[:5], 2)
