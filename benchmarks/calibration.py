"""Are inclusion probabilities right? Stated chances of terms against frequencies, on a grid of simulated regressions.

    python benchmarks/calibration.py

Every combination of 40 to 300 samples, 8 to 30 columns (independent, or with a correlation of .7 between neighbours)
and signal-to-noise ratios 1 to 20; 4 true terms with normal coefficients, some of them too small to be found. Results
go to `benchmarks/results/calibration.json`.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ellzero.dictionary import bootstrap, calibration

RESULTS = Path(__file__).parent / "results" / "calibration.json"
GRID: dict[str, tuple[float, ...]] = {
    "samples": (40, 60, 100, 300),
    "columns": (8, 15, 30),
    "SNR": (1, 5, 20),
    "correlation": (0.0, 0.7),
}
TERMS = 4
Method = Callable[[Tensor, Tensor], Tensor]


def resampled(terms: Any) -> Method:
    """Inclusion probabilities of 50 resamples."""
    return lambda x, y: bootstrap(
        x, y, min(terms, x.shape[1]) if isinstance(terms, int) else terms, num=50, intercept=True,
        **({} if isinstance(terms, int) else {"max_terms": min(10, x.shape[1])}),
    ).inclusion_probability  # fmt: skip


METHODS: dict[str, Method] = {
    "bootstrap, 4 terms: as many as there are": resampled(4),
    "bootstrap, EBIC": resampled("ebic"),
    "bootstrap, BIC": resampled("bic"),
    "bootstrap, AICc": resampled("aicc"),
    "bootstrap, AIC": resampled("aic"),
    "bootstrap, 8 terms: twice as many": resampled(8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="data sets of each combination")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stated: dict[str, list[tuple[dict[str, float], Tensor, Tensor]]] = {name: [] for name in METHODS}
    for values in itertools.product(*GRID.values()):
        cell = dict(zip(GRID, values, strict=True))
        for seed in range(options.seeds):
            x, y, truth = simulate(seed, cell)
            for name, method in METHODS.items():
                stated[name].append((cell, method(x, y), truth))
    found = {name: summary(rows) for name, rows in stated.items()}
    setting = {"seeds": options.seeds, "grid": GRID, "torch": torch.__version__}
    RESULTS.write_text(json.dumps({"setting": setting, "methods": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def simulate(seed: int, cell: dict[str, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and the true support."""
    generator = np.random.default_rng(seed)
    num, columns, rho = int(cell["samples"]), int(cell["columns"]), cell["correlation"]
    x = generator.normal(size=(num, columns))
    for column in range(1, columns):
        x[:, column] = rho * x[:, column - 1] + np.sqrt(1 - rho**2) * x[:, column]
    weights = np.zeros(columns)
    weights[generator.choice(columns, TERMS, replace=False)] = generator.normal(size=TERMS)
    place = np.arange(columns)
    covariance = np.where(place == place[:, None], 1.0, rho ** np.abs(place - place[:, None]))
    spread = np.sqrt(weights @ covariance @ weights / cell["SNR"])
    y = x @ weights + spread * generator.normal(size=num)
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(weights != 0)


def summary(rows: list[tuple[dict[str, float], Tensor, Tensor]]) -> dict[str, Any]:
    """Calibration altogether and by each part of the grid."""
    whole = pooled(rows)
    parts = {
        key: [pooled([row for row in rows if row[0][key] == value]).error for value in values]
        for key, values in GRID.items()
    }
    reliability = [
        [float(stated), float(observed), int(count)]
        for stated, observed, count in zip(whole.stated, whole.observed, whole.counts, strict=True)
    ]
    found = {"error": whole.error, "brier": whole.brier, "data_sets": len(rows)}
    return found | {"parts": parts, "reliability": reliability}


def pooled(rows: list[tuple[dict[str, float], Tensor, Tensor]]) -> Any:
    """Calibration of stated probabilities, whatever data they come from."""
    return calibration(
        lambda stated, _: stated, lambda index: (rows[index][1], rows[index][1], rows[index][2]), num=len(rows), bins=5
    )


if __name__ == "__main__":
    main()
