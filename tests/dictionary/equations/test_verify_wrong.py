"""Equations that are wrong on purpose, in many ways: none of them gets a certificate."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ellzero.dictionary import (
    Dictionary,
    Equations,
    Output,
    SparseDictionary,
    Term,
    fourier,
    polynomial,
    rational,
    trigonometric,
    variables,
    verify,
)


class Sealed(nn.Module):
    """A module of which nothing is known but what it computes."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(x)


def sealed(equations):
    return Sealed(equations.torch())


def failed(certificate):
    return {check.name for check in certificate.failed}


def one(coefficients, dictionary=None, output=None):
    dictionary = dictionary or polynomial("x y", 2)
    row = [coefficients.get(name, 0.0) for name in dictionary.names]
    return Equations(("a",), dictionary, [row], (output,) if output else ())


WIDE = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 3.0]

WRONG = {
    "a coefficient": ({"x": 2.0, "y": 1.0}, {"x": 2.0, "y": 1.0 + 1e-9}),
    "a sign": ({"x": 2.0, "y": 1.0}, {"x": 2.0, "y": -1.0}),
    "a term too many": ({"x": 2.0}, {"x": 2.0, "y^2": 1e-6}),
    "a term too few": ({"x": 2.0, "y^2": 1e-6}, {"x": 2.0}),
    "another term": ({"x": 2.0, "y^2": 1.0}, {"x": 2.0, "x y": 1.0}),
    "swapped inputs": ({"x": 2.0, "y": 1.0}, {"x": 1.0, "y": 2.0}),
    "an offset": ({"1": 1.0, "x": 2.0}, {"1": 1.0 + 1e-8, "x": 2.0}),
    "beside 1e4": ({"1": 1e4, "x": 2.0}, {"1": 1e4, "x": 2.0 * (1 + 1e-9)}),
    "beside 1e8": ({"1": 1e8, "x": 2.0, "y^2": 0.5}, {"1": 1e8, "x": 2.0 * (1 + 1e-5), "y^2": 0.5}),
    "beside 1e12": ({"1": 1e12, "x": 2.0, "y^2": 0.5}, {"1": 1e12, "x": 2.2, "y^2": 0.5}),
    "hidden by terms that cancel": ({"x": 1e6, "y": -1e6, "x y": 1.0}, {"x": 1e6, "y": -1e6, "x y": 1 + 1e-7}),
    "a small term": ({"x": 1.0, "x y": 1e-9}, {"x": 1.0, "x y": 2e-9}),
    "a variation on a constant": ({"1": 1e12}, {"1": 1e12, "x": 1.0}),
}


@pytest.mark.parametrize("points", [None, WIDE], ids=["no data", "data"])
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_module_fails_even_if_nothing_is_known_of_it(kind, points):
    claimed, real = (one(coefficients) for coefficients in WRONG[kind])
    assert failed(verify(claimed, sealed(real), points=points)) & {
        "terms against module", "coefficients probed one by one",
    }  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_coefficients_that_can_be_read_are_compared_as_they_are(kind):
    claimed, real = (one(coefficients) for coefficients in WRONG[kind])
    assert "coefficients read off the module" in failed(verify(claimed, real.torch()))


def test_one_digit_in_the_last_place_is_seen_where_coefficients_can_be_read():
    claimed, real = one({"1": 1e12, "x": 1.0}), one({"1": 1e12, "x": 1.0 + 1e-11})
    (found,) = verify(claimed, real.torch()).failed
    assert (found.name, found.detail) == ("coefficients read off the module", "x in a")
    assert found.value == pytest.approx(1e-11, rel=1e-3)


@pytest.mark.parametrize(
    ("dictionary", "name"),
    [
        (fourier("x y", 2), "cos(2 y)"),
        (trigonometric("x y", of=["x"]), "sin(x)"),
        (rational("x y", 1), "y/(1 + x^2)"),
        (polynomial("x y", 6), "x^3 y^2"),
    ],
)
@pytest.mark.parametrize("error", [1e-9, 1e-3, 1.0])
def test_every_kind_of_term_is_probed(dictionary, name, error):
    right = np.random.default_rng(1).normal(size=(1, len(dictionary)))
    wrong = right.copy()
    wrong[0, dictionary.names.index(name)] *= 1 + error
    claimed, real = (Equations(("a",), dictionary, one) for one in (right, wrong))
    assert verify(claimed, sealed(claimed), points=WIDE).passed
    assert "coefficients probed one by one" in failed(verify(claimed, sealed(real), points=WIDE))


@pytest.mark.parametrize(
    "wrong",
    [
        Output("tanh", scale=2.0 + 1e-6),
        Output("tanh", scale=2.0, offset=1e-6),
        Output("sigmoid", scale=2.0),
        Output("clip", scale=2.0, low=-1, high=1),
    ],
)
def test_wrong_output_functions_fail(wrong):
    claimed = one({"x": 1.0, "y": 0.5}, output=Output("tanh", scale=2.0))
    assert verify(claimed, sealed(claimed)).passed
    assert not verify(claimed, sealed(one({"x": 1.0, "y": 0.5}, output=wrong))).passed
    assert not verify(claimed, one({"x": 1.0, "y": 0.5}, output=wrong).torch()).passed


def test_a_scale_that_is_written_into_the_coefficients_is_the_same_equation():
    claimed = one({"x": 2.0, "1": 3.0})
    other = Equations(("a",), polynomial("x y", 2), [[0, 1.0, 0, 0, 0, 0]], (Output(scale=2.0, offset=3.0),))
    assert verify(claimed, other.torch()).passed


def test_a_term_that_float64_cannot_show_is_not_certified():
    claimed = one({"1": 1e14, "sin(x)": 1.0}, polynomial("x y", 0) + trigonometric("x y", of=["x"]))
    certificate = verify(claimed, sealed(claimed))
    (found,) = certificate.failed
    assert found.name == "coefficients known no better than"
    assert "hidden by larger terms: sin(x) in a" in found.detail
    assert "FAILED: coefficients known no better than" in str(certificate)
    assert verify(claimed, claimed.torch()).passed  # its coefficients can be read


def test_a_module_that_is_only_nearly_the_same_fails():
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    model = SparseDictionary(polynomial("x y", 3), 1)
    x = torch.from_numpy(WIDE)
    with torch.no_grad():
        model.double().refit(x, network.double()(x))
    assert not verify(model.equations(), network, points=WIDE).passed
    assert verify(model, points=WIDE).passed


def test_inputs_in_another_order_fail():
    claimed = Equations(("a",), polynomial("x y", 1), [[0.0, 1.0, 2.0]])
    swapped = Equations(("a",), polynomial("y x", 1), [[0.0, 2.0, 1.0]])
    assert not verify(claimed, swapped.torch()).passed


def test_targets_that_are_the_negative_fail_and_the_fit_is_shown():
    law = one({"1": 1.0, "x": 2.0, "y^2": 0.5})
    certificate = verify(law, law.torch(), points=WIDE, targets=-law.numpy()(WIDE))
    assert failed(certificate) == {"unexplained share of a"}
    assert "R^2 = -" in str(certificate)


def test_the_fit_is_a_figure_with_the_size_of_the_residual():
    law = one({"x": 2.0})
    noise = np.random.default_rng(0).normal(size=(300, 1))
    certificate = verify(law, points=WIDE, targets=law.numpy()(WIDE) + 0.1 * noise)
    (check,) = (check for check in certificate.checks if check.name.startswith("unexplained"))
    assert check.value == pytest.approx(0.01 / (4 * WIDE[:, 0].var()), rel=0.2)
    assert "root mean square residual 0.09" in check.detail or "root mean square residual 0.1" in check.detail
    assert certificate.passed


@pytest.mark.parametrize(("value", "passes"), [(3.0, True), (3.1, True), (7.0, False)])
def test_a_target_that_stands_still_is_held_against_its_size(value, passes):
    law = one({"1": value})
    assert verify(law, points=WIDE, targets=np.full((300, 1), 3.0)).passed is passes


def test_digits_that_give_another_function_fail_and_enough_of_them_are_named():
    law = Equations(("r",), polynomial("c", 12), [np.poly1d(np.poly([0.9] * 12)).coeffs[::-1]])
    grid = np.linspace(0.5, 1, 100)[:, None]
    (found,) = verify(law, law.torch(), precision=1, points=grid).failed
    assert found.name == "printed with 1 digits"
    digits = int(found.detail.split("precision=")[1].split()[0])
    assert 1 < digits <= 17
    assert verify(law, law.torch(), precision=digits, points=grid).passed
    assert not verify(law, law.torch(), precision=digits - 1, points=grid).passed


def test_what_was_not_checked_is_said():
    certificate = verify(one({"x": 1.0}))
    assert certificate.missing == ("a module (none given)", "data (no points given)", "the fit (no targets given)")
    assert "not checked: a module (none given)" in str(certificate)


def test_trajectories_that_run_away_are_shown_as_infinite():
    from ellzero.recipes.system import follow

    (x,) = variables("x")
    law = Equations(("x'",), Dictionary(("x",), [Term.of("identity", x, 2)]), [[0.99996]])  # infinite at t = 1
    certificate = verify(law, precision=1, simulate=follow, starts=[[1.0]], times=[0.0, 1.00001])
    assert math.isinf(next(check.value for check in certificate.checks if "trajectories" in check.name))


def test_an_equation_that_is_zero_is_certified_and_a_module_that_is_not_fails():
    law = one({})
    assert verify(law, law.torch()).passed
    assert not verify(law, sealed(one({"x": 1e-9}))).passed


def test_many_points_are_looked_at_in_a_sample_where_every_term_is_probed():
    law = one({"x": 1.0, "x y": -2.0})
    many = np.random.default_rng(0).normal(size=(50_000, 2))
    certificate = verify(law, sealed(law), points=many)
    on = {check.name: check.detail for check in certificate.checks}
    assert certificate.passed
    assert on["each term, NumPy against PyTorch"] == "4167 points"
    assert "50000 points of the data" in {check.detail for check in certificate.checks}
