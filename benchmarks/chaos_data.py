"""Write out the chaotic systems: trajectories and true coefficients, from the `dysts` package.

Runs in the environment of the peers (see `peer.py`), started by `chaos.py`; not meant to be called by hand.
"""

import itertools
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

DEGREE, TRAJECTORIES, SAMPLES, PER_PERIOD = 4, 5, 1000, 100
SYSTEMS = """
Aizawa Bouali2 BurkeShaw Chen ChenLee Dadras DequanLi Finance GenesioTesi GuckenheimerHolmes Hadley
Halvorsen HenonHeiles HyperBao HyperCai HyperJha HyperLorenz HyperLu HyperPang HyperQi HyperRossler
HyperWang HyperXu HyperYan HyperYangChen KawczynskiStrizhak Laser Lorenz LorenzBounded LorenzStenflo LuChen
LuChenCheng MooreSpiegel NewtonLiepnik NoseHoover NuclearQuadrupole PehlivanWei Qi QiChen
RabinovichFabrikant RayleighBenard RikitakeDynamo Rossler Rucklidge Sakarya ShimizuMorioka SprottA SprottB
SprottC SprottD SprottE SprottF SprottG SprottH SprottI SprottJ SprottJerk SprottK SprottL SprottM SprottN
SprottO SprottP SprottQ SprottR SprottS SprottTorus VallisElNino WangSun ZhouChen
"""
"""Names in dysts, in the order of the alphabet."""


def main() -> None:
    out = Path(sys.argv[1])
    warnings.simplefilter("ignore")
    from dysts import flows

    for index, name in enumerate(SYSTEMS.split()):
        if not (out / f"{name}.npz").exists():
            system = getattr(flows, name)()
            rng = np.random.default_rng(index)
            runs, time = trajectories(system, rng)
            exponents, coefficients = truth(system, runs, rng)
            np.savez(out / f"{name}.npz", runs=runs, time=time, exponents=exponents, coefficients=coefficients)
            print(name, flush=True)


def trajectories(system: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Runs of ten periods from random places on the attractor, shape `(runs, samples, states)`, and the time stamps."""

    def rates(t: float, x: np.ndarray) -> list[float]:
        return list(system.rhs(x, t))

    period = float(system.period)
    start = np.asarray(system.ic, dtype=float).reshape(-1)
    later = np.linspace(20, 60, 400) * period
    long = solve_ivp(rates, (0, 60 * period), start, method="LSODA", rtol=1e-9, atol=1e-9, t_eval=later)
    time = np.arange(SAMPLES) * period / PER_PERIOD
    runs = []
    for column in rng.choice(long.y.shape[1], TRAJECTORIES, replace=False):
        solved = solve_ivp(
            rates, (0, time[-1]), long.y[:, column], method="DOP853", rtol=1e-12, atol=1e-12, t_eval=time
        )
        runs.append(solved.y.T)
    return np.stack(runs), time


def truth(system: Any, runs: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exponents `(terms, states)` and coefficients `(states, terms)` of the polynomials behind a system."""
    states = runs.shape[2]
    exponents = np.array([one for one in itertools.product(range(DEGREE + 1), repeat=states) if sum(one) <= DEGREE])
    points = rng.uniform(-1, 1, (4 * len(exponents), states))
    features = np.prod(points[:, None, :] ** exponents, 2)
    targets = np.array([np.asarray(system.rhs(point, 0.0), dtype=float).reshape(-1) for point in points])
    found, *_ = np.linalg.lstsq(features, targets, rcond=None)
    found[np.abs(found) < 1e-11 * np.abs(found).max(0)] = 0
    assert np.abs(features @ found - targets).max() < 1e-8 * np.abs(targets).max(), "not a polynomial"
    return exponents, found.T


if __name__ == "__main__":
    main()
