"""Bootstraps of the Lorenz system, degree 5: 56 terms, 3 equations, 1000 samples; beside pysindy's ensembles.

    python benchmarks/bootstrap.py

Both are given samples with 1 % of noise and their central differences, and build the terms themselves. The tools take
turns on one thread; times are the processor's. Results go to `benchmarks/results/bootstrap.json`.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ellzero import dictionary
from peer import Peer
from regression_data import Array

RESULTS = Path(__file__).parent / "results" / "bootstrap.json"
TRUE_TERMS = (("x0", "x1"), ("x0", "x1", "x0 x2"), ("x2", "x0 x1"))
CASES: dict[str, dict[str, Any]] = {
    "2, 3 and 2 terms": {"terms": [2, 3, 2]},
    "7 terms each": {"terms": 7},
    "EBIC, up to 8 terms": {"terms": "ebic", "max_terms": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples = lorenz(seed=0)
    derivatives = np.gradient(samples, 0.01, axis=0)
    found: dict[str, list[dict[str, Any]]] = {}
    with Peer(options.cache, "pysindy", "bootstrap_pysindy.py") as peer:
        data = {"samples": samples.tolist(), "derivatives": derivatives.tolist(), "degree": 5, "threshold": 0.1}
        for turn in range(options.repeat + 1):
            answers = {f"pysindy, ensemble of {models}": peer.ask(data | {"models": models}) for models in (20, 100)}
            for case, choice in CASES.items():
                answers[f"ellzero, 100 resamples, {case}"] = ours(samples, derivatives, **choice)
            for name, answer in answers.items():
                if turn > 0:  # what is loaded in the first turn is not part of the others
                    found.setdefault(name, []).append(answer)
    summary = {name: judged(answers) for name, answers in found.items()}
    setting = {"repeat": options.repeat, "torch": torch.__version__, "calibration": calibrations()}
    RESULTS.write_text(json.dumps({"setting": setting, "ensembles": summary}, indent=1) + "\n")
    print(json.dumps({"setting": setting, "ensembles": summary}, indent=1))


def ours(samples: Array, derivatives: Array, **choice: Any) -> dict[str, Any]:
    """Milliseconds of the processor for 100 resamples, dictionary included, and the chance of every term."""
    start = time.process_time()
    terms = dictionary.polynomial(["x0", "x1", "x2"], 5)
    found = dictionary.bootstrap(terms(torch.from_numpy(samples)), derivatives, num=100, **choice)
    elapsed = (time.process_time() - start) * 1e3
    return {"ms": elapsed, "names": list(terms.names), "chances": found.inclusion_probability.tolist()}


def judged(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Times, the least chance of a true term, and the largest of another one."""
    names, chances = answers[0]["names"], np.array(answers[0]["chances"])
    is_true = np.array([[name in true for name in names] for true in TRUE_TERMS])
    times = statistics.quantiles([answer["ms"] for answer in answers], n=4, method="inclusive")
    return {"ms": times, "least_true": float(chances[is_true].min()), "most_false": float(chances[~is_true].max())}


def calibrations() -> dict[str, dict[str, float]]:
    """How well gates are calibrated on 50 simulated regressions of 100 samples, 20 columns and 4 terms."""
    found = {}
    for rho in (0.5, 0.9):
        compared = dictionary.calibration(
            lambda x, y: dictionary.gate_probabilities(x, y, expected_terms=4),
            partial(dictionary.simulate_regression, correlation=rho),
        )
        found[f"gates, 4 terms expected, rho {rho}"] = {"error": compared.error, "brier": compared.brier}
    return found


def lorenz(seed: int, *, num: int = 1000, step: float = 0.01, noise: float = 0.01) -> Array:
    """Noisy samples of the Lorenz attractor, by Runge-Kutta with ten substeps."""

    def slope(state: Array) -> Array:
        x, y, z = state
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    state, path, h = np.array([-8.0, 8.0, 27.0]), [], step / 10
    for _ in range(num):
        path.append(state)
        for _ in range(10):
            one = slope(state)
            two = slope(state + h / 2 * one)
            three = slope(state + h / 2 * two)
            four = slope(state + h * three)
            state = state + h / 6 * (one + 2 * two + 2 * three + four)
    clean = np.array(path)
    return clean + noise * clean.std() * np.random.default_rng(seed).standard_normal(clean.shape)


if __name__ == "__main__":
    main()
