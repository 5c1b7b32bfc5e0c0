"""What pysindy finds: STLSQ on derivatives and on the weak form, for every data file of a folder.

Runs in the environment of the peers (see `peer.py`), started by `lorenz.py` and `chaos.py`. For each file
`NAME.npz` with `runs` (shape `(runs, samples, states)`), `time` and `degree` it writes one line of JSON: for each
method and threshold the coefficients, a row for each state, and the names of the terms.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pysindy

THRESHOLDS = (0.001, 0.01, 0.05, 0.2, 0.5)
WINDOWS = 200


def main() -> None:
    warnings.simplefilter("ignore")
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        data = np.load(path)
        found = identified(list(data["runs"]), data["time"], int(data["degree"]))
        print(json.dumps({"name": path.stem, "found": found}), flush=True)


def identified(runs: list[np.ndarray], stamps: np.ndarray, degree: int) -> list[dict[str, Any]]:
    """All methods at all thresholds."""
    polynomials = pysindy.PolynomialLibrary(degree=degree)
    weak = pysindy.WeakPDELibrary(
        function_library=pysindy.PolynomialLibrary(degree=degree, include_bias=False),
        spatiotemporal_grid=stamps, is_uniform=True, include_bias=True, K=WINDOWS,
    )  # fmt: skip
    methods = {
        "STLSQ, finite differences": (polynomials, None),
        "STLSQ, smoothed differences": (polynomials, pysindy.SmoothedFiniteDifference()),
        "STLSQ, weak form": (weak, None),
    }
    found = []
    for method, (library, differences) in methods.items():
        for threshold in THRESHOLDS:
            np.random.seed(0)  # the windows of pysindy are drawn from the global generator
            begin = time.perf_counter()
            found.append({"method": method, "threshold": threshold})
            try:
                more = {} if differences is None else {"differentiation_method": differences}
                optimizer = pysindy.STLSQ(threshold=threshold, alpha=1e-5, max_iter=100)
                model = pysindy.SINDy(optimizer=optimizer, feature_library=library, **more)
                model.fit(runs if len(runs) > 1 else runs[0], t=stamps)
                found[-1] |= {"names": model.get_feature_names(), "coefficients": model.coefficients().tolist()}
            except (ValueError, np.linalg.LinAlgError) as error:
                found[-1]["failure"] = str(error)[:200]
            found[-1]["seconds"] = time.perf_counter() - begin
    return found


if __name__ == "__main__":
    main()
