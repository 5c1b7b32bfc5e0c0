"""pysindy's ensembles of the Lorenz system, in an environment of their own; asked by `bootstrap.py`."""

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pysindy as ps


def main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(answer(**question)), flush=True)


def answer(samples: Any, derivatives: Any, degree: int, models: int, threshold: float) -> dict[str, Any]:
    """Milliseconds of the processor for an ensemble, library included, and the chance of every term."""
    x, x_dot = np.array(samples), np.array(derivatives)
    ensemble = ps.EnsembleOptimizer(ps.STLSQ(threshold=threshold), bagging=True, n_models=models)
    model = ps.SINDy(optimizer=ensemble, feature_library=ps.PolynomialLibrary(degree=degree))
    start = time.process_time()
    model.fit(x, t=0.01, x_dot=x_dot)
    elapsed = (time.process_time() - start) * 1e3
    chances = (np.array(ensemble.coef_list) != 0).mean(0)
    return {"ms": elapsed, "names": model.get_feature_names(), "chances": chances.tolist()}


if __name__ == "__main__":
    main()
