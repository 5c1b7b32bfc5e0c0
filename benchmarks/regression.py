"""Sparse regression with the number of terms given: exact supports and times beside abess, OMP and the lasso.

    python benchmarks/regression.py

500 samples, 1000 columns, 10 true terms. The tools take turns, data set by data set, on one thread; times are the
processor's. A found support whose residual is smaller than that of the true one proves that no least-squares method
can be right on that data set. A second part counts how often each way of exploring reaches the smallest residual that
any of them reaches. Results go to `benchmarks/results/regression.json`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ellzero import dictionary
from ellzero.dictionary import best_subset
from peer import Peer
from regression_data import DESIGNS, Array, repeat, simulate

RESULTS = Path(__file__).parent / "results" / "regression.json"
TERMS = 10
WITH_LASSO = ("rho .5", "rho .9", "rho .9, clustered")
"""Designs on which the lasso runs, too: it takes some seconds for each fit."""
WAYS: dict[str, dict[str, Any]] = {
    "1 local search": {},
    "8 local searches": {"starts": 8},
    "32 local searches": {"starts": 32},
    "1 local search, 2 sets of gates": {"gates": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"setting": {"seeds": options.seeds, "repeat": options.repeat, "torch": torch.__version__}}
    with Peer(options.cache, "abess", "regression_abess.py") as peer:
        compare(peer, "rho .5", 0, 1)  # what is loaded at the first fit is not part of the second
        found["designs"] = {
            design: summary([compare(peer, design, seed, options.repeat) for seed in range(options.seeds)])
            for design in DESIGNS
        }
    found["exploration"] = explore(options.seeds)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def compare(peer: Peer, design: str, seed: int, times: int) -> dict[str, Any]:
    """Every method on one data set."""
    x, y, truth = simulate(seed, **DESIGNS[design])
    with_lasso = design in WITH_LASSO
    answers = peer.ask({"design": design, "seed": seed, "terms": TERMS, "times": times, "with_lasso": with_lasso})

    def fit(**options: Any) -> Callable[[], list[int]]:
        return lambda: best_subset(x, y, TERMS, intercept=True, **options).support.nonzero().flatten().tolist()

    answers["ellzero"] = repeat(fit(), times)
    answers["ellzero, 8 searches"] = repeat(fit(starts=8), 1)
    answers["ellzero, ridge 1"] = repeat(fit(ridge=1.0), times)
    least = residual(x, y, truth)
    for answer in answers.values():
        answer["exact"] = answer["support"] == truth
        answer["residual"] = residual(x, y, answer["support"]) / least
    return answers


def residual(x: Array, y: Array, support: list[int]) -> float:
    """Sum of squares that a support leaves, with an intercept."""
    chosen = np.column_stack([np.ones(len(x)), x[:, support]])
    return float(np.sum((y - chosen @ np.linalg.lstsq(chosen, y, rcond=None)[0]) ** 2))


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates and times by method, and what the smallest residual says about the true support."""
    methods = {
        name: {
            "exact": statistics.mean(run[name]["exact"] for run in runs),
            "ms": quartiles([run[name]["ms"] for run in runs]),
            "times_abess": quartiles([run[name]["ms"] / run["abess"]["ms"] for run in runs]),
        }
        for name in runs[0]
    }
    least = [min(answer["residual"] for answer in run.values()) for run in runs]
    truth = {
        "beaten": sum(value < 1 - 1e-9 for value in least),
        "found": sum(any(answer["exact"] for answer in run.values()) and value >= 1 - 1e-9
                     for run, value in zip(runs, least, strict=True)),
    }  # fmt: skip
    truth["open"] = len(runs) - truth["beaten"] - truth["found"]
    return {"methods": methods, "truth": truth, "residual_over_truth": quartiles(least)}


def explore(seeds: int) -> dict[str, Any]:
    """How often each way of exploring reaches the least residual of all, and its milliseconds."""
    problems: dict[str, tuple[Callable[[int], tuple[Any, Any]], int]] = {
        "rho .9, clustered": (lambda seed: simulate(seed, **DESIGNS["rho .9, clustered"])[:2], TERMS),
        "Lorenz dictionary": (polynomials, 6),
        "cancelling pairs": (cancelling, 6),
    }
    found: dict[str, Any] = {}
    for problem, (make, terms) in problems.items():
        losses: dict[str, list[float]] = {way: [] for way in WAYS}
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(seeds):
            x, y = make(seed)
            for way, options in WAYS.items():
                start = time.process_time()
                losses[way].append(float(best_subset(x, y, terms, intercept=True, **options).residual))
                times[way].append((time.process_time() - start) * 1e3)
        least = [min(values) for values in zip(*losses.values(), strict=True)]
        found[problem] = {
            way: {
                "reached": sum(value <= best * (1 + 1e-9) for value, best in zip(losses[way], least, strict=True)),
                "ms": quartiles(times[way]),
            }
            for way in WAYS
        }
    return found


def polynomials(seed: int) -> tuple[Array, Array]:
    """Six random terms among the 55 monomials up to degree 5 along the Lorenz attractor, and noise."""
    states = np.array([-8.0, 8.0, 27.0])
    path = []
    generator = np.random.default_rng(seed)
    for _ in range(4000):
        x, y, z = states
        states = states + 0.0025 * np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
        path.append(states)
    samples = torch.tensor(np.array(path)[::10] / np.std(path, 0))
    features = dictionary.polynomial(3, 5, bias=False)(samples).numpy()
    features = features / features.std(0)
    return features, noisy(
        features[:, generator.choice(55, 6, replace=False)], generator.choice([-1.0, 1.0], 6), generator
    )


def cancelling(seed: int) -> tuple[Array, Array]:
    """Twenty pairs of columns that nearly equal each other: the targets are differences of three pairs, and noise."""
    generator = np.random.default_rng(seed)
    common = generator.standard_normal((400, 20))
    left, right = (common + 0.05 * generator.standard_normal((400, 20)) for _ in range(2))
    features = np.concatenate([left, right, generator.standard_normal((400, 20))], 1)
    chosen = generator.choice(20, 3, replace=False)
    return features, noisy(features[:, [*chosen, *(chosen + 20)]], np.repeat([1.0, -1.0], 3), generator)


def noisy(columns: Array, weights: Array, generator: np.random.Generator) -> Array:
    """A sum of columns with noise of three tenths of its spread."""
    clean = columns @ weights
    return clean + 0.3 * clean.std() * generator.standard_normal(len(clean))


def quartiles(values: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return [low, middle, high]


if __name__ == "__main__":
    main()
