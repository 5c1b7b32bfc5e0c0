"""Error of the coefficients of seventy chaotic systems, from noisy trajectories.

    python benchmarks/chaos.py

The polynomial systems of `dysts` that pysindy's own benchmark uses: five trajectories of ten periods, 100 samples a
period; white noise of 0, 0.1 and 1 % of the root mean square; all polynomials of degree four. The error is the norm of
the difference of the coefficient matrices over the norm of the true one. pysindy runs on the same data in an
environment of its own, at five thresholds, of which the best in hindsight is taken for every system: a choice that a
user cannot make. Results go to `benchmarks/results/chaos.json`; systems that are there already are kept.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from identification import ellzero_finds, matrix, peers_find, polynomial_names
from peer import python_of_peer

RESULTS = Path(__file__).parent / "results" / "chaos.json"
DEGREE = 4
NOISE = (0.0, 0.1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    parser.add_argument("--names", nargs="+", help="some systems only")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    data = options.cache / "chaos"
    data.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("chaos_data.py")
    subprocess.run([python_of_peer(options.cache, "pysindy"), script, data], check=True)
    systems = json.loads(options.out.read_text())["systems"] if options.out.exists() else {}
    for path in sorted(data.glob("*.npz")):
        if path.stem not in (options.names or [path.stem]) or (path.stem in systems and not options.names):
            continue
        systems[path.stem] = compared(path, options.cache)
        print(path.stem, json.dumps(systems[path.stem]), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"degree": DEGREE, "systems": systems}, indent=1) + "\n")


def compared(path: Path, cache: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """All methods on one system, by level of noise and method."""
    stored = np.load(path)
    names = polynomial_names(stored["runs"].shape[2], DEGREE)
    truth = true_coefficients(stored["exponents"], stored["coefficients"], names)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for percent in NOISE:
            rng = np.random.default_rng(0)
            runs = [run + percent / 100 * scale(run) * rng.normal(size=run.shape) for run in stored["runs"]]
            np.savez(Path(folder) / f"{percent}.npz", runs=np.stack(runs), time=stored["time"], degree=DEGREE)
            found[str(percent)] = {"ellzero": judged(ellzero_finds(runs, stored["time"], DEGREE), truth)}
            alone = ellzero_finds(runs, stored["time"], DEGREE, refine=False)
            found[str(percent)]["ellzero, weak form alone"] = judged(alone, truth)
        for percent, peers in peers_find(Path(folder), cache).items():
            for one in peers:
                result = judged(one | {"coefficients": matrix(one, names)}, truth) | {"threshold": one["threshold"]}
                if result["error"] < found[percent].get(one["method"], {"error": np.inf})["error"]:
                    found[percent][one["method"]] = result
    return found


def scale(run: np.ndarray) -> float:
    """Root mean square of each state, the mean over states: what the noise is a share of, as in pysindy's benchmark."""
    return float(np.sqrt((run**2).mean(0)).mean())


def true_coefficients(exponents: np.ndarray, coefficients: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The true matrix in the order of the names."""
    written = [" ".join(f"x{i}^{p}" if p > 1 else f"x{i}" for i, p in enumerate(row) if p) or "1" for row in exponents]
    return coefficients[:, [written.index(name) for name in names]]


def judged(found: dict[str, Any], truth: np.ndarray) -> dict[str, Any]:
    """Error, whether the support is exact, and time."""
    coefficients = found["coefficients"]
    return {
        "error": float(np.linalg.norm(coefficients - truth, 2) / np.linalg.norm(truth, 2)),
        "exact": bool(((coefficients != 0) == (truth != 0)).all()),
        "seconds": found["seconds"],
    }


if __name__ == "__main__":
    main()
