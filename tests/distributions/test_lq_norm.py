"""Lq norms: hand values, the laws of a norm, ranges, refusals."""

import math

import pytest
import torch

from ellzero.distributions import lq_norm

NORMS = [1, 2, 3, 7, math.inf]


@pytest.mark.parametrize(("q", "expected"), [(0, 2), (1, 7), (2, 5), (3, 91 ** (1 / 3)), (math.inf, 4)])
def test_a_three_four_vector_has_known_norms(q, expected):
    x = torch.tensor([[3.0, 0.0], [0.0, -4.0]], dtype=torch.float64)
    assert lq_norm(x, q).item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("q", NORMS)
def test_norms_are_homogeneous_and_obey_the_triangle_inequality(q):
    x, y = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lq_norm(-2.5 * x, q), 2.5 * lq_norm(x, q))
    assert lq_norm(x + y, q) <= lq_norm(x, q) + lq_norm(y, q)


def test_norms_fall_with_q_and_the_count_ignores_magnitudes():
    x = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = [lq_norm(x, q).item() for q in NORMS]
    assert values == sorted(values, reverse=True)
    assert lq_norm(x * 1e-300, 0) == lq_norm(x, 0) == 50


@pytest.mark.parametrize("q", NORMS)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_powers_neither_overflow_nor_vanish_in_single_precision(q, scale):
    expected = scale * lq_norm(torch.tensor([3.0, 4.0]), q).item()
    assert lq_norm(scale * torch.tensor([3.0, 4.0]), q).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("q", NORMS)
def test_gradients_agree_with_finite_differences(q):
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: lq_norm(x, q), x)


@pytest.mark.parametrize("q", [0, *NORMS])
@pytest.mark.parametrize("x", [torch.zeros(3), torch.zeros(0), torch.zeros(0, 2)])
def test_zero_and_empty_tensors_have_norm_zero_and_a_finite_gradient(q, x):
    x = x.clone().requires_grad_()
    norm = lq_norm(x, q)
    assert norm == 0
    assert norm.dtype == x.dtype
    assert norm.shape == ()
    if norm.requires_grad:
        norm.backward()
        assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("q", [0, *NORMS])
def test_nan_is_never_hidden_except_by_the_count(q):
    norm = lq_norm(torch.tensor([1.0, math.nan]), q)
    assert (norm == 2) if q == 0 else torch.isnan(norm)


@pytest.mark.parametrize("q", NORMS)
def test_an_infinite_entry_gives_an_infinite_norm(q):
    assert lq_norm(torch.tensor([1.0, -math.inf]), q) == math.inf


@pytest.mark.parametrize("q", [-1, 0.5, 1.5, -math.inf, math.nan])
def test_a_q_that_is_not_a_whole_number_is_refused(q):
    with pytest.raises(ValueError, match="q must be a whole number"):
        lq_norm(torch.ones(2), q)


@pytest.mark.parametrize("q", ["2", None, True])
def test_a_q_that_is_not_a_number_is_refused(q):
    with pytest.raises(TypeError, match="q must be a number"):
        lq_norm(torch.ones(2), q)


@pytest.mark.parametrize("x", [torch.ones(2, dtype=torch.long), [1.0, 2.0]])
def test_entries_that_are_not_a_floating_tensor_are_refused(x):
    with pytest.raises(TypeError, match="x must be a floating-point tensor"):
        lq_norm(x, 2)
