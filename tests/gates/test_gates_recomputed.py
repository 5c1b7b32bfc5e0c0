"""Activation checkpointing: what is computed again in the backward pass meets the gates of its own forward."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ellzero import Gated


class Blocks(nn.Module):
    """Residual blocks that may be checkpointed one by one."""

    def __init__(self, *, recompute: bool) -> None:
        super().__init__()
        self.recompute = recompute
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 8), nn.Tanh()) for _ in range(3)
        )

    def forward(self, values):
        hidden = self.first(values)
        for block in self.blocks:
            hidden = hidden + (checkpoint(block, hidden, use_reentrant=False) if self.recompute else block(hidden))
        return {"out": self.last(hidden), "size": hidden.shape}


def build(*, recompute):
    torch.manual_seed(0)
    return Gated(Blocks(recompute=recompute), torch.zeros(1, 5))


def one(call, values):
    call(values).pow(2).sum().backward()


def one_after_the_other(call, values):
    one(call, values)
    one(call, values + 1)


def two_before_one_backward(call, values):
    (call(values).pow(2).sum() + call(values + 1).pow(2).sum()).backward()


def the_first_backward_last(call, values):
    first, second = call(values).pow(2).sum(), call(values + 1).pow(2).sum()
    second.backward()
    first.backward()


def twice_through_one_graph(call, values):
    loss = call(values).pow(2).sum()
    loss.backward(retain_graph=True)
    call(values + 1)
    loss.backward()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("use", [one, one_after_the_other, two_before_one_backward, the_first_backward_last])
@pytest.mark.parametrize("where", ["blocks", "whole"])
def test_gradients_are_those_without_checkpointing(use, where, training):
    plain, recomputed = build(recompute=False).train(training), build(recompute=where == "blocks").train(training)
    values = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))

    def call(inputs):
        if where == "whole":
            return checkpoint(recomputed, inputs, use_reentrant=False)["out"]
        return recomputed(inputs)["out"]

    use(lambda inputs: plain(inputs)["out"], values)
    use(call, values)
    assert torch.equal(plain.gates.counters, recomputed.gates.counters)
    for (name, expected), (_, found) in zip(plain.named_parameters(), recomputed.named_parameters(), strict=True):
        assert torch.equal(expected.grad, found.grad), name


def test_a_graph_may_be_used_twice():
    plain, recomputed = build(recompute=False), build(recompute=True)
    values = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    for gated in (plain, recomputed):
        twice_through_one_graph(lambda inputs, gated=gated: gated(inputs)["out"], values)
    assert torch.equal(plain.log_odds.grad, recomputed.log_odds.grad)


def test_nothing_is_kept_when_the_outputs_are_gone():
    gated = build(recompute=True)
    one(lambda values: gated(values)["out"], torch.randn(4, 5))
    assert gated.gates._now.replayed() is None
    assert torch.equal(copy.deepcopy(gated).gates.values(), gated.gates.values())


def test_a_network_that_returns_its_weight_does_not_collect_hooks():
    class Returns(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, values):
            return self.two(self.one(values)), self.two.bias

    gated = Gated(Returns(), torch.zeros(1, 3))
    for _ in range(3):
        gated(torch.zeros(1, 3))
    assert not gated.two.bias._backward_hooks
