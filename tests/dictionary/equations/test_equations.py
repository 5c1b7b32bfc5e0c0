"""Equations in every language compute the same, and say what they compute."""

import ctypes
import math
import shutil
import subprocess

import numpy as np
import pytest
import torch

from ellzero.dictionary import (
    Dictionary,
    Equations,
    Factor,
    Output,
    Term,
    custom,
    fourier,
    identity,
    polynomial,
    rational,
    variables,
)
from ellzero.errors import NonFiniteError

X, Y = variables("x y")
FUNCTIONS = ("sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "exp", "sqrt", "log", "abs", "sign", "sigmoid")
ALL_OUTPUTS = (
    Output(),
    Output("tanh", 2.0, -0.5),
    Output("clip", 1.5, 0.0, -1.0, 2.0),
    Output("sigmoid"),
    Output("clip", low=0.0),
    Output("identity", -3.0, 0.25),
)


def everything():
    """Every function, powers, quotients, and every kind of output function."""
    functions = [Term.of(name, 0.5 * X * X + 0.25) for name in FUNCTIONS]
    others = [Term((Factor("sin", X - 2 * Y, -3), Factor("identity", X, 6))), Term.of("identity", 1 + X**2 + Y**5, -2)]
    dictionary = polynomial("x y", 3) + Dictionary(("x", "y"), [*functions, *others]) + rational("x y", 1)
    coefficients = torch.randn(len(ALL_OUTPUTS), len(dictionary), generator=torch.Generator().manual_seed(0)).double()
    coefficients[:, ::5] = 0
    return Equations(tuple(f"y{i}'" for i in range(len(ALL_OUTPUTS))), dictionary, coefficients, ALL_OUTPUTS)


def points(num=64):
    return np.random.default_rng(0).uniform(0.1, 1.5, (num, 2))


def lorenz():
    dictionary = polynomial("x y z", 2)
    rows = [{"x": -10, "y": 10}, {"x": 28, "y": -1, "x z": -1}, {"z": -8 / 3, "x y": 1}]
    return Equations(("x'", "y'", "z'"), dictionary, [[row.get(n, 0) for n in dictionary.names] for row in rows])


def test_the_text_of_the_lorenz_system_is_the_textbook():
    assert lorenz().text() == "x' = -10 x + 10 y\ny' = 28 x - y - x z\nz' = -2.667 z + x y"
    assert lorenz().text(None).endswith("z' = -2.6666666666666665 z + x y")
    assert (lorenz().num_terms, repr(lorenz())) == (7, "Equations(3 targets, 7 terms)")


def test_small_coefficients_are_never_dropped_from_the_text():
    assert str(Equations(("y",), polynomial("x", 1), [[0.0, 1.2346e-9]])) == "y = 1.235e-09 x"
    assert str(Equations(("y",), polynomial("x", 1), [[0.0, 0.0]])) == "y = 0"


def test_latex_knows_greek_letters_dots_and_fractions():
    dictionary = Dictionary(
        ("theta", "x_10", "u"), [Term.variable("theta", 2), Term.of("sin", variables("x_10")[0], -1), Term()]
    )
    shown = Equations(("theta_dot",), dictionary, [[1.0, -2.0, 1e-7]]).latex()
    assert shown == (
        "\\begin{aligned}\n\\dot{\\theta} &= \\theta^{2} - 2\\, \\frac{1}{\\sin\\left(x_{10}\\right)} + 1 \\cdot"
        " 10^{-07}\n\\end{aligned}"
    ).replace("-07", "-7")


def test_latex_shows_output_functions():
    equations = Equations(("a",), polynomial("w", 1), [[0.0, 3.0]], [Output("tanh", 2.0, 1.0)])
    assert "a &= 2\\, \\tanh\\left(3\\, w\\right) + 1" in equations.latex()
    clipped = Equations(("a",), polynomial("w", 1), [[0.0, 3.0]], [Output("clip", low=-8.0)])
    assert "\\operatorname{clip}\\left(3\\, w, -8, \\infty\\right)" in clipped.latex()


def test_numpy_and_torch_agree_on_everything():
    equations = everything()
    found = equations.torch()(torch.from_numpy(points())).numpy()
    np.testing.assert_allclose(equations.numpy()(points()), found, rtol=1e-12, atol=1e-12)


def test_python_source_computes_the_same():
    equations = everything()
    names: dict[str, object] = {}
    exec(equations.python("law"), names)
    np.testing.assert_allclose(names["law"](points()), equations.numpy()(points()), rtol=1e-12, atol=1e-12)
    assert names["law"](points()[0]).shape == (len(ALL_OUTPUTS),)


@pytest.mark.parametrize("inputs", [("np", "lambda", "inputs"), ("law", "law_", "_")])
def test_python_source_survives_names_that_are_taken(inputs):
    equations = Equations(("y",), polynomial(inputs, 1), [[1.0, 2.0, 3.0, 4.0]])
    names: dict[str, object] = {}
    exec(equations.python("law"), names)
    assert names["law"]([1.0, 10.0, 100.0]).tolist() == [432.0 + 1]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_c_source_compiles_without_a_warning_and_computes_the_same(tmp_path):
    equations = everything()
    (tmp_path / "law.c").write_text(equations.c("law"))
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-shared", "-fPIC", "law.c", "-lm"]
    subprocess.run([*command, "-o", "law.so"], cwd=tmp_path, check=True, timeout=120)
    law = ctypes.CDLL(str(tmp_path / "law.so")).law
    found = np.empty((len(points()), len(ALL_OUTPUTS)))
    for row, point in zip(found, points(), strict=True):
        law((ctypes.c_double * 2)(*point), row.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
    np.testing.assert_allclose(found, equations.numpy()(points()), rtol=1e-12, atol=1e-12)


def test_sympy_expressions_have_the_same_values():
    pytest.importorskip("sympy")
    equations = everything()
    for target, expression in equations.sympy().items():
        row = equations.targets.index(target)
        for point in points(3):
            values = {symbol: dict(zip("xy", point, strict=True))[symbol.name] for symbol in expression.free_symbols}
            expected = equations.numpy()(point)[row]
            assert float(expression.evalf(30, subs=values)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_sympy_differentiates_the_lorenz_system():
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x", real=True)
    assert lorenz().sympy()["x'"].diff(x) == -10


def test_functions_of_your_own_are_passed_on():
    dictionary = custom("x y", {"gap": lambda a, b: (a - b).abs()})
    equations = Equations(("d",), dictionary, [[2.0]])
    assert equations.numpy()([1.0, 4.0]).tolist() == [6.0]
    names: dict[str, object] = {}
    exec(equations.python(), names)
    assert names["equations"]([1.0, 4.0], lambda a, b: abs(a - b)).tolist() == [6.0]
    assert "extern double gap(double, double);" in equations.c()
    assert str(equations.sympy()["d"]) == "2*gap(x, y)"
    assert "\\operatorname{gap}\\left(x, y\\right)" in equations.latex()


def test_rounded_equations_are_those_that_are_printed():
    equations = lorenz().rounded(2)
    assert equations.coefficients[2, 3] == -2.7
    assert equations.text(None) == lorenz().text(2)


def test_trimmed_equations_have_no_idle_term():
    assert len(lorenz().trimmed().dictionary) == 5
    nothing = Equations(("y",), polynomial("x", 2), [[0, 0, 0]]).trimmed()
    assert (len(nothing.dictionary), nothing.num_terms) == (1, 0)


def test_scaling_is_folded_into_the_terms():
    shift, scale = np.array([1.0, -2.0]), np.array([2.0, 0.5])
    dictionary = (
        polynomial("x y", 3)
        + fourier("x y", 1)
        + rational("x y", 1)
        + Dictionary(("x", "y"), [Term.of("identity", 3 * X, -2), Term.of("exp", X * Y)])
    )
    coefficients = np.random.default_rng(0).normal(size=(2, len(dictionary)))
    outputs = (Output(), Output("tanh", 3.0, 1.0))
    plain = Equations(("a", "b"), dictionary, coefficients, outputs)
    folded = Equations.scaled(
        ("a", "b"), dictionary, coefficients, outputs=outputs,
        input_shift=shift, input_scale=scale, target_shift=[5.0, -1.0], target_scale=[2.0, 4.0],
    )  # fmt: skip
    expected = np.array([5.0, -1.0]) + np.array([2.0, 4.0]) * plain.numpy()((points() - shift) / scale)
    np.testing.assert_allclose(folded.numpy()(points()), expected, rtol=1e-11, atol=1e-11)


def test_scaling_without_a_shift_keeps_the_number_of_terms():
    folded = Equations.scaled(
        ("x'", "y'", "z'"), lorenz().dictionary, lorenz().coefficients, input_scale=[8, 9, 25], target_scale=3.0
    )
    assert folded.num_terms == 7


def test_a_shifted_target_gets_a_constant_term():
    folded = Equations.scaled(("y",), polynomial("x", 1, bias=False), [[2.0]], target_shift=3.0)
    assert str(folded) == "y = 3 + 2 x"


@pytest.mark.parametrize(
    ("given", "message"),
    [({"input_scale": 0.0}, "not zero"), ({"target_shift": math.nan}, "finite"), ({"input_shift": [1, 2]}, "shape")],
)
def test_a_scaling_that_means_nothing_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Equations.scaled(("y",), polynomial("x", 1), [[1.0, 2.0]], **given)


def test_units_of_coefficients_follow_from_those_of_targets():
    dictionary = polynomial("x v", 1, bias=False, units={"x": "m", "v": "m/s"})
    equations = Equations(("a",), dictionary, [[-4.0, -0.5]])
    assert str(equations.units({"a": "m/s^2"})["a", "v"]) == "s^-1"
    equations.check_units({"a": "m/s^2"}, constants=["1/s", "s^-2"])
    with pytest.raises(ValueError, match=r"coefficient of 'x' in 'a' would be in s\^-2"):
        equations.check_units({"a": "m/s^2"})
    with pytest.raises(ValueError, match="the inputs have no units"):
        lorenz().units({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("y",), polynomial("x", 1), [[1.0]]), r"shape \(1, 1\), expected \(1, 2\)"),
        ((("y", "y"), polynomial("x", 1), np.ones((2, 2))), "two targets are called 'y'"),
        ((("y\n",), polynomial("x", 1), [[1.0, 1.0]]), "cannot be printed"),
        ((("*/",), polynomial("x", 1), [[1.0, 1.0]]), "cannot be printed"),
        ((("y",), polynomial("x", 1), [[1.0, 1.0]], (Output(), Output())), "2 output functions for 1"),
    ],
)
def test_equations_that_mean_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Equations(*arguments)


def test_coefficients_that_are_not_finite_are_named():
    with pytest.raises(NonFiniteError, match="the coefficient of 'x' in 'y' is nan"):
        Equations(("y",), polynomial("x", 1), [[1.0, math.nan]])


@pytest.mark.parametrize("precision", [0, 1.5, True])
def test_a_precision_is_a_number_of_digits(precision):
    with pytest.raises(ValueError, match="significant digits"):
        lorenz().text(precision)


@pytest.mark.parametrize("name", ["my law", "", "2x"])
def test_source_functions_have_sound_names(name):
    for write in (lorenz().python, lorenz().c):
        with pytest.raises(ValueError, match="name of a function"):
            write(name)


def test_coefficients_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="read-only"):
        lorenz().coefficients[0, 0] = 1.0


@pytest.mark.parametrize("language", ["python", "c"])
@pytest.mark.parametrize("name", ["while", "inputs", "np", "sin", "double"])
def test_functions_cannot_have_names_that_mean_something_else(language, name):
    equations = Equations(("y",), identity("x"), np.array([[2.0]]))
    taken = {"python": {"while", "inputs", "np"}, "c": {"while", "inputs", "sin", "double"}}
    if name in taken[language]:
        with pytest.raises(ValueError, match=f"means something else there already; try '{name}_law'"):
            getattr(equations, language)(name)
    else:
        assert name in getattr(equations, language)(name)


def test_names_that_would_look_alike_in_latex_are_told_apart():
    for names in ("lambda lambda_", "x10 x_10", "_ __", "theta_dot theta"):
        first, second = Equations(("y",), identity(names), np.array([[1.0, 1.0]])).latex().split("&= ")[1].split(" + ")
        assert first != second.split("\n")[0]


@pytest.mark.parametrize("target", ["x'", "x'''", "u_t", "d^2x/dt^2", "x(k + 1)", "log(y)", "θ'"])
def test_targets_that_are_allowed_leave_the_sources_whole(target):
    law = Equations((target,), polynomial("x", 1), [[1.0, 2.0]])
    place = {}
    exec(compile(law.python(), "law.py", "exec"), place)
    assert place["equations"]([3.0]) == [7.0]
    assert law.c().count("/*") == law.c().count("*/") == 3


@pytest.mark.parametrize(
    "target",
    ["a'''+b", "a*/b", "/*", "a//b", 'a"""', "a\n", "a b", "", "a\\", "x" + 5 * "'", "1x", "a(b", "a?/", 81 * "a"],
)
def test_targets_that_are_no_names_are_refused(target):
    with pytest.raises(ValueError, match="cannot be printed everywhere"):
        Equations((target,), polynomial("x", 1), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("name", "language"), [("class", "python"), ("np", "python"), ("double", "c"), ("outputs", "c")]
)
def test_functions_of_your_own_are_not_called_like_words_of_the_language(name, language):
    law = Equations(("d",), custom("x", {name: lambda a: a.abs()}), [[2.0]])
    with pytest.raises(ValueError, match=f"your function '{name}' means something else"):
        getattr(law, language)()
