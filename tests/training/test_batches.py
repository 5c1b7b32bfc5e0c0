"""Batches: every sample once per pass, in an order that the seed determines."""

import pytest
import torch

from ellzero.training import Batches


def passes(num, *, seed=0, size=5, samples=20):
    batches = Batches(torch.arange(samples).float()[:, None], torch.arange(samples), size=size, seed=seed)
    return [[label for _, labels in batches for label in labels.tolist()] for _ in range(num)]


def test_every_pass_holds_every_sample_once():
    for order in passes(3):
        assert sorted(order) == list(range(20))


def test_passes_differ_in_order_and_the_seed_determines_them_all():
    first, second = passes(2)
    assert first != second
    assert passes(2) == [first, second]
    assert passes(2, seed=1) != [first, second]


def test_inputs_stay_with_their_targets():
    batches = Batches(torch.arange(20).float()[:, None], torch.arange(20), size=5, seed=0)
    assert all(torch.equal(inputs[:, 0].long(), labels) for inputs, labels in batches)


def test_what_is_left_over_is_dropped():
    (order,) = passes(1, size=6)
    assert len(set(order)) == len(order) == 18


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    passes(1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [0, -1, 21, 2.5, True, "5"])
def test_a_size_that_is_no_whole_number_of_samples_is_refused(size):
    with pytest.raises(ValueError, match="a batch must hold 1 to 20 samples"):
        Batches(torch.zeros(20, 1), torch.zeros(20), size=size, seed=0)


def test_inputs_without_targets_are_refused():
    with pytest.raises(ValueError, match="20 inputs but 19 targets"):
        Batches(torch.zeros(20, 1), torch.zeros(19), size=5, seed=0)


def test_no_samples_at_all_are_refused():
    with pytest.raises(ValueError, match="1 to 0 samples"):
        Batches(torch.zeros(0, 1), torch.zeros(0), size=1, seed=0)
