"""A budget finds what no budget finds, and never explains less."""

import numpy as np
import pytest
import torch

from ellzero.dictionary import Dynamics, polynomial
from ellzero.dictionary.dynamics.coupled import Limit, search_support
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.simulate import integrate_many


@pytest.mark.parametrize("terms", [4, (2, 2), None])
def test_prey_and_predators_are_found_with_and_without_a_budget(terms):
    def rates(_, x):
        a, b = x.unbind(-1)
        return torch.stack([1.1 * a - 0.4 * a * b, 0.1 * a * b - 0.4 * b], -1)

    times = np.arange(0, 15, 0.05)
    run = integrate_many(rates, torch.tensor([[10.0, 5.0]], dtype=torch.float64), torch.from_numpy(times))[0]
    model = Dynamics(terms, polynomial("a b", 2)).fit(run.numpy(), t=times)
    assert str(model.equations()) == "a' = 1.1 a - 0.4 a b\nb' = -0.4 b + 0.1 a b"


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_of_as_many_terms_as_are_kept_without_one_explains_as_much(seed):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    features = torch.randn(80, 9, generator=generator, dtype=torch.float64) @ mix
    target = features[:, 0] - features[:, 3] + 0.5 * features[:, 7]
    gram, score = features.T @ features, features.T @ target
    evidence = Evidence.from_rows(features, target)

    def explained(support):
        return float(score[support] @ torch.linalg.solve(gram[support][:, support], score[support]))

    nothing = torch.zeros(0, dtype=torch.long)
    free = search_support(evidence, nothing, penalty=1e-3)
    limited = search_support(evidence, nothing, penalty=1e-3, limit=Limit(total=len(free)))
    assert len(limited) <= len(free)
    assert explained(limited) >= explained(free) * (1 - 1e-9)
