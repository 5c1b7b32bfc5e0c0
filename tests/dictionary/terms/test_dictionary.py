"""Dictionaries: terms computed together, joined, multiplied, selected; and the constructors."""

import copy
import math
from itertools import combinations

import pytest
import torch

from ellzero.dictionary import (
    Dictionary,
    Term,
    custom,
    fourier,
    identity,
    polynomial,
    rational,
    trigonometric,
    variables,
)
from ellzero.errors import NonFiniteError

X, Y = variables("x y")


def mixed():
    return polynomial("x y", 3) + trigonometric("x y", ["x", 2 * X - Y], 2) + rational("x y", 1)


def by_hand(name, x, y):
    """The value of a printed term."""
    text = name.replace("^", "**").replace(")(", ")*(").replace(" ", "*").replace("*-*", "-").replace("*+*", "+")
    return eval(text, {"sin": torch.sin, "cos": torch.cos, "x": x, "y": y}) * torch.ones_like(x)


def test_every_term_has_the_value_that_its_name_says():
    torch.manual_seed(0)
    samples = torch.randn(50, 2, dtype=torch.float64)
    values = mixed()(samples)
    for number, name in enumerate(mixed().names):
        assert torch.allclose(values[:, number], by_hand(name, *samples.T), rtol=1e-13), name


@pytest.mark.parametrize("shape", [(2,), (5, 2), (3, 4, 2), (0, 2)])
def test_any_leading_dimensions_are_kept(shape):
    dictionary = mixed()
    assert dictionary(torch.zeros(shape)).shape == (*shape[:-1], len(dictionary))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_that_of_the_inputs(dtype):
    assert mixed()(torch.ones(2, 2, dtype=dtype)).dtype == dtype


def test_gradients_with_respect_to_the_inputs_are_right():
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(mixed(), torch.randn(3, 2, dtype=torch.float64, requires_grad=True))


def test_it_compiles_to_one_graph_with_the_same_values():
    torch.manual_seed(0)
    dictionary, samples = mixed(), torch.randn(20, 2)
    compiled = torch.compile(dictionary, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(samples), dictionary(samples))


def test_it_exports_with_any_number_of_samples():
    torch.manual_seed(0)
    dictionary = mixed()
    batch = torch.export.Dim("batch", min=2, max=1000)
    program = torch.export.export(dictionary, (torch.randn(7, 2),), dynamic_shapes=({0: batch},))
    samples = torch.randn(11, 2)
    assert torch.allclose(program.module()(samples), dictionary(samples))


def test_it_has_no_state_that_is_saved():
    assert not mixed().state_dict()
    assert not list(mixed().parameters())


def test_a_copy_computes_the_same():
    samples = torch.randn(4, 2)
    assert torch.equal(copy.deepcopy(mixed())(samples), mixed()(samples))


def test_a_sum_keeps_terms_that_both_have_once():
    one, other = polynomial("x y", 2), polynomial("y z", 2)
    both = one + other
    assert both.inputs == ("x", "y", "z")
    assert len(both) == 6 + 6 - 3
    assert both.names[:6] == one.names


def test_a_product_has_every_product_once():
    product = polynomial("x", 2) * polynomial("x", 2)
    assert product.names == ("1", "x", "x^2", "x^3", "x^4")
    tensor = fourier("x", 1, bias=True, products=False) * fourier("y", 1, bias=True, products=False)
    assert len(tensor) == 9
    assert "sin(x) cos(y)" in tensor.names


def test_two_functions_of_one_name_are_refused():
    one, other = custom("x", {"f": torch.sin}, of=["x"]), custom("x", {"f": torch.cos}, of=["x"])
    with pytest.raises(ValueError, match="rename one"):
        one + other
    assert len(one + custom("x", {"f": torch.sin}, of=["x"])) == 1


def test_units_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="is in m in one and in s in the other"):
        identity("x", units={"x": "m"}) + polynomial("x", 2, units={"x": "s"})


def test_terms_are_selected_by_name_number_and_mask():
    dictionary = polynomial("x y", 2)
    assert dictionary.select(["x y", "x"]).names == ("x", "x y")
    assert dictionary.select([4, 1]).names == ("x", "x y")
    assert dictionary.select(torch.tensor([False, True, False, False, True, False])).names == ("x", "x y")
    assert dictionary.without(["1", "y^2"]).names == ("x", "y", "x^2", "x y")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["x z"], "did you mean"),
        ([6], "numbered from 0 to 5"),
        ([True, False], "2 entries for 6 terms"),
        ("x", r"write \['x'\]"),
        ([], "at least one term"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        polynomial("x y", 2).select(chosen)


@pytest.mark.parametrize(
    ("inputs", "terms", "message"),
    [
        ((), [Term()], "at least one input"),
        (("x", "x"), [Term()], "two inputs are called 'x'"),
        (("x",), [], "at least one term"),
        (("x",), [Term(), Term()], "given twice"),
        (("speed",), [Term.variable("sped")], "did you mean 'speed'"),
        (("x",), [Term.of("sine", X)], "did you mean 'sin'"),
    ],
)
def test_a_dictionary_that_means_nothing_is_refused(inputs, terms, message):
    with pytest.raises(ValueError, match=message):
        Dictionary(inputs, terms)


def test_what_is_no_term_is_refused():
    with pytest.raises(TypeError, match="expected terms, got str"):
        Dictionary(("x",), ["x^2"])


def test_inputs_of_another_width_or_type_are_refused():
    with pytest.raises(ValueError, match="the 2 inputs x, y"):
        polynomial("x y", 2)(torch.zeros(4, 3))
    with pytest.raises(TypeError, match="floating-point"):
        polynomial("x y", 2)(torch.zeros(4, 2, dtype=torch.int64))


def test_terms_that_overflow_are_named():
    dictionary = polynomial("x", 3) + Dictionary(("x",), [Term.of("exp", X), Term.of("log", X)])
    with pytest.raises(NonFiniteError, match=r"'exp\(x\)' \(1\), 'log\(x\)' \(2\)"):
        dictionary.evaluate(torch.tensor([[1000.0], [-1.0], [0.0]]))
    assert dictionary.without(["exp(x)", "log(x)"]).evaluate(torch.tensor([[1000.0]])).dtype == torch.float64


def test_inputs_that_are_not_finite_are_named():
    with pytest.raises(NonFiniteError, match="the input 'y' is NaN or infinite in 1 of 2"):
        polynomial("x y", 1).evaluate(torch.tensor([[0.0, 1.0], [0.0, math.nan]]))


@pytest.mark.parametrize(("num", "degree"), [(1, 4), (3, 3), (4, 2)])
def test_a_polynomial_has_as_many_terms_as_there_are_monomials(num, degree):
    assert len(polynomial(num, degree)) == math.comb(num + degree, degree)


def test_a_polynomial_of_some_inputs_leaves_the_others_out():
    assert polynomial("x y z", 2, only=["x", "z"]).names == ("1", "x", "z", "x^2", "x z", "z^2")
    with pytest.raises(ValueError, match="'w' is chosen"):
        polynomial("x y", 2, only=["w"])


@pytest.mark.parametrize("degree", [-1, 1.5, True])
def test_a_degree_is_a_whole_number(degree):
    with pytest.raises(ValueError, match="degree"):
        polynomial("x", degree)


@pytest.mark.parametrize("num", [1, 2, 4])
def test_a_fourier_dictionary_of_degree_one_has_all_products_of_two(num):
    dictionary = fourier(num, 1)
    single = [Term.of(name, variables(f"x{i}")[0]) for i in range(num) for name in ("sin", "cos")]
    assert set(dictionary.terms) == {*single, *(one * other for one, other in combinations(single, 2))}
    assert len(dictionary) == 2 * num + math.comb(2 * num, 2)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_no_fourier_term_is_a_sum_of_others(degree):
    torch.manual_seed(0)
    for dictionary in (fourier("x", degree, bias=True), fourier("x y", degree, bias=True)):
        values = dictionary(
            6.3 * torch.rand(3 * len(dictionary) + 50, dictionary.inputs.__len__(), dtype=torch.float64)
        )
        assert torch.linalg.matrix_rank(values) == len(dictionary)


def test_a_period_sets_the_frequency():
    dictionary = fourier("t", 1, products=False, period=2.0)
    assert torch.allclose(dictionary(torch.tensor([[0.5]])), torch.tensor([[1.0, 0.0]]), atol=1e-6)
    with pytest.raises(ValueError, match="period of 't' must be positive"):
        fourier("t", 1, period=0.0)


def test_rational_terms_divide_by_what_is_given():
    dictionary = rational("x y", 1, [1 + X * Y], bias=False)
    assert dictionary.names == ("x/(1 + x y)", "y/(1 + x y)")
    with pytest.raises(ValueError, match="must depend on an input"):
        rational("x", 1, [2 * X - 2 * X])


def test_functions_of_several_inputs_are_applied_to_every_combination():
    dictionary = custom("x y z", {"gap": lambda a, b: (a - b).abs()})
    assert dictionary.names == ("gap(x, y)", "gap(x, z)", "gap(y, z)")
    assert dictionary(torch.tensor([[1.0, 4.0, 9.0]])).tolist() == [[3.0, 8.0, 5.0]]
    assert custom("x y", {"gap": lambda a, b: a - b}, of=[("x", 1 + Y)]).names == ("gap(x, 1 + y)",)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"sin": torch.sin}, "has a function 'sin' already"),
        ({"f": lambda: 0}, "takes no argument"),
        ({"my f": lambda a: a}, "identifier|made of letters"),
        ({"f": torch.nn.Linear(1, 1)}, "parameters of its own"),
    ],
)
def test_functions_that_cannot_be_used_are_refused(functions, message):
    with pytest.raises(ValueError, match=message):
        custom("x", functions)


def test_inputs_are_named_by_a_number_or_a_string():
    assert identity(2).inputs == ("x0", "x1")
    assert identity("theta, omega").inputs == ("theta", "omega")
    with pytest.raises(ValueError, match="from 1 on"):
        identity(0)


def test_a_hundred_powers_are_computed_by_products():
    values = polynomial("x", 100)(torch.tensor([[0.99]], dtype=torch.float64))
    assert torch.allclose(values[0], 0.99 ** torch.arange(101, dtype=torch.float64), rtol=1e-13)
