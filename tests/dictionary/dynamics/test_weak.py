import numpy as np
import pytest
import torch

from ellzero.dictionary import polynomial
from ellzero.dictionary.dynamics.flow import jacobian_of
from ellzero.dictionary.dynamics.trajectories import read_trajectories
from ellzero.dictionary.dynamics.weak import bump, choose_radius, power_for, weak_form

LIBRARY = polynomial("x y z", 2)


def true_coefficients():
    found = torch.zeros(3, len(LIBRARY), dtype=torch.float64)
    for row, name, value in [
        (0, "x", -10.0), (0, "y", 10.0), (1, "x", 28.0), (1, "y", -1.0), (1, "x z", -1.0),
        (2, "z", -8 / 3), (2, "x y", 1.0),
    ]:  # fmt: skip
        found[row, LIBRARY.names.index(name)] = value
    return found


def test_the_slope_of_a_bump_is_its_derivative():
    position = torch.linspace(-0.99, 0.99, 41, dtype=torch.float64, requires_grad=True)
    value, slope = bump(position, 7)
    (expected,) = torch.autograd.grad(value.sum(), position)
    assert torch.allclose(slope, expected)


def test_a_bump_vanishes_outside_of_its_window():
    assert not bump(torch.tensor([-1.5, 1.0, 3.0]), 4)[0].any()


@pytest.mark.parametrize("radius", [16, 24, 40])
def test_true_equations_satisfy_the_weak_form_to_high_accuracy(lorenz, radius):
    states, time = lorenz()
    (run,) = read_trajectories(states, time)
    form = weak_form(run, LIBRARY, radius)
    rest = form.targets - form.features @ true_coefficients().T
    assert float(rest.abs().max()) < 1e-8 * float(form.targets.abs().max())


def test_true_equations_satisfy_the_weak_form_on_irregular_stamps_to_second_order(lorenz):
    rests = []
    for samples, step in ((501, 0.02), (1001, 0.01)):
        even, _ = lorenz(samples=10 * (samples - 1) + 1, step=step / 10)
        index = np.arange(samples) * 10 + np.rint(3 * np.sin(np.arange(samples))).astype(int).clip(0)
        index = np.minimum(index, len(even) - 1)
        (run,) = read_trajectories(even[index], index * step / 10)
        form = weak_form(run, LIBRARY, round(0.4 / step))
        rests.append(float((form.targets - form.features @ true_coefficients().T).square().mean().sqrt()))
    assert rests[1] < 0.4 * rests[0]


def test_the_covariance_of_the_residuals_is_what_repeated_noise_shows(lorenz):
    states, time = lorenz(samples=201)
    (clean,) = read_trajectories(states, time)
    sigma, coefficients = torch.tensor([0.02, 0.03, 0.04], dtype=torch.float64), true_coefficients()
    _, jacobian = jacobian_of(LIBRARY, coefficients, clean.inputs)
    expected = weak_form(clean, LIBRARY, 30, stride=20).covariance(jacobian, sigma)
    rng = np.random.default_rng(0)
    rests = []
    for _ in range(4000):
        noise = torch.from_numpy(rng.normal(size=states.shape)) * sigma
        form = weak_form(clean.at(clean.states + noise), LIBRARY, 30, stride=20)
        rests.append(form.targets - form.features @ coefficients.T)
    found = torch.stack(rests)
    for equation in range(3):
        observed = torch.cov(found[:, :, equation].T)
        assert float((observed - expected[equation]).norm() / expected[equation].norm()) < 0.1


def test_windows_grow_with_the_noise(lorenz):
    radii = []
    for noise in (0.001, 0.01, 0.1):
        states, time = lorenz(noise=noise)
        (run,) = read_trajectories(states, time)
        radii.append(choose_radius(run, torch.from_numpy(noise * states.std(0))))
    assert radii == sorted(radii)
    assert radii[0] < radii[-1]


def test_the_power_lets_a_bump_vanish_at_its_edge():
    for radius in (8, 20, 60):
        edge = torch.tensor(1 - 1 / radius, dtype=torch.float64)
        assert 4 <= power_for(radius) <= 16
        assert float(bump(edge, power_for(radius))[0]) < 1e-4


def test_a_trajectory_too_short_for_any_window_is_refused():
    (run,) = read_trajectories(np.zeros((17, 1)), 1.0)
    with pytest.raises(ValueError, match="at least 18 samples, got 17"):
        choose_radius(run, torch.ones(1, dtype=torch.float64))


def test_a_window_longer_than_the_trajectory_is_refused():
    (run,) = read_trajectories(np.zeros((20, 1)), 1.0)
    with pytest.raises(ValueError, match="21 samples does not fit into a trajectory of 20"):
        weak_form(run, polynomial("x", 1), 10)
