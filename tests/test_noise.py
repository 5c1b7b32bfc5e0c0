"""Stateless noise: uniform to statistical tests, and the same wherever and however it is computed."""

import itertools
import math

import pytest
import torch

from ellzero import noise
from ellzero.noise import advance, counters, uniform

# Seeds are fixed, so a test passes or fails for ever; a sound hash drawn anew would fail each check with a
# probability of at most 1e-6: 4.9 standard deviations of a normal variable for one number.
SIGMA = 5.0
NUM = 1 << 16
STREAMS = [(0, 0, 0), (0, 1, 0), (7, 0, 1), (2**40 + 3, 12345, 3), (-1, 2**33, 0), (0, -1, 0)]


def draw(stream, num=NUM, function=uniform):
    seed, step, micro_batch = stream
    return function(counters(seed, step=step, micro_batch=micro_batch), num).double()


def chi_square(numbers, bins=256):
    """Normal score of the chi-square statistic, by Wilson and Hilferty's cube root."""
    found = torch.bincount((numbers * bins).long(), minlength=bins).double()
    expected = len(numbers) / bins
    ratio = ((found - expected) ** 2 / expected).sum().item() / (bins - 1)
    variance = 2 / (9 * (bins - 1))
    return (ratio ** (1 / 3) - (1 - variance)) / math.sqrt(variance)


def kolmogorov(numbers):
    """sqrt(n) times the largest distance from the uniform law; above 2.7 with probability 2 exp(-2 * 2.7^2) < 1e-6."""
    ranks = torch.arange(len(numbers) + 1, dtype=torch.float64) / len(numbers)
    ordered = numbers.sort().values
    return math.sqrt(len(numbers)) * max((ranks[1:] - ordered).max().item(), (ordered - ranks[:-1]).max().item())


def correlation(one, other):
    """Normal score of the correlation of two samples."""
    return (((one - 0.5) * (other - 0.5)).mean() * 12 * math.sqrt(len(one))).item()


def scores(function):
    """The largest score of every kind over all streams, in standard deviations; more than `SIGMA` is a failure."""
    samples = [draw(stream, function=function) for stream in STREAMS]
    bits = [(numbers * 2**23).long() for numbers in samples]
    neighbours = [draw((3, step, 0), function=function) for step in range(8)]
    return {
        "histogram": max(abs(chi_square(numbers)) for numbers in samples),
        "bits": max(
            abs(((word >> place) & 1).double().mean().item() - 0.5) * 2 * math.sqrt(NUM)
            for word in bits
            for place in range(23)
        ),
        "serial": max(
            abs(correlation(numbers[:-lag], numbers[lag:])) for numbers in samples for lag in (1, 2, 3, 4, 8, 16, 256)
        ),
        "steps": max(abs(correlation(a, b)) for a, b in itertools.pairwise(neighbours)),
    }


def test_noise_passes_the_statistics_of_a_uniform_law():
    found = scores(uniform)
    assert max(found.values()) < SIGMA, found
    assert max(kolmogorov(draw(stream)) for stream in STREAMS) < 2.7


def weyl(state, num):
    """Equidistributed, but every number follows from its neighbour."""
    seed, step, micro_batch = state.tolist()
    return ((torch.arange(num) + seed + step + micro_batch + 0.5).double() * 0.6180339887498949) % 1


def one_round(state, num):
    """Multiplication without any mixing of high bits into low ones."""
    bits = ((torch.arange(num) + int(state.sum())) * 0x7FEB352D) & 0xFFFFFFFF
    return ((bits >> 9).double() + 0.5) * 2.0**-23


def forgets_the_step(state, num):
    return uniform(torch.stack([state[0], state[0] * 0, state[2]]), num)


def leans_to_one(state, num):
    return uniform(state, num).double() ** 0.98


@pytest.mark.parametrize("broken", [weyl, one_round, forgets_the_step, leans_to_one])
def test_the_statistics_catch_a_broken_hash(broken):
    assert max(scores(broken).values()) > SIGMA


@pytest.mark.parametrize("place", range(3))
def test_flipping_any_bit_of_a_counter_gives_unrelated_noise(place):
    base = counters(5, step=6, micro_batch=7)
    for bit in range(63):
        other = base.clone()
        other[place] ^= 1 << bit
        assert abs(correlation(uniform(base, 4096).double(), uniform(other, 4096).double())) < 5.6  # 189 checks, 1e-6


def test_the_same_gate_is_uncorrelated_from_step_to_step_and_from_micro_batch_to_micro_batch():
    for name in ("step", "micro_batch"):
        series = torch.stack([uniform(counters(1, **{name: k}), 64).double() for k in range(2048)])  # (time, gate)
        centred = series - 0.5
        lagged = (centred[:-1] * centred[1:]).mean(0) * 12 * math.sqrt(len(series) - 1)
        assert lagged.abs().max() < 5.6  # 128 checks in all
        across = (centred.T @ centred * 12 / math.sqrt(len(series))).triu(1)
        assert across.abs().max() < 6.2  # 4032 pairs in all


def test_no_two_of_many_streams_are_alike():
    first = {tuple(uniform(counters(seed, step=step, micro_batch=m), 3).tolist())
             for seed in range(10) for step in range(100) for m in range(10)}  # fmt: skip
    assert len(first) == 10_000


def test_numbers_stay_inside_the_open_unit_interval():
    numbers = torch.cat([draw(stream, 1 << 20).float() for stream in STREAMS[:3]])
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert torch.isfinite(torch.logit(numbers)).all()


def test_the_extreme_numbers_of_23_bits_are_still_inside():
    extremes = (torch.tensor([0.0, 2.0**23 - 1]) + 0.5) * 2.0**-23
    assert extremes.tolist() == [2.0**-24, 1 - 2.0**-24]


def test_more_numbers_begin_with_the_fewer():
    assert torch.equal(uniform(counters(3), 1000)[:10], uniform(counters(3), 10))
    assert uniform(counters(3), 0).shape == (0,)


def test_drawing_touches_no_generator_and_not_the_counters():
    before, state = torch.random.get_rng_state(), counters(3, step=4)
    uniform(state, 100)
    assert torch.equal(before, torch.random.get_rng_state())
    assert state.tolist() == [3, 4, 0]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_path_for_accelerators_gives_the_same_numbers(stream, monkeypatch):
    seed, step, micro_batch = stream
    state = counters(seed, step=step, micro_batch=micro_batch)
    expected = uniform(state, 1000)
    monkeypatch.setattr(noise.torch.compiler, "is_compiling", lambda: True)  # whole tensors, as on any device
    assert torch.equal(uniform(state, 1000), expected)


def test_noise_on_the_meta_device_has_a_shape_and_needs_no_numbers():
    assert uniform(counters(0, device="meta"), 5).shape == (5,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_numbers():
    assert torch.equal(uniform(counters(7, step=3, device="cuda"), NUM).cpu(), uniform(counters(7, step=3), NUM))


@pytest.mark.parametrize("backend", ["aot_eager"])
def test_compiled_noise_is_the_same_without_a_graph_break_and_without_a_new_graph_per_step(backend):
    torch._dynamo.reset()
    compiled = torch.compile(lambda state: uniform(state, 512), fullgraph=True, backend=backend)
    for stream in STREAMS:
        state = counters(stream[0], step=stream[1], micro_batch=stream[2])
        with torch._dynamo.config.patch(error_on_recompile=bool(stream[1])):
            assert torch.equal(compiled(state), uniform(state, 512))


def test_advancing_a_step_starts_a_new_count_of_micro_batches():
    state = counters(7)
    advance(state, step=False)
    advance(state, step=False)
    assert state.tolist() == [7, 0, 2]
    advance(state, step=True)
    assert state.tolist() == [7, 1, 0]
