"""Sparse regression as a scikit-learn estimator."""

__all__ = ["SparseRegression"]

import importlib
import warnings
from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from ellzero.dictionary.regression.bootstraps import bootstrap
from ellzero.dictionary.regression.criteria import check_criterion
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.layout import Outputs
from ellzero.dictionary.regression.options import check_effort, check_flag, whole
from ellzero.dictionary.regression.path import SubsetPath, subset_path
from ellzero.dictionary.regression.subset import Subset
from ellzero.dictionary.regression.subsets import best_subset
from ellzero.errors import MissingExtraError

try:
    _base: Any = importlib.import_module("sklearn.base")
    _validation: Any = importlib.import_module("sklearn.utils.validation")
except ImportError as error:
    raise MissingExtraError(
        'SparseRegression needs scikit-learn; run `pip install "ellzero[equations]"` (best_subset does without)'
    ) from error

_Array = npt.NDArray[Any]


@final
class SparseRegression(_base.MultiOutputMixin, _base.RegressorMixin, _base.BaseEstimator):  # type: ignore[misc]
    r"""Linear regression with at most `terms` terms: the best ones, refitted by least squares.

    .. math:: \min_{w, b} \sum_i v_i (y_i - x_i^\top w - b)^2 \quad \text{subject to} \quad \|w\|_0 \le k

    A constant column gets the coefficient zero, because the intercept explains it. Of equal columns at most one is
    chosen, with a warning that another would do as well. Values that are not finite, and fewer samples than terms, are
    refused.

    Args:
        terms: k, the budget: a whole number, one per target, or costs where `costs` are given; 0 fits the intercept
            alone; None lets `criterion` choose. A budget that is larger than the number of columns lets all of them
            stay, with a warning: estimators are also fitted on data with fewer columns, in searches and behind
            selectors.
        criterion: "aic", "aicc", "bic", "ebic", "ebicc" (for few samples, too) or "knee"; chooses the number of terms
            when `terms` is None.
        max_terms: largest number of terms that is considered then, and on the path; if None, all, as far as samples
            can tell: see `subset_path`.
        always: indices of columns that are in every support; they count.
        groups: lists of columns that are chosen together or not at all.
        costs: cost of each column.
        outputs: `separate`: each target has a support, and the budget, of its own; `shared`: one support for all;
            `total`: supports of their own, one budget for all together.
        fit_intercept: whether a constant is fitted beside the columns, outside the budget.
        ridge: multiple of the squared coefficients of columns of unit length that is added while supports are
            compared: it prefers many small coefficients to few large ones of opposite sign.
        starts: how many local searches.
        depth: 1 to exchange one term at a time, 2 for two at once as well.
        gates: how many sets of hard-concrete gates explore, besides the local searches.
        seconds: time to look for a proof that no other support is better.
        num_bootstraps: resamples for `inclusion_probability_`; 0 for none.
        seed: of the resamples.

    Source:
        Miller (2002), "Subset Selection in Regression", chapter 3.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 6))
        >>> model = SparseRegression(terms=2, seconds=10).fit(x, 3 * x[:, 1] - 2 * x[:, 4] + 1)
        >>> model.coef_.round(6).tolist(), round(float(model.intercept_), 6), model.certificate_.verdict
        ([0.0, 3.0, 0.0, 0.0, -2.0, 0.0], 1.0, 'optimal')
    """

    def __init__(
        self, terms: Any = None, *, criterion: str = "ebicc", max_terms: int | None = None, always: Sequence[int] = (),
        groups: Sequence[Sequence[int]] | None = None, costs: Any = None, outputs: Outputs = "separate",
        fit_intercept: bool = True, ridge: float = 0.0, starts: int = 1, depth: int = 2, gates: int = 0,
        seconds: float = 0.0, num_bootstraps: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.terms = terms
        self.criterion = criterion
        self.max_terms = max_terms
        self.always = always
        self.groups = groups
        self.costs = costs
        self.outputs = outputs
        self.fit_intercept = fit_intercept
        self.ridge = ridge
        self.starts = starts
        self.depth = depth
        self.gates = gates
        self.seconds = seconds
        self.num_bootstraps = num_bootstraps
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the terms and fit their coefficients.

        Args:
            X: shape `(samples, columns)`.
            y: shape `(samples,)` or `(samples, targets)`.
            sample_weight: shape `(samples,)`; whole numbers count samples. Bootstraps draw them like samples.

        Returns:
            The estimator, with `coef_`, `intercept_`, `support_` (bool), `num_terms_`, `certificate_`, and, with
            bootstraps, `inclusion_probability_`; all without the dimension of the targets if y has none.

        Raises:
            ValueError: if a shape, a value or the budget cannot be meant.
            TypeError: if a count is not a whole number.
        """
        self._check_options()
        X, y = _validation.validate_data(
            self, X, y, dtype=[np.float64, np.float32], y_numeric=True, multi_output=True, ensure_min_samples=2
        )
        y = np.asarray(y, dtype=np.float64)
        if sample_weight is not None:
            sample_weight = _validation._check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        wide = y[:, None] if y.ndim == 1 else y
        self.gram_ = Gram.of(X, wide, weights=sample_weight, intercept=self.fit_intercept)
        budget = self._budget()
        found = self._choose(budget)
        self._warn_about_twins(found)
        found = found.without_targets() if y.ndim == 1 else found
        self.coef_: _Array = found.coefficients.numpy()
        self.intercept_: Any = float(found.intercept) if y.ndim == 1 else found.intercept.numpy()
        self.support_: _Array = found.support.numpy()
        self.num_terms_: Any = int(found.num_terms) if y.ndim == 1 else found.num_terms.numpy()
        self.certificate_ = found.certificate[0] if len(found.certificate) == 1 else found.certificate
        if self.num_bootstraps > 0:
            self.inclusion_probability_: _Array = self._bootstrap(X, y, sample_weight, budget)
        return self

    def predict(self, X: Any) -> _Array:
        """Values that the chosen terms give, shape `(samples,)` or `(samples, targets)`.

        Args:
            X: shape `(samples, columns)`.
        """
        _validation.check_is_fitted(self)
        X = _validation.validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_.T + self.intercept_)

    def path(self) -> SubsetPath:
        """Best subsets of every size on the data of the fit."""
        _validation.check_is_fitted(self)
        return subset_path(
            self.gram_, max_terms=self.max_terms, always=self.always, ridge=self.ridge, depth=self.depth,
            outputs="shared" if self.outputs == "shared" else "separate",
        )  # fmt: skip

    def _choose(self, budget: Any) -> Subset:
        if budget is None:
            path = self.path()
            is_total = self.outputs == "total"
            return path.subset(path.total_terms(self.criterion) if is_total else path.num_terms(self.criterion))
        return best_subset(
            self.gram_, terms=budget, always=self.always, groups=self.groups, costs=self.costs,
            outputs=self.outputs, ridge=self.ridge, starts=self.starts, depth=self.depth, gates=self.gates,
            seconds=self.seconds,
        )  # fmt: skip

    def _check_options(self) -> None:
        check_criterion(self.criterion)
        check_flag(self.fit_intercept, "fit_intercept")
        check_effort(depth=self.depth, starts=self.starts, gates=self.gates, seconds=self.seconds)
        whole(self.num_bootstraps, "num_bootstraps", least=0)
        if self.terms is None and (self.groups is not None or self.costs is not None):
            raise ValueError("a criterion chooses numbers of terms only; give terms= with groups or costs")

    def _budget(self) -> Any:
        """The budget, or what all columns cost where it is larger than that; None where a criterion chooses."""
        num = self.gram_.num_columns * (self.gram_.num_targets if self.outputs == "total" else 1)
        total = num if self.costs is None else float(np.sum(self.costs)) * num / self.gram_.num_columns
        if np.asarray(self.terms).dtype.kind not in "iuf" or not np.any(np.asarray(self.terms) > total):
            return self.terms
        warnings.warn(
            f"a budget of {self.terms} is larger than the dictionary, which has {num} columns at a total cost of"
            f" {total:g}: all of them may stay; ask for fewer terms to choose among them",
            UserWarning,
            stacklevel=3,
        )
        return np.minimum(self.terms, total)

    def _warn_about_twins(self, found: Subset) -> None:
        chosen = found.support.any(0).nonzero().flatten()
        alike = (self.gram_.root[:, chosen].mT @ self.gram_.root).abs() > 1 - 1e-12
        alike[torch.arange(len(chosen), device=chosen.device), chosen] = False
        if bool(alike.any()):
            row, twin = alike.nonzero()[0].tolist()
            warnings.warn(
                f"column {twin} equals column {int(chosen[row])}, which was chosen, up to a factor and a constant;"
                " either would do: drop one of them",
                UserWarning,
                stacklevel=3,
            )

    def _bootstrap(self, X: _Array, y: _Array, sample_weight: _Array | None, budget: Any) -> _Array:
        found = bootstrap(
            X, y, self.criterion if budget is None else budget, num=self.num_bootstraps, seed=self.seed,
            always=self.always, groups=self.groups, costs=self.costs, outputs=self.outputs, weights=sample_weight,
            intercept=self.fit_intercept, ridge=self.ridge, max_terms=self.max_terms,
        )  # fmt: skip
        return found.inclusion_probability.numpy()
