"""Terms within one budget: on a law that was planted, gates and the exact stage find it, and validation decides."""

import pytest
import torch
from torch import nn

from ellzero.dictionary import Output, polynomial
from ellzero.recipes.choose import Choice, Front, Question, exact_front, explore, least_squares, train_to_budget

CLIP = Output("clip", low=-1.0, high=1.0)


def made(num, seed, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(num, 2, generator=generator, dtype=torch.float64) * 4 - 2
    y = torch.stack([x[:, 0] - 0.5 * x[:, 0] * x[:, 1], (0.8 * x[:, 1] + 0.3 * x[:, 0] ** 2).clamp(-1, 1)], -1)
    return x, y + noise * torch.randn(y.shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def question():
    parts = [made(600, seed) for seed in range(3)]
    return Question(polynomial("a b", 3), ("p", "q"), (Output(), CLIP), *parts)


def test_the_planted_law_is_found_exactly_in_spite_of_the_limits(question):
    found = exact_front(question, 6).choose(4)
    assert str(found.equations) == "p = a - 0.5 a b\nq = clip(0.8 b + 0.3 a^2, -1, 1)"
    assert found.num_terms == 4
    assert found.validation < 1e-25


def test_no_choice_of_the_front_is_over_its_budget_and_errors_fall(question):
    choices = exact_front(question, 8).choices
    sizes = [one.num_terms for one in choices]
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 1
    assert max(sizes) <= 8
    before_the_law = [one.validation for one in choices if one.num_terms <= 4]
    assert before_the_law == sorted(before_the_law, reverse=True)


def test_without_a_budget_the_fewest_terms_that_are_good_enough_are_taken():
    parts = [made(600, seed, noise=0.05) for seed in range(3)]
    question = Question(polynomial("a b", 3), ("p", "q"), (Output(), Output()), *parts)
    found = exact_front(question, 12)
    best = min(one.validation for one in found.choices)
    taken = found.choose(0)
    assert taken.validation <= 1.05 * best
    assert all(one.validation > 1.05 * best for one in found.choices if one.num_terms < taken.num_terms)


def test_a_budget_below_the_front_is_refused(question):
    front = Front((Choice(least_squares(question), 5, 0.1),), ())
    with pytest.raises(ValueError, match="budget of 3 is too small"):
        front.choose(3)


def test_least_squares_on_all_terms_is_at_least_as_good_on_the_training_part(question):
    whole = least_squares(question)
    for one in exact_front(question, 8).choices:
        assert question.error(whole, question.train) <= question.error(one.equations, question.train) + 1e-12


def test_terms_that_cannot_be_told_apart_do_no_harm():
    angle = torch.linspace(0, 6, 300, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], -1)
    part = (x, 2 * x[:, :1] * x[:, 1:] + 1)
    question = Question(polynomial("c s", 2), ("y",), (Output(),), part, part, part)
    assert str(exact_front(question, 3).choose(2).equations) == "y = 1 + 2 c s"
    _, refitted = explore(question, 2, steps=150, batch_size=64, lr=0.05, gate_lr=0.05, seed=0)
    assert refitted.num_terms <= 2


def test_gates_find_the_planted_law_within_the_budget(question):
    trained, refitted = explore(question, 4, steps=1500, batch_size=128, lr=0.02, gate_lr=0.03, seed=0)
    assert refitted.equations.support.tolist() == trained.equations.support.tolist()
    assert refitted.num_terms <= 4
    assert refitted.validation < 1e-20 < trained.validation


def test_the_same_seed_explores_the_same_way(question):
    one, two = (explore(question, 4, steps=60, batch_size=64, lr=0.02, gate_lr=0.05, seed=3)[1] for _ in range(2))
    assert one.validation == two.validation


@pytest.mark.parametrize("budget", [{}, {"params": 0.4}])
def test_networks_are_trained_to_a_budget_or_as_they_are(budget):
    torch.manual_seed(0)
    x, y = (one.float() for one in made(500, 0))
    net = nn.Sequential(nn.Linear(2, 32), nn.ELU(), nn.Linear(32, 2))
    before = float((net(x) - y).detach().square().mean())
    dense = sum(parameter.numel() for parameter in net.parameters())
    small = train_to_budget(net, x, y, budget, steps=300, batch_size=64, lr=1e-2, gate_lr=5e-2, seed=0)
    assert sum(parameter.numel() for parameter in small.parameters()) <= budget.get("params", 1.0) * dense
    assert float((small(x) - y).detach().square().mean()) < 0.5 * before
