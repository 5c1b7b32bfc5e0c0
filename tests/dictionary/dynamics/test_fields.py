import math

import numpy as np
import pytest
import torch

from ellzero.dictionary import FieldDynamics, evolve, polynomial, space_derivatives
from ellzero.dictionary.dynamics.by_parts import by_parts
from ellzero.dictionary.dynamics.fields import derivative_names
from ellzero.dictionary.dynamics.grid import read_fields
from ellzero.errors import NonFiniteError

LIBRARY = polynomial(derivative_names(4), 2)


def evolved(terms, start, times, length, step):
    coefficients = torch.zeros(len(LIBRARY), dtype=torch.float64)
    for name, value in terms.items():
        coefficients[LIBRARY.names.index(name)] = value
    return evolve(LIBRARY, coefficients, torch.from_numpy(start), torch.from_numpy(times), length, step=step).numpy()


def burgers():
    length, times = 16.0, np.linspace(0, 8, 81)
    x = np.arange(128) * length / 128 - 8
    terms = {"u u_x": -1.0, "u_xx": 0.1}
    return evolved(terms, np.exp(-((x + 2) ** 2)), times, length, 0.02), times, x, terms


def soliton(speed, x, centre, length):
    x = (x - centre + length / 2) % length - length / 2
    return speed / 2 / np.cosh(math.sqrt(speed) / 2 * x) ** 2


def korteweg_de_vries():
    length, times = 40.0, np.linspace(0, 5, 101)
    x = np.arange(256) * length / 256
    start = soliton(4.0, x, 8, length) + soliton(1.5, x, 20, length)
    terms = {"u u_x": -6.0, "u_xxx": -1.0}
    return evolved(terms, start, times, length, 0.002), times, x, terms


def kuramoto_sivashinsky():
    length = 16 * math.pi
    x = np.arange(128) * length / 128
    terms = {"u u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0}
    start = np.cos(2 * math.pi * x / length) * (1 + np.sin(6 * math.pi * x / length))
    start = evolved(terms, start, np.array([0.0, 60.0]), length, 0.1)[-1]
    times = np.linspace(0, 50, 251)
    return evolved(terms, start, times, length, 0.05), times, x, terms


def found_terms(model):
    row = model.coefficients()[0]
    return {name: value for name, value in zip(model.dictionary.names, row, strict=True) if value}


@pytest.mark.parametrize("make", [burgers, korteweg_de_vries, kuramoto_sivashinsky])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_equations_are_found_from_noisy_fields(make, noise):
    field, times, x, terms = make()
    noisy = field + noise * field.std() * np.random.default_rng(0).normal(size=field.shape)
    found = found_terms(FieldDynamics().fit(noisy, times, x))
    assert found.keys() == terms.keys()
    tolerance = 2e-2 if noise else 1e-4
    assert all(found[name] == pytest.approx(value, rel=tolerance) for name, value in terms.items())


@pytest.mark.parametrize("differentiation", ["finite", "smoothed"])
def test_derivatives_at_points_find_burgers_from_clean_data(differentiation):
    field, times, x, terms = burgers()
    model = FieldDynamics(2, differentiation=differentiation, derivatives=2).fit(field, times, x)
    assert found_terms(model) == pytest.approx(terms, rel=1e-2)


def test_several_runs_are_read_together():
    field, times, x, terms = burgers()
    model = FieldDynamics().fit([field[:41], field[41:]], [times[:41], times[41:]], x)
    assert found_terms(model) == pytest.approx(terms, rel=1e-3)


def test_what_was_found_can_be_followed():
    field, times, x, _ = burgers()
    model = FieldDynamics(2, derivatives=2).fit(field, times, x)
    assert model.equations().text(2) == "u_t = 0.1 u_xx - u u_x"
    assert model.simulate(field[0], times, step=0.05) == pytest.approx(field, abs=1e-5)
    assert model.standard_errors().shape == (1, len(model.dictionary))


def test_a_soliton_keeps_its_shape_and_speed():
    length, x = 40.0, np.arange(256) * 40 / 256
    moved = evolved({"u u_x": -6.0, "u_xxx": -1.0}, soliton(4.0, x, 10, length), np.array([0.0, 2.0]), length, 0.002)
    assert moved[-1] == pytest.approx(soliton(4.0, x, 18, length), abs=1e-5)


def test_the_scheme_in_time_has_order_four():
    field, _, x, terms = burgers()
    times = np.array([0.0, 1.0])
    exact = evolved(terms, field[0], times, 16.0, 1 / 256)[-1]
    errors = [np.abs(evolved(terms, field[0], times, 16.0, step)[-1] - exact).max() for step in (1 / 8, 1 / 16)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.4)
    assert len(x) == 128


@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_terms_whose_noise_cancels_on_a_single_wave_are_not_taken(noise, seed):
    x, t = np.arange(128) * 20 / 128, np.linspace(0, 8, 201)
    place = (x - 1.2 * t[:, None] + 10 / 3) % 20 - 10
    clean = np.exp(-(place**2))
    noisy = clean + noise * clean.std() * np.random.default_rng(seed).normal(size=clean.shape)
    found = found_terms(FieldDynamics().fit(noisy, t, x))
    assert found == {
        "u_x": pytest.approx(-1.2, rel=0.01)
    }  # three or four terms under the covariance of the first search


def test_derivatives_in_space_are_exact_for_waves_on_the_grid():
    x = torch.arange(32, dtype=torch.float64) * 3 / 32
    wave = math.tau / 3 * 4
    found = space_derivatives((wave * x).sin(), 3.0, 3)
    expected = [(wave * x).sin(), wave * (wave * x).cos(), -(wave**2) * (wave * x).sin(), -(wave**3) * (wave * x).cos()]
    assert torch.allclose(found, torch.stack(expected, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "powers", [(0, 1), (1, 1), (2, 1), (1, 0, 1), (2, 0, 1), (1, 0, 0, 1), (2, 0, 0, 0, 1), (0, 1, 1), (1, 2)]
)
def test_integration_by_parts_changes_no_product(powers):
    x = torch.arange(64, dtype=torch.float64) * math.tau / 64
    grid = space_derivatives(x.sin() + 0.5 * (2 * x + 1).cos(), math.tau, 4)

    def product(exponents):
        values = torch.ones_like(x)
        for index, power in enumerate(exponents):
            values = values * grid[:, index] ** power
        return values

    parts = by_parts(powers)
    found = sum(
        part.factor * space_derivatives(product(part.powers), math.tau, part.order)[:, part.order] for part in parts
    )
    assert torch.allclose(found, product(powers), atol=1e-8)
    assert all(len(part.powers) <= 1 or part.powers[-1] > 1 for part in parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.arange(127.0)}, "expected .samples, points."),
        ({"x": np.arange(128.0) ** 2}, "the places must be equally spaced, got gaps from 1 to 253"),
        ({"t": np.linspace(0, 3, 81) ** 2}, "time stamps of run 0 must be equally spaced"),
    ],
)
def test_grids_that_do_not_fit_are_refused(change, message):
    field, times, x, _ = burgers()
    with pytest.raises(ValueError, match=message):
        FieldDynamics().fit(field, change.get("t", times), change.get("x", x))


def test_a_field_with_gaps_is_refused():
    field, times, x, _ = burgers()
    field[3, 4] = np.nan
    with pytest.raises(NonFiniteError, match="u of run 0 holds NaN"):
        FieldDynamics().fit(field, times, x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"differentiation": "weka"}, "did you mean 'weak'"),
        ({"derivatives": 0}, "must be 1 to 8"),
        ({"resolution": -1.0}, "between 0 and 1"),
        ({"resolution": float("nan")}, "between 0 and 1"),
        ({"terms": 99}, "larger than the dictionary"),
        ({"dictionary": polynomial("v v_x", 2)}, "its inputs are"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FieldDynamics(**options)


def test_half_a_derivative_is_refused():
    with pytest.raises(TypeError, match="derivatives must be a whole number"):
        FieldDynamics(derivatives=2.5)


def test_a_model_without_an_equation_says_so():
    with pytest.raises(ValueError, match="call fit"):
        FieldDynamics().equations()


def test_a_field_that_runs_away_is_refused():
    with pytest.raises(NonFiniteError, match="leaves the finite numbers"):
        evolved({"u^2": 1.0}, np.full(32, 5.0), np.array([0.0, 50.0]), 1.0, 0.5)


def test_a_field_that_does_not_vary_or_is_not_periodic_is_refused():
    x, t = np.arange(64) * 2 * np.pi / 64, np.arange(100) * 0.01
    with pytest.raises(ValueError, match="is the same everywhere and always"):
        FieldDynamics().fit(np.ones((100, 64)), t, x)
    with pytest.raises(ValueError, match=r"jumps by .* it is not periodic"):
        FieldDynamics().fit(np.exp(-t)[:, None] * x, t, x)
    with pytest.raises(ValueError, match=r"same at all places, .* Dynamics instead"):
        FieldDynamics().fit(np.exp(-t)[:, None] * np.ones(64), t, x)
    twice = np.linspace(0, 2 * np.pi, 64)
    with pytest.raises(ValueError, match=r"repeats the first; .* pass u\[:, :-1\]"):
        FieldDynamics().fit(np.sin(twice - t[:, None]), t, twice)


def test_a_pulse_between_quiet_ends_and_a_field_that_is_even_are_periodic():
    t = np.arange(100) * 0.01
    for x in (np.arange(64) / 4 - 8, (np.arange(64) + 0.5) / 4 - 8):
        grid = read_fields(np.exp(-t)[:, None] * np.exp(-(x**2) / 4), t, x)
        assert grid.length == pytest.approx(16)


def heat(kind=np.float64):
    x, t = np.arange(64) * 2 * np.pi / 64, np.linspace(0, 1, 101)
    field = sum(np.exp(-0.1 * k**2 * t[:, None]) * np.sin(k * x + k) for k in range(1, 6))
    return field.astype(kind), t.astype(kind), x.astype(kind)


@pytest.mark.parametrize("form", [lambda one: one, torch.from_numpy], ids=["arrays", "tensors"])
def test_fields_and_marks_in_single_precision_are_taken(form):
    model = FieldDynamics().fit(*map(form, heat(np.float32)))
    assert found_terms(model) == {"u_xx": pytest.approx(0.1, rel=1e-4)}


def test_a_derivative_in_time_by_fourier_series_is_refused_where_the_field_is_not_periodic_in_time():
    with pytest.raises(ValueError, match="not one whole period"):
        FieldDynamics(differentiation="spectral").fit(*heat())


def test_a_simulation_starts_on_the_grid_of_the_fit():
    field, t, x = heat()
    model = FieldDynamics(derivatives=2).fit(field, t, x)
    with pytest.raises(ValueError, match=r"u0 must have shape \(64,\) or \(runs, 64\), .* got \(32,\)"):
        model.simulate(field[0, :32], t)


@pytest.mark.parametrize("differentiation", ["weak", "finite"])
def test_the_score_is_high_for_the_law_and_low_for_another(differentiation):
    field, t, x = heat()
    model = FieldDynamics(differentiation=differentiation).fit(field, t, x)
    assert model.score(field, t, x) > 0.9999
    assert model.score([field, 2 * field], [t, t], x) > 0.9999
    assert model.score(field[:, ::2], t, x[::2]) > 0.999  # on another grid
    assert model.score(field[::-1], t, x) < -2  # backwards in time


def test_terms_of_a_field_are_chosen_again_on_windows_drawn_anew():
    field, t, x = heat()
    noisy = field + 0.05 * np.random.default_rng(0).normal(size=field.shape)
    model = FieldDynamics().fit(noisy, t, x)
    chances = model.inclusion_probabilities(50)
    assert chances.shape == model.coefficients().shape
    assert chances.sum() == pytest.approx(1)
    assert chances[0, model.dictionary.names.index("u_xx")] > 0.9
