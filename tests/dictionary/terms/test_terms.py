"""Terms, polynomials inside of functions, and units: plain data in canonical form."""

import copy
from fractions import Fraction

import pytest

from ellzero.dictionary import Dictionary, Factor, Inner, Term, Unit, polynomial, trigonometric, variables
from ellzero.dictionary.terms.inner import by_name, check_name

X, Y = variables("x y")


def test_equal_polynomials_compare_equal_however_they_were_written():
    assert (X + Y) ** 2 == X * X + 2 * X * Y + Y**2
    assert Inner(()) == X - X
    assert str(1 - X / 2) == "1 - 0.5 x"
    assert str(Inner(())) == "0"


def test_a_polynomial_prints_numbers_that_are_read_back():
    assert str(0.1 * X) == "0.1 x"
    third = 1 / 3
    assert float(str(third * X).split()[0]) == third


def test_substitution_composes_polynomials():
    assert (X**2 + Y).substituted({"x": 1 + Y}) == 1 + 3 * Y + Y**2


@pytest.mark.parametrize("name", ["", "2x", "x y", "x^2", "x;", "None"])
def test_names_that_are_no_identifiers_are_refused_with_a_better_one(name):
    with pytest.raises(ValueError, match="try '"):
        check_name(name)


def test_a_name_must_be_a_string():
    with pytest.raises(TypeError, match="must be a string"):
        check_name(3)


@pytest.mark.parametrize("power", [-1, 1.5, True])
def test_a_polynomial_has_whole_powers_only(power):
    with pytest.raises(ValueError, match="whole"):
        X**power


def test_a_polynomial_refuses_what_is_no_number():
    with pytest.raises(TypeError, match="variables"):
        X + "y"
    with pytest.raises(ValueError, match="finite"):
        X * float("nan")


def test_products_of_equal_factors_add_their_powers():
    sine = Term.of("sin", 2 * X)
    assert sine * sine == sine**2
    assert str(sine**2 * Term.variable("x")) == "x sin(2 x)^2"


def test_a_factor_and_one_over_it_cancel():
    below = Term.of("identity", 1 + X**2, -1)
    assert below * Term.of("identity", 1 + X**2) == Term()
    assert str(Term()) == "1"


def test_a_monomial_without_a_function_becomes_its_powers():
    assert Term.of("identity", X**2 * Y) == Term.variable("x", 2) * Term.variable("y")


def test_the_cosine_does_not_mind_the_sign_of_its_argument():
    assert Term.of("cos", -X) == Term.of("cos", X)
    assert Term.of("sin", -X) != Term.of("sin", X)


def test_terms_print_in_the_order_of_the_inputs():
    term = Term.variable("a") * Term.variable("b", 2)
    assert term.text(("b", "a")) == "b^2 a"


def test_terms_with_several_denominators_print_all_of_them():
    term = Term.variable("x") * Term.of("identity", 1 + X, -2) * Term.variable("y", -1)
    assert str(term) == "x/y/(1 + x)^2"


@pytest.mark.parametrize("power", [0, 0.5, True])
def test_a_factor_has_a_whole_power_but_zero(power):
    with pytest.raises(ValueError, match="but zero"):
        Factor("sin", X, power)


def test_a_known_function_takes_one_argument():
    with pytest.raises(ValueError, match="takes one argument, got 2"):
        Factor("sin", X, 1, (Y,))


def test_the_degree_counts_factors():
    assert (Term.variable("x", 2) * Term.of("sin", X)).degree == 3


def test_numbers_in_names_are_ordered_by_value():
    assert sorted(["x10", "x2", "x"], key=by_name) == ["x", "x2", "x10"]


def test_copies_of_plain_data_are_the_same_object():
    term = Term.of("sin", X)
    assert copy.deepcopy(term) is term


def test_units_multiply_and_divide():
    assert Unit.parse("kg m^2/s^2") / Unit.parse("kg") == Unit.parse("m^2 s^-2")
    assert str(Unit.parse("m^(1/2)")) == "m^(1/2)"
    assert Unit.parse("m/m") == Unit() == Unit.parse("1")
    assert Unit.parse("m") ** Fraction(1, 2) == Unit.parse("m^(1/2)")


def test_a_unit_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="cannot be read at"):
        Unit.parse("m**2")


def test_terms_have_the_units_of_their_inputs():
    dictionary = polynomial("x v", 2, units={"x": "m", "v": "m/s"})
    units = dict(zip(dictionary.names, map(str, dictionary.term_units), strict=True))
    assert units == {"1": "1", "x": "m", "v": "m s^-1", "x^2": "m^2", "x v": "m^2 s^-1", "v^2": "m^2 s^-2"}


def test_dictionaries_without_units_have_terms_without_units():
    assert polynomial("x", 2).term_units is None


def test_roots_and_absolute_values_have_units():
    dictionary = Dictionary(("x",), [Term.of("sqrt", X), Term.of("abs", X), Term.of("sign", X)], units={"x": "m^2"})
    assert [str(unit) for unit in dictionary.term_units] == ["m", "m^2", "1"]


def test_a_function_of_a_quantity_with_a_unit_is_refused():
    dictionary = trigonometric("x", ["x"], units={"x": "m"})
    with pytest.raises(ValueError, match="quantity in m"):
        _ = dictionary.term_units


def test_adding_metres_to_seconds_is_refused():
    dictionary = Dictionary(("x", "y"), [Term.of("identity", X + Y, -1)], units={"x": "m", "y": "s"})
    with pytest.raises(ValueError, match="adds quantities in m and s"):
        _ = dictionary.term_units


def test_a_unit_for_no_input_is_refused():
    with pytest.raises(ValueError, match="did you mean 'speed'"):
        polynomial(["speed"], 1, units={"sped": "m"})
