"""pysindy's names: what is written is read back as the same function, to the last digit."""

import math

import pytest
import torch

from ellzero.dictionary import fourier, from_pysindy, polynomial, to_pysindy, trigonometric


@pytest.mark.parametrize(
    "dictionary",
    [
        polynomial("a b", 3),
        fourier("a b", 2, period=3.0),
        trigonometric("a b", of=["a", "b"], frequencies=[math.pi, 1e-7, 123456789.125]),
        polynomial("a b", 1) * fourier("a b", 1, period={"a": 7.0}),
    ],
)
def test_the_way_there_and_back_gives_the_same_terms(dictionary):
    again = from_pysindy(to_pysindy(dictionary), ["a", "b"])
    assert again.terms == dictionary.terms
    x = 100 * torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), dictionary(x))


def test_names_of_products_of_libraries_are_read():
    # (PolynomialLibrary(1) * FourierLibrary(1)).get_feature_names() of pysindy 2.0
    names = ["1 sin(1 a)", "1 cos(1 a)", "a sin(1 a)", "a cos(1 a)"]
    assert from_pysindy(names, ["a"]).names == ("sin(a)", "cos(a)", "a sin(a)", "a cos(a)")
    assert from_pysindy(["1 1", "a 1"], ["a"]).names == ("1", "a")


@pytest.mark.parametrize("name", ["", "2 a", "1a", "1 2", "1^2", "sin(a"])
def test_other_numbers_and_pieces_are_refused(name):
    with pytest.raises(ValueError, match="feature name"):
        from_pysindy([name], ["a"])
