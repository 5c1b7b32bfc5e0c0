"""Copies of networks, made faster than `copy.deepcopy` makes them, and the same."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_leaves

import networks
from ellzero.graph.recording.copies import copied


def held(module: nn.Module) -> dict[str, object]:
    """Everything plain that the modules of a network remember."""
    plain = (bool, int, float, str, tuple, type(None))
    return {
        f"{name}.{key}": value
        for name, one in module.named_modules()
        for key, value in vars(one).items()
        if isinstance(value, plain)
    }


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_copy_of_any_network_of_the_zoo_is_like_a_deep_copy(name):
    model, _ = networks.build(name)
    one, other = copied(model, {}), copy.deepcopy(model)
    assert [(key, type(module)) for key, module in one.named_modules(remove_duplicate=False)] == [
        (key, type(module)) for key, module in other.named_modules(remove_duplicate=False)
    ]
    assert held(one) == held(other) == held(model)
    mine, theirs = one.state_dict(keep_vars=True), other.state_dict(keep_vars=True)
    assert mine.keys() == theirs.keys()
    for key, tensor in mine.items():
        assert torch.equal(tensor, theirs[key])
        assert tensor.requires_grad == theirs[key].requires_grad
        assert tensor.data_ptr() != model.state_dict()[key].data_ptr() or not tensor.numel()


class Parent(nn.Module):
    """Its child knows it, two children share an empty table and a weight, and it hides a module in a list."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight
        self.one.cache = self.two.cache = {}
        self.one.parent = [self]
        self.hidden = [nn.Linear(2, 2)]
        self.one.register_forward_hook(self.seen)

    def seen(self, *_):
        self.num_seen = getattr(self, "num_seen", 0) + 1

    def forward(self, values):
        return self.two(self.one(values))


def test_what_is_shared_within_a_network_is_shared_in_its_copy_and_with_nothing_else():
    model = Parent()
    twin = copied(model, {})
    assert twin.one.weight is twin.two.weight is not model.one.weight
    assert twin.one.cache is twin.two.cache is not model.one.cache
    assert twin.one.parent[0] is twin
    assert twin.hidden[0] is not model.hidden[0]
    twin(torch.zeros(1, 3))
    assert (twin.num_seen, hasattr(model, "num_seen")) == (1, False)


def test_what_stands_for_a_tensor_is_taken_wherever_it_occurs():
    model = Parent()
    weight = nn.Parameter(torch.ones(3, 3))
    twin = copied(model, {id(model.one.weight): weight})
    assert twin.one.weight is weight is twin.two.weight


class Careful(nn.Linear):
    """Says itself how it is copied."""

    def __deepcopy__(self, memo):
        twin = Careful(self.in_features, self.out_features)
        twin.is_copied = True
        return twin


class Waking(nn.Linear):
    """Does something when its state is set."""

    def __setstate__(self, state):
        super().__setstate__(state)
        self.is_awake = True


def test_modules_that_say_how_they_are_copied_are_asked():
    twin = copied(nn.Sequential(Careful(3, 3), Waking(3, 3)), {})
    assert twin[0].is_copied
    assert twin[1].is_awake


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.LSTM(3, 4, 2, bidirectional=True),
        lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 4)),
    ],
)
def test_recurrent_and_parametrized_layers_compute_the_same_when_copied(build):
    torch.manual_seed(0)
    model = build().eval()
    example = torch.randn(2, 3)
    found, expected = (tree_leaves(network(example)) for network in (copied(model, {}), model))
    assert all(map(torch.equal, found, expected))


def test_the_copy_of_a_network_compiled_in_place_calls_itself():
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    network.compile(backend="eager")
    assert copied(network, {})._compiled_call_impl is None
