import numpy as np
import pytest
import torch

from ellzero.dictionary import polynomial
from ellzero.dictionary.dynamics.blocks import solve_tridiagonal, whiten_tridiagonal
from ellzero.dictionary.dynamics.estimate import estimate, price
from ellzero.dictionary.dynamics.flow import advance, substeps_for
from ellzero.dictionary.dynamics.likelihood import Measured, Noise, evidence, smooth
from ellzero.dictionary.dynamics.trajectories import read_trajectories


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 7, 16, 33])
def test_block_tridiagonal_systems_are_solved_as_densely(blocks):
    torch.manual_seed(blocks)
    size = 3
    root = torch.randn(blocks * size, blocks * size, dtype=torch.float64).tril()
    for row in range(blocks):
        root[row * size : (row + 1) * size, : max(row - 1, 0) * size] = 0
    matrix = root @ root.T + torch.eye(blocks * size, dtype=torch.float64)
    grid = matrix.reshape(blocks, size, blocks, size).permute(0, 2, 1, 3)
    diagonal = torch.stack([grid[i, i] for i in range(blocks)])
    below = torch.stack([grid[i + 1, i] for i in range(blocks - 1)]) if blocks > 1 else diagonal[:0]
    right = torch.randn(blocks, size, 2, dtype=torch.float64)
    expected = torch.linalg.solve(matrix, right.reshape(-1, 2)).reshape(blocks, size, 2)
    assert torch.allclose(solve_tridiagonal(diagonal, below, right), expected, rtol=1e-8, atol=1e-10)
    white = whiten_tridiagonal(diagonal, below, right).flatten(0, 1)
    assert torch.allclose(white.T @ white, right.flatten(0, 1).T @ expected.flatten(0, 1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("substeps", [1, 3])
@pytest.mark.parametrize("is_map", [False, True])
def test_derivatives_of_a_step_are_those_of_automatic_differentiation(substeps, is_map):
    torch.manual_seed(0)
    library = polynomial("x y u", 2)
    coefficients = 0.2 * torch.randn(2, len(library), dtype=torch.float64)
    start, (begin, end) = torch.randn(4, 2, dtype=torch.float64), torch.randn(2, 4, 1, dtype=torch.float64)
    lengths = None if is_map else torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)

    def ends(states, values):
        return advance(library, values, states, lengths, (begin, end), substeps=substeps).end

    by_state, by_coefficient = torch.autograd.functional.jacobian(ends, (start, coefficients))
    step = advance(library, coefficients, start, lengths, (begin, end), substeps=substeps, by_coefficient=True)
    assert torch.allclose(step.by_state, torch.stack([by_state[i, :, i] for i in range(4)]), atol=1e-12)
    assert torch.allclose(step.by_coefficient, by_coefficient.reshape(4, 2, -1), atol=1e-12)


def test_a_step_has_order_five():
    library, turn = polynomial("x v", 1), torch.tensor([[0.0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    start, none = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
    errors = []
    for substeps in (2, 4):
        end = advance(library, turn, start, torch.ones(1, dtype=torch.float64), (none, none), substeps=substeps).end
        errors.append(float((end - torch.tensor([[np.cos(1), -np.sin(1)]])).norm()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(5, abs=0.4)


def test_substeps_follow_the_tolerance():
    library, turn = polynomial("x v", 1), torch.tensor([[0.0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    start, none = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
    chosen = [
        substeps_for(
            library, turn, start, torch.ones(1, dtype=torch.float64), (none, none),
            tolerance=torch.full((2,), tolerance, dtype=torch.float64),
        )
        for tolerance in (1e-2, 1e-5, 1e-8)
    ]  # fmt: skip
    assert chosen == sorted(chosen)
    assert chosen[0] == 1
    assert chosen[-1] > 2


def decay(noise=0.01, samples=60):
    """x' = -x with noise, and the dictionary of 1, x, x^2."""
    time = np.arange(samples) * 0.05
    clean = 2 * np.exp(-time)[:, None]
    measured = clean + noise * np.random.default_rng(0).normal(size=clean.shape)
    (run,) = read_trajectories(measured, time)
    return run, polynomial("x", 2), torch.from_numpy(clean)


def test_smoothing_with_the_true_equations_gives_the_least_squares_trajectory():
    run, library, _ = decay()
    truth = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64)
    noise = Noise(torch.tensor([0.01], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    states = [run.states]
    for _ in range(3):
        states, total = smooth(Measured([run], library), noise, truth, states)
    shape = (-run.time).exp()
    amplitude = float(shape @ run.states[:, 0] / (shape @ shape))
    assert torch.allclose(states[0][:, 0], amplitude * shape, atol=1e-7)
    assert total == pytest.approx(float((run.states[:, 0] - amplitude * shape).square().sum()) / 0.01**2, rel=1e-6)


def test_the_evidence_is_the_curvature_of_the_profile_likelihood():
    run, library, _ = decay()
    measured = Measured([run], library)
    noise = Noise(torch.tensor([0.01], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))

    def profile(coefficients):
        states = [run.states]
        for _ in range(20):
            states, total = smooth(measured, noise, coefficients, states)
        return states, total

    best = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64)
    for _ in range(6):
        states, least = profile(best)
        found = evidence(measured, noise, best, states)
        best = found.refit(torch.tensor([1])).reshape(1, 3)
    change = torch.tensor([[0.0, 1e-3, 0.0]], dtype=torch.float64)
    _, more = profile(best + change)
    assert more - least == pytest.approx(float(found.columns[:, 1].square().sum()) * 1e-6, rel=0.02)


def test_standard_errors_are_what_repeated_noise_shows():
    found = []
    for seed in range(60):
        run, library, clean = decay()
        noisy = clean + 0.01 * torch.from_numpy(np.random.default_rng(seed).normal(size=clean.shape))
        start = torch.tensor([[0.0, -0.9, 0.0]], dtype=torch.float64)
        result = estimate(
            Measured([run.at(noisy)], library), torch.tensor([0.01], dtype=torch.float64), start, [noisy],
            floor=torch.tensor([1e-6], dtype=torch.float64), penalty=0.0, fixed=torch.tensor([1]),
        )  # fmt: skip
        assert result is not None
        assert result.has_settled
        found.append((float(result.coefficients[0, 1]), float(result.covariance[0, 0].sqrt())))
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(-1, abs=4 * errors.mean() / np.sqrt(60))
    assert values.std() == pytest.approx(errors.mean(), rel=0.4)  # about 4 standard deviations


def test_the_price_of_an_unknown_criterion_is_refused():
    with pytest.raises(ValueError, match="did you mean 'ebic'"):
        price(100, 10, "ebik")
