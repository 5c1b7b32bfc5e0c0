"""Systems whose equations are known, and trajectories of them."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp


def _lorenz(seed=0, noise=0.0, samples=1001, step=0.01):
    """A run on the attractor with white noise, a share of the standard deviation of each state."""

    def rates(t, x):
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    rng = np.random.default_rng(seed)
    start = solve_ivp(rates, (0, 10), rng.normal(size=3) * 8 + [0, 0, 25], rtol=1e-8).y[:, -1]
    stamps = np.arange(samples) * step
    clean = solve_ivp(rates, (0, stamps[-1]), start, t_eval=stamps, method="DOP853", rtol=1e-12, atol=1e-12).y.T
    return clean + noise * clean.std(0) * rng.normal(size=clean.shape), stamps


def _oscillator(stamps, frequency=2.0, phase=0.0):
    """x' = v, v' = -frequency^2 x, without noise."""
    angle = frequency * np.asarray(stamps) + phase
    return np.stack([np.cos(angle), -frequency * np.sin(angle)], 1)


def _henon(samples, start=(0.1, 0.2)):
    """x -> 1 - 1.4 x^2 + y, y -> 0.3 x."""
    found = [np.array(start)]
    for _ in range(samples - 1):
        x, y = found[-1]
        found.append(np.array([1 - 1.4 * x**2 + y, 0.3 * x]))
    return np.stack(found)


def _support(model):
    """Pairs of target and term that a model holds."""
    equations = model.equations()
    return {
        (target, name)
        for target, row in zip(equations.targets, equations.coefficients, strict=True)
        for name, value in zip(equations.dictionary.names, row, strict=True)
        if value
    }


@pytest.fixture(scope="session")
def lorenz():
    return _lorenz


@pytest.fixture(scope="session")
def oscillator():
    return _oscillator


@pytest.fixture(scope="session")
def henon():
    return _henon


@pytest.fixture(scope="session")
def support():
    return _support


@pytest.fixture(scope="session")
def lorenz_support():
    """What the equations of Lorenz hold."""
    return {("x'", "x"), ("x'", "y"), ("y'", "x"), ("y'", "y"), ("y'", "x z"), ("z'", "z"), ("z'", "x y")}
