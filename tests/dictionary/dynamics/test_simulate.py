import math

import numpy as np
import pytest
import torch

from ellzero.dictionary import from_pysindy, polynomial, r2_score, to_pysindy, trigonometric, valid_prediction_time
from ellzero.dictionary.dynamics.motion import follow
from ellzero.dictionary.dynamics.simulate import integrate, integrate_many, iterate
from ellzero.errors import NonFiniteError


def turn(time, state):
    return torch.stack([state[..., 1], -state[..., 0]], -1)


@pytest.mark.parametrize("method", ["LSODA", "DOP853"])
def test_one_trajectory_follows_a_circle(method):
    times = torch.linspace(0, 10, 21, dtype=torch.float64)
    found = integrate(turn, torch.tensor([1.0, 0.0], dtype=torch.float64), times, method=method)
    assert torch.allclose(found, torch.stack([times.cos(), -times.sin()], 1), atol=1e-5)


def test_many_trajectories_follow_circles_to_the_tolerance():
    times = torch.linspace(0, 10, 21, dtype=torch.float64)
    starts = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    found = integrate_many(turn, starts, times, rtol=1e-10, atol=1e-10)
    expected = torch.stack(
        [torch.stack([times.cos(), -times.sin()], 1), 2 * torch.stack([times.sin(), times.cos()], 1)]
    )
    assert torch.allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("run", [integrate, lambda *given: integrate_many(given[0], given[1][None], given[2])])
@pytest.mark.filterwarnings("ignore:lsoda")
def test_a_solution_that_runs_away_is_reported_with_its_time(run):
    times = torch.linspace(0, 3, 31, dtype=torch.float64)
    with pytest.raises(NonFiniteError, match="leaves the finite numbers near t ="):
        run(lambda t, x: x**2, torch.ones(1, dtype=torch.float64), times)  # infinite at t = 1


def test_a_map_that_runs_away_is_reported():
    with pytest.raises(NonFiniteError, match="leaves the finite numbers"):
        iterate(lambda k, x: x**3, torch.full((1,), 10.0, dtype=torch.float64), 20)


def test_controls_may_be_numbers_or_a_function_of_time():
    stamps = np.linspace(0, 4, 401)

    def rates(inputs):
        return inputs[..., 1:]  # x' = u

    given = {"names": ["x", "u"], "states": 1, "is_map": False, "integrator": None, "options": {}}
    by_table = follow(rates, [0.0], stamps, (np.cos(stamps), None), **given)
    by_function = follow(rates, [0.0], stamps, (np.cos, None), **given)
    assert by_table[:, 0].numpy() == pytest.approx(np.sin(stamps), abs=1e-4)
    assert by_function[:, 0].numpy() == pytest.approx(np.sin(stamps), abs=1e-6)


def test_starts_stamps_and_controls_may_be_tensors():
    stamps = torch.linspace(0, 4, 401, dtype=torch.float64)
    found = follow(
        lambda inputs: inputs[..., 1:], torch.zeros(1), stamps, (stamps.cos()[:, None], None),
        names=["x", "u"], states=1, is_map=False, integrator=None, options={},
    )  # fmt: skip
    torch.testing.assert_close(found[:, 0], stamps.sin(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("integrator", ["LSODA", "RK45", "DOP853", "Radau", "BDF", "dopri5"])
def test_no_integrator_steps_over_a_pulse_of_the_control(integrator):
    stamps = np.linspace(0, 20, 2001)
    pulse = np.where((stamps > 10) & (stamps < 10.1), 10.0, 0.0)
    found = follow(
        lambda inputs: inputs[..., 1:] - inputs[..., :1], [0.0], stamps, (pulse, None),
        names=["x", "u"], states=1, is_map=False, integrator=integrator, options={},
    )  # fmt: skip
    charge = 10.0 * 0.09 * math.exp(-0.05)  # nine samples of 10, and half of it has been there for 0.05
    assert float(found.max()) == pytest.approx(charge, rel=0.01)


@pytest.mark.parametrize(
    ("x0", "t", "given", "message"),
    [
        ([0.0, 0.0], np.arange(3.0), (None, None), "x0 must have shape"),
        ([0.0], 5.0, (np.cos, None), "at least two time stamps"),
        ([0.0], np.arange(3.0), (np.zeros(4), None), "one row for each of the 3 time stamps"),
        ([0.0], np.arange(3.0), (None, None), "need 1 controls and parameters"),
    ],
)
def test_starts_and_controls_that_do_not_fit_are_refused(x0, t, given, message):
    with pytest.raises(ValueError, match=message):
        follow(
            lambda inputs: inputs[..., 1:], x0, t, given,
            names=["x", "u"], states=1, is_map=False, integrator=None, options={},
        )  # fmt: skip


def test_the_valid_time_ends_at_the_threshold_and_counts_in_lyapunov_times():
    time = torch.arange(0, 10, 0.1, dtype=torch.float64)
    truth = time.sin()[:, None]
    wrong = truth + 0.01 * time.exp()[:, None]
    limit = math.log(0.4 * float(truth.std(correction=0)) / 0.01)
    assert valid_prediction_time(truth, wrong, time) == pytest.approx(limit, abs=0.1)
    assert valid_prediction_time(truth, wrong, time, exponent=2.0) == pytest.approx(2 * limit, abs=0.2)
    assert valid_prediction_time(truth, truth, time) == pytest.approx(9.9)
    assert valid_prediction_time(truth, truth * math.nan, time) == 0


def test_shapes_that_differ_have_no_valid_time():
    with pytest.raises(ValueError, match="do not agree"):
        valid_prediction_time(torch.zeros(3, 1), torch.zeros(4, 1), torch.arange(3.0))


def test_r2_is_one_for_the_truth_and_zero_for_the_mean():
    truth = torch.tensor([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    assert r2_score(truth, truth) == 1
    assert r2_score(truth[:, :1], truth[:, :1].mean().expand(3, 1)) == pytest.approx(0, abs=1e-6)


def test_names_survive_the_way_to_pysindy_and_back():
    library = polynomial("x0 x1", 3) + trigonometric("x0 x1", of=["x0"], frequencies=2)
    names = to_pysindy(library)
    assert "sin(1 x0)" in names
    assert from_pysindy(names, ["x0", "x1"]).names == library.names


def test_products_of_functions_and_powers_are_read():
    found = from_pysindy(["x0 sin(1 x1)", "cos(3 x0)^2", "x0^3 x1"], ["x0", "x1"])
    point = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    expected = [0.3 * math.sin(0.7), math.cos(0.9) ** 2, 0.027 * 0.7]
    assert found(point)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x5", "'x5' in the feature name 'x5' is not known"),
        ("sine(1 x0)", "did you mean 'sin'"),
        ("sin(x0 + x1)", "cannot be read"),
        ("x0 + 1", "cannot be read at"),
        ("__import__('os')", "cannot be read|not known"),
    ],
)
def test_names_that_are_no_terms_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        from_pysindy([name], ["x0", "x1"])


def test_equations_that_would_take_for_ever_are_given_up_early():
    times = torch.linspace(0, 100, 11, dtype=torch.float64)
    with pytest.raises(NonFiniteError, match="in 500 steps and would take more than 100000; the equations are stiff"):
        integrate_many(lambda t, x: -1e9 * x, torch.ones(2, 1, dtype=torch.float64), times)
    with pytest.raises(NonFiniteError, match="more than 1000"):
        integrate_many(lambda t, x: (1e3 * x).cos(), torch.ones(2, 1, dtype=torch.float64), times, max_steps=1000)


def test_scores_take_the_arrays_that_simulate_returns():
    truth = np.array([[1.0], [2.0], [6.0]])
    assert r2_score(truth, truth) == r2_score(truth.tolist(), torch.from_numpy(truth)) == 1
    assert valid_prediction_time(truth, truth, np.arange(3)) == 2
    assert valid_prediction_time(truth, truth, [0, 1, 2], exponent=0.5) == 1
    with pytest.raises(ValueError, match="truth has shape"):
        r2_score(truth, truth[:2])


def test_an_integrator_that_is_not_known_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"the integrator 'LSDOA' is not known; did you mean 'LSODA'\?"):
        follow(
            lambda inputs: inputs, [0.0], np.arange(3.0), (None, None),
            names=["x"], states=1, is_map=False, integrator="LSDOA", options={},
        )  # fmt: skip
