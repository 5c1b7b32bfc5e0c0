"""Pictures of equations: support, coefficients, Pareto front, trajectories, inclusion probabilities."""

import math
import subprocess
import sys
from itertools import pairwise

import pytest

from ellzero.errors import MissingExtraError
from ellzero.report import coefficient_path, inclusion, pareto, support_map, trajectories
from ellzero.report.labels import spread

pytest.importorskip("matplotlib")

LORENZ = {
    "x'": {"x": -10.0, "y": 10.0},
    "y'": {"x": 28.0, "y": -1.0, "x z": -1.0},
    "z'": {"x y": 1.0, "z": -8 / 3},
}
TIME = [0.1 * step for step in range(60)]


def test_labels_that_are_far_apart_stay_where_they_are():
    assert spread([0.9, 0.1, 0.5], 0.2) == [0.9, 0.1, 0.5]


def test_labels_move_apart_around_their_common_middle():
    assert spread([0.5, 0.5, 0.5], 0.1) == [0.4, 0.5, 0.6]


def test_labels_stay_inside_and_come_closer_where_they_do_not_fit():
    assert spread([1.0, 1.0, 1.0], 0.1) == [0.8, 0.9, 1.0]
    assert spread([0.0] * 5, 9.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert spread([], 0.1) == []


def test_places_of_labels_are_as_near_as_any_others_of_their_order():
    wanted = [0.31, 0.30, 0.62, 0.35, 0.60, 0.05]
    found = spread(wanted, 0.08)
    cost = sum((one - other) ** 2 for one, other in zip(found, wanted, strict=True))
    order = sorted(range(6), key=lambda index: wanted[index])
    assert all(found[b] - found[a] >= 0.08 - 1e-9 for a, b in pairwise(order))
    for place in range(6):
        for step in (-1e-3, 1e-3):  # moving any label and all after it, or before it, does not help
            for moved in (order[place:], order[: place + 1]):
                other = [value + step * (index in moved) for index, value in enumerate(found)]
                if all(other[b] - other[a] >= 0.08 - 1e-9 for a, b in pairwise(order)):
                    assert sum((one - two) ** 2 for one, two in zip(other, wanted, strict=True)) >= cost - 1e-12


def test_a_support_map_names_terms_coefficients_and_how_many_are_unused(tmp_path, texts_of, overlaps):
    names = ["1", "x", "y", "z", "x^2", "x y", "x z"]
    support_map(LORENZ, tmp_path / "support.svg", all_terms=names)
    texts = texts_of(tmp_path / "support.svg")
    assert {"x", "y", "x z", "x y", "z", "-10", "28", "-2.67", "positive", "negative", "not used"} <= set(texts)
    assert "2 more candidate terms are used by none" in texts
    assert "x^2" not in texts
    assert not overlaps


@pytest.mark.parametrize("num_columns", [1, 2, 9])
def test_a_support_map_of_many_models_with_long_names_is_legible(tmp_path, overlaps, num_columns):
    columns = {
        f"polynomial of degree {k}": {f"cos(theta)^{j} thdot^{k} u": 10.0 ** (j - 5) for j in range(k % 4, 12)}
        for k in range(num_columns)
    }
    support_map(columns, tmp_path / "support.svg")
    assert not overlaps


@pytest.mark.parametrize(
    ("columns", "message"),
    [({}, "no coefficient"), ({"x'": {"x": 0.0}}, "no coefficient"), ({"x'": {"x": math.nan}}, "not finite")],
)
def test_a_support_map_without_numbers_is_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        support_map(columns, tmp_path / "support.svg")


def test_a_coefficient_path_names_the_terms_at_its_end(tmp_path, texts_of, overlaps):
    path = {"x'": {"x": [-8.0, -10.0, -10.1], "y": [0.0, 10.0, 10.1], "x y": [0.0, 0.0, 1e-4], "z": [0.0] * 3}}
    coefficient_path([1, 2, 3], path, tmp_path / "path.svg", chosen={"x'": 2})
    texts = texts_of(tmp_path / "path.svg")
    assert {"x'", "x", "y", "x y", "number of terms", "number that was decided for"} <= set(texts)
    assert "z" not in texts
    assert not overlaps


@pytest.mark.parametrize("num_terms", [3, 14, 30])
def test_the_names_of_many_coefficients_do_not_lie_over_each_other(tmp_path, overlaps, num_terms):
    sizes = list(range(1, num_terms + 1))
    terms = {f"cos^{k} v": [0.0 if size <= k else 1.0 + 1e-3 * k for size in sizes] for k in range(num_terms)}
    coefficient_path(sizes, {"cos'": terms, "sin'": terms}, tmp_path / "path.svg")
    assert not overlaps


def test_grey_lines_are_listed_below_and_names_that_moved_are_led_to(tmp_path, texts_of, overlaps):
    sizes = list(range(1, 31))
    terms = {f"x^{k} y": [0.0 if size <= k else 0.01 + 1e-6 * k for size in sizes] for k in range(26)}
    terms |= {f"z^{k}": [1.0 if size == k else 0.0 for size in sizes] for k in range(1, 16)}
    coefficient_path(sizes, {"a": terms, "b": {"x": [1.0] * 30}}, tmp_path / "path.svg")
    texts = texts_of(tmp_path / "path.svg")
    assert "x^0 y" in texts
    assert "x^19 y" in texts
    assert any(text.startswith("grey: x^20 y, x^21 y") for text in texts)
    assert any(text.endswith("and 9 more") for text in texts)
    assert not overlaps
    picture = (tmp_path / "path.svg").read_text(encoding="utf-8")
    assert picture.count("stroke-width: 0.5") >= 21  # a thin line to each name


def test_ticks_of_coefficients_of_both_signs_over_many_decades_do_not_lie_over_each_other(tmp_path, overlaps):
    values = {"y": 28.0, "x z": -1.0, "y^2": 3e-3, "z^2": -2e-4, "x y": 7e-6, "z^3": -1e-5, "x": -40.0}
    terms = {
        name: [value if size > place else 0.0 for size in range(1, 9)]
        for place, (name, value) in enumerate(values.items())
    }
    coefficient_path(list(range(1, 9)), {"x'": terms, "y'": terms, "z'": terms}, tmp_path / "path.svg")
    assert not overlaps


def test_a_coefficient_path_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the path of 'x' in \"x'\" has 1 values, expected 2"):
        coefficient_path([1, 2], {"x'": {"x": [1.0]}}, tmp_path / "path.svg")
    with pytest.raises(ValueError, match="no coefficient to draw"):
        coefficient_path([1, 2], {"x'": {"x": [0.0, 0.0]}}, tmp_path / "path.svg")


def test_a_pareto_front_shows_models_limits_and_what_was_decided_for(tmp_path, texts_of, overlaps):
    fronts = {
        "polynomial": [(k, 1.0 / k**3) for k in range(1, 12)],
        "Fourier": [(k, 1.1 / k**3) for k in range(1, 12)],
    }
    pareto(
        fronts, tmp_path / "pareto.svg", marks={"gated, by hand": (35, 2e-3)}, limits={"least squares": 7.4e-4},
        chosen={"polynomial": 9}, error="test error", title="Pendulum",
    )  # fmt: skip
    texts = texts_of(tmp_path / "pareto.svg")
    assert {"polynomial", "Fourier", "gated, by hand", "least squares", "Pendulum", "test error"} <= set(texts)
    assert {"decided for", "single model", "limit", "number of terms"} <= set(texts)
    assert not overlaps


def test_a_pareto_front_over_several_decades_of_size_is_legible(tmp_path, overlaps):
    fronts = {f"model {k}": [(10**j, 10.0 ** (-j - k / 50)) for j in range(1, 6)] for k in range(8)}
    pareto(fronts, tmp_path / "pareto.svg")
    assert not overlaps


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_errors_that_have_no_logarithm_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="positive and finite"):
        pareto({"model": [(1, value)]}, tmp_path / "pareto.svg")


def test_a_front_without_points_or_with_an_unknown_choice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got no point"):
        pareto({}, tmp_path / "pareto.svg")
    with pytest.raises(ValueError, match="3 terms were chosen for 'model'"):
        pareto({"model": [(1, 0.5)]}, tmp_path / "pareto.svg", chosen={"model": 3})


def test_trajectories_show_each_state_and_until_when_they_agree(tmp_path, texts_of, overlaps):
    true = {name: [math.sin(t + k) for t in TIME] for k, name in enumerate("xyz")}
    simulated = {name: [math.sin(1.1 * t + k) for t in TIME] for k, name in enumerate("xyz")}
    trajectories(TIME, true, simulated, tmp_path / "motion.svg", measured={"x": true["x"]}, until=2.5)
    texts = texts_of(tmp_path / "motion.svg")
    assert {"x", "y", "z", "time", "true", "simulated", "measured", "close until 2.5"} <= set(texts)
    assert not overlaps


def test_a_simulation_that_ends_early_or_leaves_the_finite_numbers_is_drawn_as_far_as_it_goes(tmp_path, texts_of):
    true = {"x": [math.sin(t) for t in TIME]}
    for simulated in ([0.0, 1e300, math.inf, math.nan], [], [1e9] * 60):
        trajectories(TIME, true, {"x": simulated}, tmp_path / "motion.svg")
        assert "simulated" in texts_of(tmp_path / "motion.svg")


def test_trajectories_of_other_states_or_lengths_are_refused(tmp_path):
    with pytest.raises(ValueError, match="give the same"):
        trajectories([0, 1], {"x": [0, 1]}, {"y": [0, 1]}, tmp_path / "motion.svg")
    with pytest.raises(ValueError, match="'x' has 1 values at 2 times"):
        trajectories([0, 1], {"x": [0]}, {"x": [0, 1]}, tmp_path / "motion.svg")


def test_inclusion_probabilities_are_ranked_and_rare_terms_left_out(tmp_path, texts_of, overlaps):
    found = {"x'": {"x": 1.0, "x^2": 0.04, "y": 0.98, "z^3": 0.001}, "y'": {"x z": 0.63}}
    inclusion(found, tmp_path / "inclusion.svg", chosen={"x'": {"x", "y"}})
    texts = texts_of(tmp_path / "inclusion.svg")
    assert {"x", "y", "x^2", "98.0 %", "63.0 %", "in the equation", "not in it"} <= set(texts)
    assert "z^3" not in texts
    assert texts.index("x") < texts.index("y") < texts.index("x^2")
    assert not overlaps


def test_probabilities_outside_the_unit_interval_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must lie in"):
        inclusion({"x'": {"x": 1.5}}, tmp_path / "inclusion.svg")
    with pytest.raises(ValueError, match="no term to draw"):
        inclusion({"x'": {}}, tmp_path / "inclusion.svg")


def draw_all(folder):
    support_map(LORENZ, folder / "support.svg")
    coefficient_path([1, 2], {"x'": {"x": [-8.0, -10.0], "y": [0.0, 10.0]}}, folder / "path.svg")
    pareto({"model": [(1, 0.5), (2, 0.1)]}, folder / "pareto.svg")
    trajectories([0, 1], {"x": [0, 1]}, {"x": [0, 2]}, folder / "motion.svg")
    inclusion({"x'": {"x": 0.5}}, folder / "inclusion.svg")


def test_the_same_data_make_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_all(tmp_path / name)
    for picture in (tmp_path / "one").iterdir():
        assert picture.read_bytes() == (tmp_path / "two" / picture.name).read_bytes()


def test_a_missing_matplotlib_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ellzero\[plots\]"'):
        support_map(LORENZ, tmp_path / "support.svg")


def test_pictures_need_neither_pyplot_nor_torch_values(tmp_path):
    script = "import sys; from ellzero.report import pareto; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)
