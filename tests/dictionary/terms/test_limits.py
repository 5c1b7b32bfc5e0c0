"""Powers, degrees and numbers of terms that nobody can mean are refused before anything is computed."""

import time

import pytest
import torch

from ellzero.dictionary import (
    Dictionary,
    Factor,
    Term,
    Unit,
    custom,
    fourier,
    identity,
    polynomial,
    rational,
    trigonometric,
    variables,
)
from ellzero.dictionary.terms.inner import check_name

(X,) = variables("x")
HUGE = 10**9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: polynomial("x", HUGE), "the degree is 1000000000, expected at most 100"),
        (lambda: polynomial(60, 12), "the number of monomials of degree 12 in 60 inputs would be"),
        (lambda: rational("x", HUGE), "the degree is"),
        (lambda: fourier("x", HUGE), "the highest frequency is"),
        (lambda: fourier(10, 100), "sines, cosines and products would be"),
        (lambda: trigonometric("x", of=["x"], frequencies=HUGE), "the number of frequencies would be"),
        (lambda: identity(HUGE), "the number of inputs would be"),
        (lambda: custom(200, {"f": lambda a, b, c, d: a}), "the number of terms of 'f' would be"),
        (lambda: polynomial("x y", 40) * polynomial("u v", 40), "the number of products would be"),
        (lambda: polynomial("x", 60) * polynomial("x", 60), "the power of .identity. is 101"),
        (lambda: Factor("sin", X, HUGE), "the power of 'sin' is"),
        (lambda: Term.variable("x", -HUGE), "the power of 'identity' is"),
        (lambda: Term.variable("x", 60) * Term.variable("y", 60), "the degree of a term is 120"),
        (lambda: Term.of("sin", X) ** HUGE, "the power of 'sin' is"),
        (lambda: X**HUGE, "the power of a polynomial is"),
        (lambda: X**60 * X**60, "the degree of a monomial is 120"),
        (lambda: sum(variables("a b c d"), start=1 * X) ** 90, "the number of monomials of a polynomial would be"),
    ],
)
def test_what_nobody_waits_for_is_refused_at_once(make, message):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=message):
        make()
    assert time.perf_counter() - start < 2


def test_the_largest_degrees_are_computed():
    assert polynomial("x", 100)(torch.tensor([[1.0]])).sum() == 101
    assert len(fourier("x", 100)) == 399


@pytest.mark.parametrize("name", ["__x", "_m", "m_", "m__s", "m2"])
def test_units_have_names_made_of_letters(name):
    with pytest.raises(ValueError, match=r"unit"):
        polynomial("x", 1, units={"x": name})
    with pytest.raises(ValueError, match="is not made of letters"):
        Unit(((name, 1),))


def test_units_may_hold_greek_letters_and_single_underscores():
    assert str(Unit.parse("µm/sea_mile")) == "sea_mile^-1 µm"


def test_an_exponent_over_zero_is_refused():
    with pytest.raises(ValueError, match="cannot be read"):
        Unit.parse("m^(1/0)")


def test_a_term_of_an_input_without_a_unit_is_named():
    with pytest.raises(ValueError, match="no unit for 'y' in the term 'x y'"):
        Unit.of_term(Term.variable("x") * Term.variable("y"), {"x": Unit()})


@pytest.mark.parametrize("period", [{"c": 2.0}, {"a": 1.0, "aa": 2.0}])
def test_a_period_for_something_that_is_no_input_is_refused(period):
    with pytest.raises(
        ValueError, match=r"there is a period for '(c|aa)', which is no input; (known are|did you mean)"
    ):
        fourier("a b", 1, period=period)


def test_a_period_of_some_inputs_leaves_that_of_the_others():
    assert fourier("a b", 1, products=False, period={"a": 1.0}).names[2:] == ("sin(b)", "cos(b)")


def test_names_that_python_reads_as_others_are_refused():
    with pytest.raises(ValueError, match=r"letters that Python reads as others.*write 'fi'"):
        check_name("\N{LATIN SMALL LIGATURE FI}")
    assert Dictionary(("fi", "θ"), [Term.variable("θ")]).names == ("θ",)
