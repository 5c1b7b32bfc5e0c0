"""Certificates: what agrees passes, what does not fails, and every term has its worth."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.dictionary import (
    Dictionary,
    Equations,
    Output,
    SparseDictionary,
    Term,
    custom,
    polynomial,
    rational,
    variables,
    verify,
)
from ellzero.errors import NonFiniteError


def lorenz():
    dictionary = polynomial("x y z", 2)
    rows = [{"x": -10, "y": 10}, {"x": 28, "y": -1, "x z": -1}, {"z": -8 / 3, "x y": 1}]
    return Equations(("x'", "y'", "z'"), dictionary, [[row.get(n, 0) for n in dictionary.names] for row in rows])


def runge_kutta(derivative, start, times):
    states = [start]
    for before, after in pairwise(times):
        h, x = after - before, states[-1]
        a = derivative(x)
        b = derivative(x + h / 2 * a)
        c = derivative(x + h / 2 * b)
        states.append(x + h / 6 * (a + 2 * b + 2 * c + derivative(x + h * c)))
    return np.stack(states)


def points(num=100):
    return np.random.default_rng(0).normal(size=(num, 3)) * [8, 9, 8] + [0, 0, 25]


def test_equations_agree_with_the_module_that_they_come_from():
    model = SparseDictionary(polynomial("x y z", 3) + rational("x y z", 1), 2, output=Output("tanh", 2.0)).double()
    nn.init.normal_(model.coefficients, std=1e-2)
    model.normalise(torch.from_numpy(points()))
    certificate = verify(model, points=points(), precision=7)  # the steep tanh is sensitive to digits
    assert certificate.passed
    assert {check.name for check in certificate.checks} >= {
        "terms against module",
        "terms against closed form as a module",
    }
    assert max(check.value for check in certificate.checks if check.limit == 1e-12) < 1e-12


def test_a_pruned_model_is_certified():
    model = SparseDictionary(polynomial("x y z", 2), 3)
    nn.init.normal_(model.coefficients)
    gated = l0.Gated(model, torch.from_numpy(points(4)).float())
    assert verify(l0.prune(gated, l0.Budget(gated, terms=3)), points=points()).passed


def test_another_module_fails():
    other = lorenz().torch()
    other.coefficients[2, 3] += 1e-9
    certificate = verify(lorenz(), other, points=points())
    assert not certificate.passed
    assert "FAILED" in str(certificate)
    assert {check.name for check in certificate.failed} >= {"terms against module", "coefficients read off the module"}


def test_the_printed_precision_has_its_price():
    coarse = next(c for c in verify(lorenz(), points=points(), precision=2).checks if c.name.startswith("printed"))
    fine = next(c for c in verify(lorenz(), points=points(), precision=8).checks if c.name.startswith("printed"))
    assert 1e-3 < coarse.value < 1
    assert fine.value < 1e-6
    assert coarse.limit == fine.limit == 1e-2


def test_trajectories_from_new_starts_are_compared():
    certificate = verify(
        lorenz(), lorenz().torch(), points=points(), precision=17,
        simulate=runge_kutta, starts=[[1.0, 2.0, 20.0], [-3.0, 1.0, 25.0]], times=np.linspace(0, 0.5, 51),
    )  # fmt: skip
    paths = {check.name: check for check in certificate.checks if check.name.startswith("trajectories")}
    assert set(paths) == {"trajectories, module", "trajectories, printed with 17 digits"}
    assert paths["trajectories, module"].value < 1e-9
    assert paths["trajectories, module"].detail == "2 starts up to 0.5"
    assert {check.verdict for check in paths.values()} == {"no limit"}


def test_every_term_is_left_out_once():
    data = points()
    certificate = verify(lorenz(), points=data, targets=lorenz().numpy()(data) + 0.1)
    assert len(certificate.ablations) == 7
    worth = {(one.target, one.term): one for one in certificate.ablations}
    full = lorenz().numpy()(data)[:, 2]
    expected = np.sqrt(np.mean((8 / 3 * data[:, 2]) ** 2) / np.mean(full**2))
    assert worth["z'", "z"].change == pytest.approx(expected)
    assert worth["z'", "z"].error > 100
    assert "error times" in str(certificate)


def test_random_points_where_a_term_is_not_defined_are_left_out():
    (x,) = variables("x")
    equations = Equations(("y",), Dictionary(("x",), [Term.of("log", x), Term.of("sqrt", x)]), [[1.0, 2.0]])
    certificate = verify(equations)
    assert certificate.passed
    assert 0 < int(certificate.checks[0].detail.split()[0]) < 1000


def test_functions_of_your_own_are_verified_too():
    assert verify(Equations(("d",), custom("x y", {"gap": lambda a, b: (a - b).abs()}), [[2.0]])).passed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"points": np.zeros((4, 2))}, ValueError, "expected a row of 3 numbers"),
        ({"points": np.full((4, 3), math.nan)}, NonFiniteError, "points hold 12"),
        ({"targets": np.zeros((4, 3))}, ValueError, "4 targets and 0 points"),
        ({"tolerance": math.nan}, ValueError, "tolerance must be positive"),
        ({"rounding_limit": 0.0}, ValueError, "rounding_limit must be positive"),
        ({"num_random": 0}, ValueError, "num_random must be"),
        ({"model": nn.Linear(3, 1)}, ValueError, "expected 3 outputs for each point"),
        ({"simulate": runge_kutta, "starts": [[0.0, 0.0, 0.0]]}, ValueError, "at least two times"),
        ({"simulate": runge_kutta, "times": [0.0, 1.0]}, ValueError, "the starts"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        verify(lorenz(), **arguments)


def test_what_has_no_equations_is_refused():
    with pytest.raises(TypeError, match="expected equations"):
        verify(nn.Linear(2, 2))


def test_trajectories_of_a_reward_are_refused():
    equations = Equations(("r",), polynomial("x y", 1), [[1.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="a target for each input"):
        verify(equations, simulate=runge_kutta, starts=[[0.0, 0.0]], times=[0.0, 1.0])
