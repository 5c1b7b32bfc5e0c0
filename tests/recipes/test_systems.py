"""The classical systems: their laws are those of the textbooks, and short noise-free trajectories give them back."""

import time
from dataclasses import replace

import numpy as np
import pytest

from ellzero.dictionary import Equations, polynomial
from ellzero.errors import NonFiniteError
from ellzero.recipes import lorenz, lotka_volterra, rossler, system, van_der_pol
from ellzero.recipes.law_table import LAWS

LAW_BY_HAND = {
    "lorenz": (lorenz, lambda x, y, z: (10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z)),
    "rossler": (rossler, lambda x, y, z: (-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7))),
    "van-der-pol": (van_der_pol, lambda x, v: (v, 2 * (1 - x**2) * v - x)),
    "lotka-volterra": (lotka_volterra, lambda a, b: (1.1 * a - 0.4 * a * b, 0.1 * a * b - 0.4 * b)),
}
SHORT = {
    "lorenz": {"duration": 4.0, "degree": 2},
    "rossler": {"duration": 12.0, "step": 0.03},
    "van-der-pol": {"duration": 8.0, "step": 0.02},
    "lotka-volterra": {"duration": 15.0, "degree": 2},
}


def short(name, **more):
    return LAWS[name].settings(**(SHORT[name] | {"draws": 5, "noise": 0.0} | more))


@pytest.mark.parametrize("name", LAW_BY_HAND)
def test_the_law_is_that_of_the_textbook(name):
    module, by_hand = LAW_BY_HAND[name]
    states = np.random.default_rng(0).normal(size=(20, len(module.SYSTEM.law.inputs)))
    assert np.allclose(module.SYSTEM.law.numpy()(states), np.stack(by_hand(*states.T), -1), rtol=1e-13)


@pytest.mark.parametrize("name", LAW_BY_HAND)
def test_a_short_trajectory_gives_the_law_back_verified_and_drawn(name, tmp_path):
    pytest.importorskip("matplotlib")
    found = LAWS[name].run(short(name))
    assert (found.facts["missing"], found.facts["superfluous"]) == (0, 0)
    assert found.facts["coefficient_error"] < 1e-4
    assert found.certificate.passed
    assert "the true terms, no other" in found.summary
    for picture, draw in found.pictures.items():
        draw(tmp_path / picture)
    assert {path.name for path in tmp_path.iterdir()} == {
        "support.svg", "path.svg", "pareto.svg", "inclusion.svg", "trajectories.svg",
    }  # fmt: skip


def test_the_noise_has_the_size_that_was_asked_for():
    settings = short("lorenz", noise=0.05, seed=3)
    _, true, measured = system.measure(lorenz.SYSTEM, settings)
    assert np.allclose((measured - true).std(0) / true.std(0), 0.05, rtol=0.15)


def test_the_data_decide_about_the_number_of_terms_when_asked_to():
    assert LAWS["lotka-volterra"].run(short("lotka-volterra", terms=0, noise=1e-3)).equations.num_terms == 4


def test_a_budget_that_is_too_small_is_kept_and_said():
    with pytest.warns(UserWarning, match="budget be too small"):
        found = LAWS["lotka-volterra"].run(short("lotka-volterra", terms=3))
    assert found.equations.num_terms == 3
    assert found.facts["missing"] >= 1
    assert "missing" in found.summary


def test_a_motion_that_leaves_the_finite_numbers_ends_in_nan():
    runaway = Equations(("x'",), polynomial("x", 2).select(["x^2"]), np.array([[1.0]]))
    found = system._as_far_as_it_goes(runaway, np.array([1.0]), np.linspace(0, 2, 101))  # infinite at t = 1
    assert np.isfinite(found[0])
    assert np.isnan(found[-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": -1}, "terms must be"),
        ({"precision": 0}, "precision must be"),
        ({"seed": -1}, "seed must be"),
        ({"degree": 0}, "degree must be positive"),
        ({"step": float("nan")}, "step must be positive"),
        ({"noise": -0.1}, "noise must be"),
        ({"duration": 0.1}, "too few samples"),
        ({"duration": 1e9}, "more than 100,000 samples"),
        ({"step": 1e-9}, "more than 100,000 samples"),
        ({"noise": 1e9}, "noise must be a share of the signal from 0 to 10, got 1e.09"),
        ({"noise": float("nan")}, "noise must be"),
        ({"draws": 10**9}, "draws must be at most 10,000"),
        ({"degree": 99}, "degree must be at most 10"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(lorenz.LorenzSettings(), **change).check()


def test_equations_that_are_stiff_are_given_up_early():
    stiff = Equations(("x'",), polynomial("x", 1).select(["x"]), np.array([[-1e9]]))
    start = time.perf_counter()
    found = system._as_far_as_it_goes(stiff, np.array([1.0]), np.linspace(0, 10, 1000))
    assert time.perf_counter() - start < 10
    assert np.isnan(found[-1])
    with pytest.raises(NonFiniteError, match=r"in 500 steps and would take more than 20000; the equations are stiff"):
        system.follow(stiff.numpy(), np.array([1.0]), np.linspace(0, 10, 1000))
