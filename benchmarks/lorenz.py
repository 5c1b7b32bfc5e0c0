"""How often all three equations of Lorenz are found exactly, the number of terms not being given.

    python benchmarks/lorenz.py

Ten seconds of the Lorenz system (10, 28, 8/3), step 0.01, from random starts on the attractor; white noise of a share
of the standard deviation of each state; polynomials of degree three and five. pysindy runs on the same data in an
environment of its own, at five thresholds, of which the best in hindsight is shown for each row. Results go to
`benchmarks/results/lorenz.json`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from identification import ellzero_finds, matrix, peers_find, polynomial_names

RESULTS = Path(__file__).parent / "results" / "lorenz.json"
TRUTH = ({"x0": -10.0, "x1": 10.0}, {"x0": 28.0, "x1": -1.0, "x0 x2": -1.0}, {"x2": -8 / 3, "x0 x1": 1.0})
STAMPS = np.arange(1001) * 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first seed")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01, 0.05, 0.1, 0.25])
    parser.add_argument("--degrees", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for degree in options.degrees:
        for noise in options.noise:
            data = {
                f"seed{seed:03}": measured(seed, noise) for seed in range(options.first, options.first + options.seeds)
            }
            rows.append(
                {"degree": degree, "noise": noise, "seeds": options.seeds, "found": judged(data, degree, options.cache)}
            )
            print(json.dumps(rows[-1]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def measured(seed: int, noise: float) -> np.ndarray:
    """One noisy run, shape `(samples, 3)`."""
    rng = np.random.default_rng(seed)
    start = solve_ivp(lorenz, (0, 10), rng.normal(size=3) * 8 + [0, 0, 25], rtol=1e-8).y[:, -1]
    clean = solve_ivp(lorenz, (0, STAMPS[-1]), start, t_eval=STAMPS, method="DOP853", rtol=1e-12, atol=1e-12).y.T
    return clean + noise * clean.std(0) * rng.normal(size=clean.shape)


def lorenz(t: float, x: np.ndarray) -> list[float]:
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


def judged(data: dict[str, np.ndarray], degree: int, cache: Path) -> dict[str, dict[str, Any]]:
    """For each method: exact systems, median error of the coefficients, median time."""
    names = polynomial_names(3, degree)
    truth = np.array([[equation.get(name, 0.0) for name in names] for equation in TRUTH])
    found: dict[str, list[dict[str, Any]]] = {}
    for run in data.values():
        for method, refine in (("ellzero", True), ("ellzero, weak form alone", False)):
            found.setdefault(method, []).append(ellzero_finds([run], STAMPS, degree, refine=refine))
    with tempfile.TemporaryDirectory() as folder:
        for name, run in data.items():
            np.savez(Path(folder) / f"{name}.npz", runs=run[None], time=STAMPS, degree=degree)
        for peers in peers_find(Path(folder), cache).values():
            for one in peers:
                one["coefficients"] = matrix(one, names)
                found.setdefault(f"{one['method']}|{one['threshold']}", []).append(one)
    scored = {method: score(runs, truth) for method, runs in found.items()}
    return best_in_hindsight(scored)


def score(runs: list[dict[str, Any]], truth: np.ndarray) -> dict[str, Any]:
    """Exact supports, and medians of error and time."""
    exact = [bool(((run["coefficients"] != 0) == (truth != 0)).all()) for run in runs]
    errors = [float(np.linalg.norm(run["coefficients"] - truth, 2) / np.linalg.norm(truth, 2)) for run in runs]
    seconds = [run["seconds"] for run in runs]
    return {"exact": sum(exact), "error": float(np.median(errors)), "seconds": float(np.median(seconds))}


def best_in_hindsight(scored: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each method with thresholds, the one with most exact systems, then the least error."""
    best: dict[str, dict[str, Any]] = {}
    for key, result in scored.items():
        method, _, threshold = key.partition("|")
        now = best.get(method)
        if now is None or (-result["exact"], result["error"]) < (-now["exact"], now["error"]):
            best[method] = result | ({"threshold": float(threshold)} if threshold else {})
    return best


if __name__ == "__main__":
    main()
