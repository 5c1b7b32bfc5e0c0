"""The scikit-learn estimator: its own checks, what it reports, and what it refuses."""

import builtins
import importlib
import sys

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import check_estimator

from ellzero import dictionary
from ellzero.dictionary import SparseRegression
from ellzero.errors import MissingExtraError


def data(num=80, columns=10, targets=None):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(num, columns)) + generator.normal(size=(num, 1))
    clean = 2 * x[:, 1] - 3 * x[:, 4] + x[:, 7] + 5
    if targets:
        clean = np.stack([clean, *(shift * x[:, shift] for shift in range(2, targets + 1))], 1)
    return x, clean + 0.1 * generator.normal(size=clean.shape)


@pytest.mark.filterwarnings("ignore:a budget of .* is larger than the dictionary")  # the checks have few columns
@pytest.mark.parametrize(
    "options",
    [{}, {"terms": 1, "seconds": 1.0}, {"terms": 7}, {"num_bootstraps": 5}, {"outputs": "total"}, {"always": [0]}],
)
def test_scikit_learns_own_checks_pass(options):
    results = check_estimator(SparseRegression(**options), on_skip=None, on_fail=None)
    assert not [(one["check_name"], one["exception"]) for one in results if one["status"] == "failed"]
    assert sum(one["status"] == "passed" for one in results) >= 50


def test_the_one_check_that_fails_is_that_of_a_model_which_may_not_choose():
    reason = {"check_regressors_train": "the only term is given, and it explains less than half of the targets"}
    model = SparseRegression(terms=1, always=[0])
    results = check_estimator(model, on_skip=None, on_fail=None, expected_failed_checks=reason)
    assert not [one["check_name"] for one in results if one["status"] == "failed"]


def test_a_budget_beyond_the_columns_lets_all_of_them_stay_and_says_so():
    x, y = data()
    with pytest.warns(UserWarning, match="a budget of 11 is larger than the dictionary, which has 10 columns"):
        model = SparseRegression(terms=11).fit(x, y)
    np.testing.assert_allclose(model.coef_, SparseRegression(terms=10).fit(x, y).coef_)
    with pytest.warns(UserWarning, match="at a total cost of 20: all of them may stay"):
        assert SparseRegression(terms=30, costs=[2.0] * 10, num_bootstraps=3).fit(x, y).support_.all()
    with pytest.warns(UserWarning, match="which has 30 columns"):
        assert SparseRegression(terms=31, outputs="total").fit(*data(targets=3)).support_.all()


@pytest.mark.parametrize("terms", [np.int64(3), np.array([3]), 3.0])
def test_numbers_of_other_libraries_are_taken(terms):
    x, y = data()
    model = SparseRegression(terms=terms, always=np.array([1]), starts=np.int32(2), depth=np.int64(2)).fit(x, y)
    assert np.flatnonzero(model.support_).tolist() == [1, 4, 7]
    total = SparseRegression(terms=np.int64(5), outputs="total").fit(*data(targets=3))
    assert total.num_terms_.tolist() == [3, 1, 1]


def test_a_criterion_chooses_in_total_too():
    x, y = data(targets=3)
    for criterion in ("bic", "ebic"):
        model = SparseRegression(criterion=criterion, outputs="total", num_bootstraps=5).fit(x, y)
        assert np.flatnonzero(model.support_[0]).tolist() == [1, 4, 7]
        assert model.support_[1, 2]
        assert model.support_[2, 3]
        assert model.inclusion_probability_[0, [1, 4, 7]].min() == 1


def test_bootstraps_go_with_weights_groups_and_costs():
    x, y = data()
    model = SparseRegression(terms=4, groups=[[1, 4, 7]], costs=[1.0] * 9 + [2.0], num_bootstraps=5)
    model.fit(x, y, np.arange(80) % 3)
    assert (model.inclusion_probability_[[1, 4, 7]] == 1).all()
    assert model.inclusion_probability_.shape == (10,)


def test_a_constant_target_needs_no_terms():
    x, _ = data()
    for criterion in ("aic", "aicc", "bic", "ebic", "knee"):
        model = SparseRegression(criterion=criterion).fit(x, np.full(80, 1e6 / 3), np.linspace(1, 2, 80))
        assert model.num_terms_ == 0
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(1e6 / 3)


def test_one_target_has_plain_attributes():
    x, y = data()
    model = SparseRegression(terms=3, seconds=30, num_bootstraps=20).fit(x, y)
    assert np.flatnonzero(model.support_).tolist() == [1, 4, 7]
    np.testing.assert_allclose(model.coef_[[1, 4, 7]], [2, -3, 1], atol=0.1)
    assert model.intercept_ == pytest.approx(5, abs=0.1)
    assert model.num_terms_ == 3
    assert model.certificate_.verdict == "optimal"
    assert model.inclusion_probability_.shape == (10,)
    assert model.inclusion_probability_[[1, 4, 7]].min() > 0.95
    assert model.score(x, y) > 0.99


def test_the_number_of_terms_is_chosen_when_none_is_given():
    x, y = data(num=200)
    model = SparseRegression().fit(x, y)
    assert np.flatnonzero(model.support_).tolist() == [1, 4, 7]
    path = model.path()
    assert path.sizes.tolist() == list(range(11))
    assert path.num_terms("ebic").item() == 3


def test_several_targets_have_rows_of_their_own():
    x, y = data(targets=3)
    model = SparseRegression(terms=[3, 1, 1], num_bootstraps=10).fit(x, y)
    assert model.coef_.shape == model.support_.shape == model.inclusion_probability_.shape == (3, 10)
    assert [np.flatnonzero(row).tolist() for row in model.support_] == [[1, 4, 7], [2], [3]]
    assert len(model.certificate_) == 3
    assert model.predict(x).shape == (80, 3)
    total = SparseRegression(terms=5, outputs="total").fit(x, y)
    assert total.num_terms_.tolist() == [3, 1, 1]
    shared = SparseRegression(terms=5, outputs="shared").fit(x, y)
    assert np.flatnonzero(shared.support_[0]).tolist() == [1, 2, 3, 4, 7]


def test_it_works_in_pipelines_and_searches():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(150, 3))
    y = x[:, 0] * x[:, 1] - x[:, 2] ** 3 + 0.05 * generator.normal(size=150)
    pipeline = make_pipeline(PolynomialFeatures(3, include_bias=False), SparseRegression(terms=1))
    search = GridSearchCV(pipeline, {"sparseregression__terms": [1, 2, 12]}, cv=3).fit(x, y)
    best = search.best_estimator_
    assert best[-1].terms == 2
    assert set(best[0].get_feature_names_out()[best[-1].support_]) == {"x0 x1", "x2^3"}


def test_constant_columns_get_nothing_and_twins_are_named():
    x, y = data()
    x[:, 2] = 4.0
    assert SparseRegression(terms=9).fit(x, y).coef_[2] == 0
    x[:, 6] = 1 - 2 * x[:, 4]
    with pytest.warns(UserWarning, match=r"column [46] equals column [46], which was chosen"):
        model = SparseRegression(terms=3).fit(x, y)
    assert model.support_.sum() == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x, y: (x[:3], y[:3]), {"terms": 3}, "cannot be determined from 3 samples"),
        (lambda x, y: (np.where(x == x[0, 0], np.nan, x), y), {"terms": 2}, "NaN"),
        (lambda x, y: (x, np.where(y == y[0], np.inf, y)), {"terms": 2}, "infinity"),
        (lambda x, y: (x, y), {"costs": [1.0] * 10}, "give terms="),
        (lambda x, y: (x, y), {"criterion": "bik"}, "did you mean 'bic'"),
        (lambda x, y: (x, y), {"criterion": "bik", "terms": 2}, "did you mean 'bic'"),
        (lambda x, y: (x, y), {"num_bootstraps": -1}, "num_bootstraps must be 0 or more, got -1"),
        (lambda x, y: (x, y), {"max_terms": 0}, "max_terms must be 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, options, message):
    x, y = change(*data())
    with pytest.raises(ValueError, match=message):
        SparseRegression(**options).fit(x, y)


def test_values_near_the_limits_of_floating_point_change_units_only():
    x, y = data()
    plain = SparseRegression(terms=3).fit(x, y)
    large = SparseRegression(terms=3).fit(x * 1e200, y)
    np.testing.assert_allclose(large.coef_ * 1e200, plain.coef_, rtol=1e-8)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "ellzero.dictionary.regression.estimator")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"ellzero\[equations\]"):
        dictionary.__getattr__("SparseRegression")
    with pytest.raises(AttributeError, match="no attribute 'SparseRegressions'"):
        dictionary.__getattr__("SparseRegressions")
