"""What samples tell about a dictionary before anything is fitted."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ellzero.dictionary import Dictionary, Term, fourier, identifiability, identity, polynomial, variables
from ellzero.errors import NonFiniteError

X, Y = variables("x y")


def circle(num=200, dtype=torch.float64):
    angle = torch.linspace(0, 6.2, num, dtype=torch.float64)
    rest = torch.randn(num, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([angle.cos()[:, None], angle.sin()[:, None], rest], 1).to(dtype)


def test_independent_terms_are_identifiable():
    report = identifiability(polynomial("x y", 3), np.random.default_rng(0).normal(size=(100, 2)))
    assert report.is_identifiable
    assert (report.rank, report.constant, report.duplicated, report.collinear) == (10, (), (), ())
    assert report.canonical.terms == report.dictionary.terms
    assert "so no condition number" not in str(report)


def test_the_condition_is_that_of_the_scaled_columns():
    samples = np.random.default_rng(0).normal(size=(100, 2)) * [1.0, 1e6]
    columns = samples / np.linalg.norm(samples, axis=0)
    assert identifiability(identity("x y"), samples).condition == pytest.approx(np.linalg.cond(columns))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_cubic_dictionary_of_the_pendulum_is_not_identifiable(dtype):
    report = identifiability(polynomial("c s w u", 3), circle(dtype=dtype))
    assert report.collinear == ("s^2", "c s^2", "s^3", "s^2 w", "s^2 u")
    assert [str(relation) for relation in report.relations][:3] == [
        "c^2 + s^2 - 1 = 0",
        "c - c^3 - c s^2 = 0",
        "s - c^2 s - s^3 = 0",
    ]
    assert report.rank == len(report.canonical) == 30
    assert identifiability(report.canonical, circle(dtype=dtype)).is_identifiable


def test_an_identity_of_functions_is_told_from_one_of_the_samples():
    squares = Dictionary(("x",), [Term(), Term.of("sin", X, 2), Term.of("cos", X, 2), Term.of("cos", 2 * X)])
    report = identifiability(squares, np.linspace(0, 5, 50)[:, None])
    assert [relation.is_identity for relation in report.relations] == [True, True]
    assert str(report.relations[0]) == "sin(x)^2 + cos(x)^2 - 1 = 0"
    assert report.relations[1].coefficients == {"1": Fraction(1), "sin(x)^2": Fraction(-2)}
    assert "for all inputs" in str(report)
    assert not identifiability(polynomial("c s w u", 2), circle()).relations[0].is_identity


def test_multiples_and_constants_are_named():
    terms = [Term.variable("x"), Term.of("sin", X), Term.of("sin", -X), Term.variable("y")]
    samples = np.random.default_rng(0).normal(size=(50, 2))
    samples[:, 1] = 3.0
    report = identifiability(Dictionary(("x", "y"), terms), samples)
    assert report.duplicated == (("sin(x)", "sin(-x)"),)
    assert report.constant == ("y",)
    assert "multiples of one another: sin(x) and sin(-x)" in str(report)
    both = identifiability(Dictionary(("x", "y"), [Term(), *terms]), samples)
    assert str(both.relations[-1]) == "y - 3 = 0"


def test_a_term_that_is_zero_everywhere_is_a_relation_of_its_own():
    report = identifiability(polynomial("x y", 1), np.stack([np.linspace(0, 1, 20), np.zeros(20)], -1))
    assert str(report.relations[0]) == "y = 0"


def test_coefficients_that_are_no_fractions_are_shown_as_numbers():
    samples = np.random.default_rng(0).normal(size=(30, 2))
    samples[:, 1] = np.sqrt(2) * samples[:, 0]
    assert str(identifiability(identity("x y"), samples).relations[0]) == "1.41421 x - y = 0"


def test_fourier_dictionaries_with_their_products_are_identifiable():
    samples = np.random.default_rng(0).uniform(0, 6.3, (300, 2))
    assert identifiability(fourier("x y", 2, bias=True), samples).is_identifiable


def test_fewer_samples_than_terms_are_refused():
    with pytest.raises(ValueError, match="5 samples cannot tell 10 terms apart"):
        identifiability(polynomial("x y", 3), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="a row for each sample"):
        identifiability(polynomial("x y", 3), np.zeros(2))


def test_terms_that_overflow_are_named():
    with pytest.raises(NonFiniteError, match=r"exp\(x\)"):
        identifiability(Dictionary(("x",), [Term(), Term.of("exp", X)]), np.full((10, 1), 1e4))


def test_why_there_is_no_condition_number_is_said():
    angle = np.linspace(0, 6, 200)
    report = identifiability(polynomial("c s", 2), np.stack([np.cos(angle), np.sin(angle)], -1))
    assert report.condition == np.inf
    rest = identifiability(report.canonical, np.stack([np.cos(angle), np.sin(angle)], -1))
    assert report.rest_condition == pytest.approx(rest.condition)
    assert "rank 5, so no condition number (" in str(report)


def test_terms_that_only_rounding_tells_apart_are_dependent_unless_the_tolerance_says_otherwise():
    x = 1 + np.linspace(-1e-6, 1e-6, 100)[:, None]
    columns = np.concatenate([x**0, x, x**2], 1)
    assert np.linalg.matrix_rank(columns / np.linalg.norm(columns, axis=0)) == 3
    assert identifiability(polynomial("x", 2), x).rank == 2
    assert identifiability(polynomial("x", 2), x, tolerance=1e-13).rank == 3
    assert identifiability(polynomial("x", 2), x - 1).rank == 3


def test_a_dictionary_of_zeros_has_no_condition_number():
    report = identifiability(identity("x y"), np.zeros((5, 2)))
    assert report.rank == 0
    assert np.isnan(report.rest_condition)
    assert "rank 0" in str(report)


@pytest.mark.parametrize("tolerance", [-1.0, 1.0, np.nan])
def test_tolerances_that_are_no_share_are_refused(tolerance):
    with pytest.raises(ValueError, match="the tolerance is a share"):
        identifiability(identity("x"), np.ones((3, 1)), tolerance=tolerance)
