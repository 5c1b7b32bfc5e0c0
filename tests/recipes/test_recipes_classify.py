"""The error of a classifier: a share of wrong answers, or an error where there are no answers."""

import math

import pytest
import torch
from torch import nn

from ellzero.errors import NonFiniteError
from ellzero.recipes.classify import error_of

SCORES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])


def test_the_error_is_the_share_of_wrong_answers():
    assert error_of(nn.Identity(), SCORES, torch.tensor([0, 1, 1]), size=2) == pytest.approx(1 / 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_test_data_that_are_not_finite_are_named(bad):
    inputs = SCORES.clone()
    inputs[2, 1] = bad
    with pytest.raises(NonFiniteError, match="the test data hold NaN or infinite numbers; clean the data"):
        error_of(nn.Identity(), inputs, torch.tensor([0, 1, 0]), size=2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_network_that_is_not_finite_is_told_from_bad_data(bad):
    with pytest.raises(NonFiniteError, match="on the test data, which are finite"):
        error_of(lambda inputs: inputs + bad, SCORES, torch.tensor([0, 1, 0]))


def test_classes_that_are_masked_with_minus_infinity_are_fine():
    def masked(inputs: torch.Tensor) -> torch.Tensor:
        return inputs + torch.tensor([0.0, -math.inf])

    assert error_of(masked, SCORES, torch.tensor([0, 0, 0])) == 0
