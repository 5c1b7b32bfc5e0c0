"""A training that is killed and resumed ends where the uninterrupted one ends, bit for bit."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ellzero as l0


def advance(gated, optimizer, budget, data, *, steps, micro_batches=1):
    images, labels = data
    for _ in range(steps):
        optimizer.zero_grad()
        for part, targets in zip(images.chunk(micro_batches), labels.chunk(micro_batches), strict=True):
            (F.cross_entropy(gated(part), targets) / micro_batches).backward()
        budget.penalty().backward()
        optimizer.step()
        budget.step()


def start(build, **options):
    gated = build(**options)
    budget = l0.Budget(gated, params=0.4, ramp=4, dual_lr=0.1)
    return gated, torch.optim.Adam(gated.parameter_groups(lr=1e-2, gate_lr=0.1)), budget


@pytest.mark.parametrize("num_before", [0, 1, 5])
@pytest.mark.parametrize("options", [{}, {"inputs": True, "positions": True}])
def test_resume_is_bit_exact(num_before, options, build, data):
    gated, optimizer, budget = start(build, **options)
    advance(gated, optimizer, budget, data, steps=num_before, micro_batches=2)
    file = io.BytesIO()
    torch.save({"gated": gated.state_dict(), "optimizer": optimizer.state_dict()}, file)
    advance(gated, optimizer, budget, data, steps=4, micro_batches=2)

    resumed, its_optimizer, its_budget = start(build, seed=99, **options)
    file.seek(0)
    checkpoint = torch.load(file, weights_only=True)
    resumed.load_state_dict(checkpoint["gated"])
    its_optimizer.load_state_dict(checkpoint["optimizer"])
    advance(resumed, its_optimizer, its_budget, data, steps=4, micro_batches=2)

    ours, theirs = gated.state_dict(), resumed.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert l0.prune(resumed, its_budget).state_dict().keys() == l0.prune(gated, budget).state_dict().keys()


def test_a_step_that_was_interrupted_between_micro_batches_resumes_too(build, data):
    gated, *_ = start(build)
    gated(data[0])
    resumed, *_ = start(build, seed=99)
    resumed.load_state_dict(gated.state_dict())
    assert torch.equal(resumed(data[0]), gated(data[0]))


def test_the_state_dict_holds_every_tensor_once(build):
    gated = build()
    names = list(gated.state_dict())
    assert sum("log_odds" in name for name in names) == 1
    assert sum("counters" in name for name in names) == 1
    pointers = [tensor.data_ptr() for tensor in gated.state_dict().values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers)


def test_a_checkpoint_of_another_network_is_refused(build):
    other = l0.Gated(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.zeros(1, 3))
    with pytest.raises(RuntimeError, match="Error"):
        build().load_state_dict(other.state_dict())


def test_loading_reaches_the_masks(build):
    gated, other = build().eval(), build().eval()
    with torch.no_grad():
        gated.log_odds.copy_(torch.linspace(-5, 5, 15))
    other.load_state_dict(gated.state_dict())
    assert torch.equal(other.model.head.weight, gated.model.head.weight)
    assert other.plan() == gated.plan()
