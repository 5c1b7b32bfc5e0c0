"""The default controller reaches its target whatever the scale of the loss and the length of the training."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ellzero.budgets import Budget
from ellzero.gates import Gated


@pytest.mark.parametrize(
    ("scale", "steps", "goal", "gate_lr"),
    [(1, 300, 0.2, 0.05), (1, 400, 0.5, 0.03), (10, 1000, 0.2, 0.02), (100, 2000, 0.3, 0.02)],
)
def test_the_expected_size_is_at_its_target_at_two_thirds(scale, steps, goal, gate_lr):
    torch.manual_seed(0)
    inputs = torch.randn(1000, 20)
    targets = (torch.relu(inputs) @ torch.randn(20, 5)).argmax(1)
    net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
    gated = Gated(net, inputs[:1])
    budget = Budget(gated, params=goal, steps=steps)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3, gate_lr=gate_lr))
    for step in range(steps):
        chosen = torch.randint(0, 1000, (100,))
        loss = scale * F.cross_entropy(gated(inputs[chosen]), targets[chosen]) + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
        if step == steps * 2 // 3:
            assert budget.expected()["params"] == pytest.approx(goal, abs=0.015)
    assert budget.expected()["params"] == pytest.approx(goal, abs=0.015)
    assert budget.fit().num_shut == 0
