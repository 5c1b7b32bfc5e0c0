"""Simulated sparse regressions: the same for every tool, NumPy only."""

__all__ = ["DESIGNS", "repeat", "simulate"]

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DESIGNS: dict[str, dict[str, Any]] = {
    "rho .5": {"rho": 0.5},
    "rho .9": {"rho": 0.9},
    "rho .9, clustered": {"rho": 0.9, "clustered": True},
    "rho .9, random signs": {"rho": 0.9, "signs": True},
    "rho .9, clustered, random signs": {"rho": 0.9, "clustered": True, "signs": True},
    "rho .9, SNR 1": {"rho": 0.9, "snr": 1.0},
}
"""Ten coefficients of one, or minus one with random signs, on random columns or on ten neighbouring ones."""


def simulate(
    seed: int, *, rho: float, snr: float = 5.0, clustered: bool = False, signs: bool = False, n: int = 500,
    p: int = 1000, k: int = 10,
) -> tuple[Array, Array, list[int]]:  # fmt: skip
    """Features of an AR(1) process over the columns, targets with normal noise, and the true support."""
    generator = np.random.default_rng(seed)
    fresh = generator.standard_normal((n, p))
    x = fresh.copy()
    for column in range(1, p):
        x[:, column] = rho * x[:, column - 1] + np.sqrt(1 - rho**2) * fresh[:, column]
    if clustered:
        support = generator.integers(0, p - k + 1) + np.arange(k)
    else:
        support = np.sort(generator.choice(p, k, replace=False))
    weights = generator.choice([-1.0, 1.0], k) if signs else np.ones(k)
    clean = x[:, support] @ weights
    return x, clean + generator.standard_normal(n) * np.sqrt(clean.var() / snr), support.tolist()


def repeat(fit: Callable[[], list[int]], times: int) -> dict[str, Any]:
    """What a fit finds, and the median milliseconds of the processor that it takes."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        support = fit()
        taken.append((time.process_time() - start) * 1e3)
    return {"support": sorted(int(index) for index in support), "ms": statistics.median(taken)}
