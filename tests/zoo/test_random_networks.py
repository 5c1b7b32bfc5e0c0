"""Random networks that nobody thought of: cut exactly, kept with a reason, or refused with a clear error."""

import functools

import pytest

from judge_random import Found, judge_program
from networks.random_layers import LAYERS
from networks.random_networks import Program, write
from networks.random_operations import OPERATIONS

SEEDS = range(60)

pytestmark = pytest.mark.filterwarnings("ignore")  # of PyTorch, about what it is made to do


@functools.cache
def judged(seed: int) -> tuple[Program, Found]:
    program = write(seed, LAYERS, OPERATIONS)
    return program, judge_program(program, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_network_is_cut_exactly_or_kept_or_refused(seed):
    program, found = judged(seed)
    assert found.verdict in ("right", "kept", "refused", "unfit"), f"{found.why}\n{program.source}"


def test_most_random_networks_can_be_cut():
    verdicts = [judged(seed)[1].verdict for seed in SEEDS]
    assert verdicts.count("right") >= 30
    assert verdicts.count("unfit") + verdicts.count("refused") <= 10


def test_a_random_network_is_always_the_same():
    one, other = (write(5, LAYERS, OPERATIONS) for _ in range(2))
    assert one.source == other.source
