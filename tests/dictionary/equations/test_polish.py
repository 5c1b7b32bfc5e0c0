"""The exact stage after gates."""

import pytest
import torch

from ellzero.dictionary import Output, SparseDictionary, polish, polynomial

CANDIDATES = polynomial("x y z", 3)


def lorenz(num=400, noise=0.1):
    generator = torch.Generator().manual_seed(0)
    x = 1.2 * torch.randn(num, 3, generator=generator, dtype=torch.float64)
    a, b, c = x.unbind(1)
    rates = torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)
    return x, rates + noise * torch.randn(num, 3, generator=generator, dtype=torch.float64)


def with_entries(kept):
    """A model with single coefficients, some of which are left."""
    model = SparseDictionary(CANDIDATES, 3, per_output=True, targets=["x'", "y'", "z'"])
    model.coefficients = torch.nn.Parameter(model.coefficients[kept])
    model.follow_cut({("coefficients", 0): torch.tensor(kept)})
    return model.double()


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5, 6], [19, 18, 17, 39, 38, 59, 58], [1, 21, 25, 26, 41, 51, 52]])
def test_the_law_is_found_from_any_seven_coefficients(kept):
    x, y = lorenz()
    model = with_entries(kept)
    found = polish(model, x, y, CANDIDATES)
    assert found.equations().text(2) == "x' = -10 x + 10 y\ny' = 28 x - y - x z\nz' = -2.7 z + x y"
    assert found.num_terms == 7
    assert model.num_terms == 7
    assert model.dictionary.names != found.dictionary.names
    assert (found(x) - y).square().mean() < 0.011


def test_a_model_that_stayed_below_its_budget_grows_to_it():
    x, y = lorenz()
    found = polish(with_entries([1, 21, 41]), x, y, CANDIDATES, 7)
    assert found.equations().text(2) == "x' = -10 x + 10 y\ny' = 28 x - y - x z\nz' = -2.7 z + x y"
    with pytest.raises(ValueError, match="the model has 3 terms, the budget is 2"):
        polish(with_entries([1, 21, 41]), x, y, CANDIDATES, 2)


def test_terms_that_all_outputs_share_are_exchanged_together():
    x, y = lorenz(noise=0.0)
    wrong = SparseDictionary(CANDIDATES.select(["x^3", "1", "y^2", "z^2", "y"]), 3)
    found = polish(wrong, x, y, CANDIDATES)
    assert set(found.dictionary.names) == {"x", "y", "z", "x y", "x z"}
    assert found.coefficients.dtype == torch.float32
    assert torch.allclose(found.double()(x), y, atol=1e-4)


def test_what_a_limit_hides_is_left_out():
    x, y = lorenz(noise=0.0)
    limited = Output("clip", low=-20, high=20)
    model = SparseDictionary(CANDIDATES.select(["x^3", "y z"]), 1, output=limited).double()
    found = polish(model, x, y[:, :1].clamp(-20, 20), CANDIDATES)
    assert found.equations().num_terms == 2
    assert found.dictionary.names == ("x", "y")
    assert torch.allclose(found(x), y[:, :1].clamp(-20, 20))


def test_candidates_that_do_not_hold_the_model_are_refused():
    x, y = lorenz()
    model = SparseDictionary(CANDIDATES.select(["x^3"]), 3)
    with pytest.raises(ValueError, match=r"the terms x\^3 of the model are not among the candidates"):
        polish(model, x, y, polynomial("x y z", 2))
    with pytest.raises(ValueError, match="functions of a, b, c, the model of x, y, z"):
        polish(model, x, y, polynomial("a b c", 3))
    with pytest.raises(ValueError, match=r"the targets have shape \(400, 2\), expected \(400, 3\)"):
        polish(model, x, y[:, :2], CANDIDATES)
    with pytest.raises(ValueError, match="bends the sum"):
        polish(SparseDictionary(CANDIDATES.select(["x"]), 3, output="tanh"), x, y, CANDIDATES)
