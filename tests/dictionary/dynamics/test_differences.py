import math

import numpy as np
import pytest
import torch

from ellzero.dictionary.dynamics.differences import (
    differentiate,
    finite_difference,
    smoothed_difference,
    spectral_difference,
)
from ellzero.dictionary.dynamics.noise_level import noise_level


def stamps(kind):
    regular = torch.linspace(0, 3, 61, dtype=torch.float64)
    return regular if kind == "regular" else regular + 0.01 * torch.sin(7 * regular)


@pytest.mark.parametrize("kind", ["regular", "irregular"])
@pytest.mark.parametrize("order", [1, 2, 4, 5])
def test_finite_differences_are_exact_for_polynomials_of_their_order(kind, order):
    time = stamps(kind)
    found = finite_difference(time[:, None] ** order, time, order=order)
    assert torch.allclose(found[:, 0], order * time ** (order - 1), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("order", [2, 4])
def test_the_error_of_finite_differences_falls_with_the_power_of_the_step_that_is_promised(order):
    errors = []
    for samples in (41, 81):
        time = torch.linspace(0, 2, samples, dtype=torch.float64)
        found = finite_difference(time.sin()[:, None], time, order=order)[:, 0]
        errors.append(float((found - time.cos())[10:-10].abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("kind", ["regular", "irregular"])
def test_smoothing_beats_differences_on_noisy_data(kind):
    time = stamps(kind)
    noisy = time.sin() + 0.02 * torch.from_numpy(np.random.default_rng(0).normal(size=len(time)))
    rough = finite_difference(noisy[:, None], time)[:, 0] - time.cos()
    smooth = smoothed_difference(noisy[:, None], time, degree=3)[:, 0] - time.cos()
    assert smooth.square().mean() < 0.1 * rough.square().mean()


def test_the_spectral_derivative_is_exact_for_waves_on_the_grid():
    time = torch.arange(32, dtype=torch.float64) * math.tau / 32
    found = spectral_difference(torch.stack([(3 * time).sin(), (5 * time).cos()], 1), time)
    assert torch.allclose(found, torch.stack([3 * (3 * time).cos(), -5 * (5 * time).sin()], 1), atol=1e-12)


@pytest.mark.parametrize(
    "signal",
    [lambda time: (-time).exp(), lambda time: time, lambda time: (2 * time).cos()],
    ids=["decay", "line", "cut"],
)
def test_the_spectral_derivative_refuses_what_is_not_one_whole_period(signal):
    time = torch.linspace(0, 3, 151, dtype=torch.float64)
    with pytest.raises(ValueError, match="column 1 does not go on from its last sample to its first"):
        spectral_difference(torch.stack([torch.zeros_like(time), signal(time)], 1), time)


def test_the_spectral_derivative_takes_a_period_that_is_noisy():
    time = torch.arange(200, dtype=torch.float64) * math.tau / 200
    noise = 0.05 * torch.randn(200, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert spectral_difference(time.sin()[:, None] + noise, time).isfinite().all()


def test_the_spectral_derivative_refuses_irregular_stamps_and_says_what_supports_them():
    with pytest.raises(ValueError, match='irregular time stamps are supported by "weak", "finite" and "smoothed"'):
        spectral_difference(torch.zeros(61, 1), stamps("irregular"))


def test_a_trajectory_shorter_than_the_stencil_is_refused():
    with pytest.raises(ValueError, match="needs 5 samples in a row, but a trajectory has only 4"):
        finite_difference(torch.zeros(4, 1), torch.arange(4.0))


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'spectral'"):
        differentiate(torch.zeros(9, 1), torch.arange(9.0), "spectrum")


@pytest.mark.parametrize(("order", "message"), [(0, "must be 1 or more")])
def test_an_order_without_accuracy_is_refused(order, message):
    with pytest.raises(ValueError, match=message):
        finite_difference(torch.zeros(9, 1), torch.arange(9.0), order=order)


def test_a_window_too_small_for_its_polynomials_is_refused():
    with pytest.raises(ValueError, match="cannot fit polynomials of degree 4"):
        smoothed_difference(torch.zeros(20, 1), torch.arange(20.0), window=3)


@pytest.mark.parametrize("sigma", [1e-3, 0.05])
def test_the_noise_level_of_a_smooth_signal_is_found(sigma):
    time = torch.linspace(0, 20, 2000, dtype=torch.float64)
    noisy = time.sin() + sigma * torch.from_numpy(np.random.default_rng(1).normal(size=2000))
    assert float(noise_level(noisy[:, None])) == pytest.approx(sigma, rel=0.1)  # about 4 standard deviations


def test_the_noise_level_needs_four_samples():
    with pytest.raises(ValueError, match="at least four samples, got 3"):
        noise_level(torch.zeros(3, 1))
