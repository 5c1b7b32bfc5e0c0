"""The functions of one gate: closed forms, boundaries in every precision, refusals."""

import math

import pytest
import torch

from ellzero.distributions import HIGH, LOW, TEMPERATURE, check_shape, median, prob_one, prob_open, sample, thresholds

SHAPES = [
    {"temperature": TEMPERATURE, "low": LOW, "high": HIGH},
    {"temperature": 0.33, "low": -0.05, "high": 1.2},
    {"temperature": 1.7, "low": -1e-3, "high": 1.01},
]
BAD_SHAPES = [
    ({"temperature": 0.0}, "temperature must be positive"),
    ({"temperature": -1.0}, "temperature must be positive"),
    ({"temperature": math.inf}, "temperature must be positive"),
    ({"temperature": math.nan}, "temperature must be positive"),
    ({"low": 0.0}, "must contain"),
    ({"low": 0.1}, "must contain"),
    ({"low": -math.inf}, "must contain"),
    ({"high": 1.0}, "must contain"),
    ({"high": 0.9}, "must contain"),
    ({"high": math.nan}, "must contain"),
]


def neighbours(value: float, dtype: torch.dtype, num_steps: int) -> torch.Tensor:
    """All numbers of `dtype` within `num_steps` units in the last place of `value`."""
    center = torch.tensor(value, dtype=dtype)
    below, above = [center], [center]
    for _ in range(num_steps):
        below.append(torch.nextafter(below[-1], torch.tensor(-math.inf, dtype=dtype)))
        above.append(torch.nextafter(above[-1], torch.tensor(math.inf, dtype=dtype)))
    return torch.stack(below[::-1] + above[1:])


def test_the_defaults_are_those_of_the_literature():
    assert (TEMPERATURE, LOW, HIGH) == (2 / 3, -0.1, 1.1)


def test_prob_open_at_zero_log_odds_has_a_closed_form():
    assert prob_open(torch.zeros(())).item() == pytest.approx(11 ** (2 / 3) / (1 + 11 ** (2 / 3)))


def test_prob_one_is_the_chance_to_be_shut_of_the_mirrored_gate():
    log_odds = torch.linspace(-9, 9, 19, dtype=torch.float64)
    mirrored = 1 - prob_open(-log_odds, low=1 - 1.2, high=1 + 0.05)
    torch.testing.assert_close(prob_one(log_odds, low=-0.05, high=1.2), mirrored, rtol=0, atol=1e-15)


def test_thresholds_are_symmetric_for_a_symmetric_stretch():
    lower, upper = thresholds()
    assert lower == pytest.approx(-2 / 3 * math.log(11))
    assert upper == pytest.approx(-lower)


@pytest.mark.parametrize("shape", SHAPES)
def test_sample_is_the_clipped_stretched_sigmoid(shape):
    log_odds = torch.linspace(-6, 6, 25, dtype=torch.float64)[:, None]
    uniform = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    s = torch.sigmoid((torch.log(uniform / (1 - uniform)) + log_odds) / shape["temperature"])
    expected = (s * (shape["high"] - shape["low"]) + shape["low"]).clamp(0, 1)
    torch.testing.assert_close(sample(log_odds, uniform, **shape), expected, rtol=0, atol=1e-14)


def test_sample_accepts_both_ends_of_the_noise_with_finite_gradients():
    log_odds = torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4], requires_grad=True)
    gates = sample(log_odds, torch.tensor([[0.0], [1.0]]))
    gates.sum().backward()
    assert gates.tolist() == [[0.0] * 5, [1.0] * 5]
    assert log_odds.grad is not None
    assert log_odds.grad.tolist() == [0.0] * 5


def test_sample_has_no_gradient_where_it_is_clipped_and_the_scaled_slope_between():
    log_odds = torch.tensor([-4.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    sample(log_odds, torch.full((3,), 0.5, dtype=torch.float64)).sum().backward()
    assert log_odds.grad.tolist() == pytest.approx([0.0, 1.2 / 4 / (2 / 3), 0.0], abs=1e-15)


def test_prob_open_agrees_with_the_frequency_of_samples():
    # Hoeffding: 400 000 draws differ from their probability by 0.0043 with chance 2 exp(-2 n 0.0043**2) < 1e-6.
    generator = torch.Generator().manual_seed(0)
    gates = sample(torch.tensor(-1.0), torch.rand(400_000, generator=generator))
    assert (gates > 0).double().mean().item() == pytest.approx(prob_open(torch.tensor(-1.0)).item(), abs=4.3e-3)
    assert (gates == 1).double().mean().item() == pytest.approx(prob_one(torch.tensor(-1.0)).item(), abs=4.3e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_median_is_zero_exactly_where_the_open_probability_is_at_most_one_half(shape, dtype):
    near = neighbours(thresholds(**shape)[0], dtype, 60)
    log_odds = torch.cat([near, torch.linspace(-30, 30, 2001, dtype=dtype)])
    shut = median(log_odds, **shape) == 0
    assert torch.equal(shut, prob_open(log_odds, **shape) <= 0.5)
    assert shut[0]
    assert not shut[120]


@pytest.mark.parametrize("shape", SHAPES)
def test_median_never_falls_as_log_odds_grow(shape):
    gates = median(torch.linspace(-20, 20, 4001, dtype=torch.float64), **shape)
    assert (gates.diff() >= 0).all()
    assert (gates[0], gates[-1]) == (0, 1)


@pytest.mark.parametrize("function", [prob_open, prob_one, median, lambda a, **s: sample(a, torch.rand(3), **s)])
@pytest.mark.parametrize(("shape", "message"), BAD_SHAPES)
def test_every_law_refuses_a_bad_shape(function, shape, message):
    with pytest.raises(ValueError, match=message):
        function(torch.zeros(3), **shape)


def test_check_shape_accepts_narrow_and_wide_stretches():
    check_shape(temperature=1e-3, low=-1e-9, high=1 + 1e-9)
    check_shape(temperature=50.0, low=-100.0, high=100.0)


def test_laws_keep_shape_and_dtype():
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        log_odds = torch.zeros(2, 3, dtype=dtype)
        for gates in (prob_open(log_odds), prob_one(log_odds), median(log_odds), sample(log_odds, log_odds + 0.5)):
            assert gates.shape == (2, 3)
            assert gates.dtype == dtype
