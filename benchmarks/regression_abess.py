"""abess and scikit-learn on simulated regressions, in an environment of their own; asked by `regression.py`."""

import json
import sys
from typing import Any

import numpy as np
from abess.linear import LinearRegression
from sklearn.linear_model import LassoCV, OrthogonalMatchingPursuit

from regression_data import DESIGNS, repeat, simulate


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(answer(**question)), flush=True)


def answer(design: str, seed: int, terms: int, times: int, *, with_lasso: bool) -> dict[str, Any]:
    """Supports and times of every method on one data set."""
    x, y, _ = simulate(seed, **DESIGNS[design])

    def abess() -> list[int]:
        return np.flatnonzero(LinearRegression(support_size=terms, thread=1).fit(x, y).coef_).tolist()

    def pursuit() -> list[int]:
        return np.flatnonzero(OrthogonalMatchingPursuit(n_nonzero_coefs=terms).fit(x, y).coef_).tolist()

    def lasso() -> list[int]:
        return np.argsort(-np.abs(LassoCV(cv=5).fit(x, y).coef_))[:terms].tolist()

    found = {"abess": repeat(abess, times), "OMP": repeat(pursuit, times)}
    return found | ({"LassoCV, largest ten": repeat(lasso, 1)} if with_lasso else {})


if __name__ == "__main__":
    main()
