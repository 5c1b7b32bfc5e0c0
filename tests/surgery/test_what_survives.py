"""What surrounds the weights of a model is there after surgery as it was before."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import ellzero as l0


class Network(nn.Module):
    """Two convolutions, a norm, and a head, with buffers of its own."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.drop = nn.Conv2d(6, 8, 3, padding=1), nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("shift", torch.ones(4, dtype=torch.float64), persistent=False)
        self.register_buffer("empty", None)
        self.settings = {"note": [1, 2]}

    def forward(self, images):
        hidden = self.inner(self.norm(self.stem(images)).relu()).relu()
        return self.head(self.drop(hidden).mean((2, 3))) * self.scale + self.shift.float()


PLAN = l0.Plan({"stem": (1,), "inner": (0, 2, 5)})


def cut(network):
    torch.manual_seed(0)
    return l0.prune(l0.Gated(network, torch.zeros(2, 2, 5, 5)), plan=PLAN)


def test_buffers_keep_dtype_value_and_whether_they_are_stored():
    network = Network()
    small = cut(network)
    assert {name: buffer.dtype for name, buffer in small.named_buffers()} == {
        name: buffer.dtype for name, buffer in network.named_buffers()
    }
    assert list(small.state_dict()) == list(Network().state_dict())
    assert small.empty is None
    assert small.scale is not network.scale
    small.shift.zero_()
    assert bool(network.shift.all())


def test_attributes_of_the_user_are_copied():
    network = Network()
    small = cut(network)
    assert small.settings == {"note": [1, 2]}
    small.settings["note"].append(3)
    assert network.settings == {"note": [1, 2]}


def test_frozen_parameters_stay_frozen_and_the_others_trainable():
    network = Network()
    network.inner.weight.requires_grad_(False)
    network.norm.requires_grad_(False)
    small = cut(network)
    frozen = {name for name, parameter in small.named_parameters() if not parameter.requires_grad}
    assert frozen == {"inner.weight", "norm.weight", "norm.bias"}


def test_training_flags_stay_as_they_were_module_by_module():
    network = Network().train()
    network.norm.eval()
    network.drop.eval()
    small = cut(network)
    flags = {name for name, module in small.named_modules() if not module.training}
    assert flags == {"norm", "drop"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtypes_stay_as_they_were_tensor_by_tensor(dtype):
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).to(dtype)
    small = l0.prune(l0.Gated(network, torch.zeros(1, 4, dtype=dtype)), plan=l0.Plan({"0": (1,), "2": (0, 3)}))
    assert {parameter.dtype for parameter in small.parameters()} == {dtype}
    assert small[2].weight.shape == (4, 5)


def test_hooks_of_the_user_run_on_the_pruned_network_in_both_directions():
    network, seen = Network(), []
    network.inner.register_forward_pre_hook(lambda module, inputs: seen.append(("before", module)))
    network.inner.register_forward_hook(lambda module, inputs, output: seen.append(("after", module)))
    network.inner.register_full_backward_hook(lambda module, given, asked: seen.append(("back", module)))
    network.register_state_dict_post_hook(lambda module, *_: seen.append(("stored", module)))
    small = cut(network)
    seen.clear()
    small(torch.randn(2, 2, 5, 5)).sum().backward()
    small.state_dict()
    assert seen == [("before", small.inner), ("after", small.inner), ("back", small.inner), ("stored", small)]


def test_hooks_of_the_user_still_run_on_the_gated_network():
    network, seen = Network(), []
    network.inner.register_forward_hook(lambda module, inputs, output: seen.append(module))
    gated = l0.Gated(network, torch.zeros(2, 2, 5, 5))
    l0.prune(gated, plan=PLAN)
    seen.clear()
    gated(torch.randn(2, 2, 5, 5))
    assert seen == [network.inner]


class Tied(nn.Module):
    """An embedding whose weight is the head's, and two layers that share weight and bias."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 4)
        self.one, self.two, self.three = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.three.weight, self.three.bias = self.two.weight, self.two.bias
        self.back, self.head = nn.Linear(6, 4), nn.Linear(4, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, tokens):
        hidden = self.three(self.two(self.one(self.words(tokens)).relu()).relu()).relu()
        return self.head(self.back(hidden))


@pytest.mark.parametrize("group", ["one", "words"])
def test_tied_weights_stay_tied_whether_they_are_cut_or_not(group):
    network, tokens = Tied(), torch.randint(11, (2, 3))
    gated = l0.Gated(network, tokens)
    names = [one.name for one in gated.channels.gated]
    chosen = next((name for name in names if name.startswith(group)), names[0])
    small = l0.prune(gated, plan=l0.Plan({chosen: (1,)}))
    assert small.head.weight is small.words.weight
    assert small.three.weight is small.two.weight
    assert small.three.bias is small.two.bias
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in Tied().parameters())


NORMALISED = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}


@pytest.mark.parametrize("place", [0, 4])
@pytest.mark.parametrize("kind", NORMALISED)
def test_parametrizations_of_others_stay_and_work_where_a_layer_is_kept(kind, place):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 5))
    NORMALISED[kind](network.eval()[place])  # in training mode every look at a spectral norm changes it
    gated = l0.Gated(network, torch.randn(2, 4))
    small = l0.prune(gated, plan=l0.Plan({gated.channels.gated[-1].name: (1,)}))
    assert parametrize.is_parametrized(small[place], "weight")
    assert not any(parametrize.is_parametrized(small[other]) for other in {0, 2, 4} - {place})
    before = small[place].weight.detach().clone()
    with torch.no_grad():
        first = next(iter(small[place].parametrizations.weight.parameters()))
        first.copy_(torch.randn_like(first))
    assert not torch.equal(small[place].weight, before)
    assert torch.equal(network[place].weight, gated.bare()[place].weight)
    assert torch.equal(copy.deepcopy(small)[place].weight, small[place].weight)


class Twice(nn.Module):
    """A parametrization of the user's."""

    def forward(self, bias):
        return 2 * bias


def test_a_parametrization_stays_on_one_tensor_of_a_layer_whose_other_tensor_had_gates():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    parametrize.register_parametrization(network[2], "bias", Twice())
    gated = l0.Gated(network, torch.randn(2, 4))
    small = l0.prune(gated, plan=l0.Plan({"0": (1, 2)}))
    assert parametrize.is_parametrized(small[2], "bias")
    assert not parametrize.is_parametrized(small[2], "weight")
    assert small[2].weight.shape == (3, 3)
    torch.testing.assert_close(small[2].bias, 2 * small[2].parametrizations.bias.original)
    assert parametrize.is_parametrized(gated.model[2], "weight")


@pytest.mark.parametrize("dims", [2, 3])
def test_weights_whose_channels_lie_last_in_memory_stay_so(dims):
    convolution, last = (nn.Conv2d, torch.channels_last) if dims == 2 else (nn.Conv3d, torch.channels_last_3d)
    network = nn.Sequential(convolution(3, 6, 3, padding=1), nn.ReLU(), convolution(6, 4, 3, padding=1))
    network.to(memory_format=last)
    small = l0.prune(l0.Gated(network, torch.zeros(1, 3, *[5] * dims)), plan=l0.Plan({"0": (1,)}))
    assert small[0].weight.shape[0] == small[2].weight.shape[1] == 5
    assert all(layer.weight.is_contiguous(memory_format=last) for layer in (small[0], small[2]))
    assert not any(layer.weight.is_contiguous() for layer in (small[0], small[2]))


def test_marks_on_parameters_survive():
    network = Network()
    network.stem.weight._no_weight_decay = True
    assert cut(network).stem.weight._no_weight_decay is True


class Counting(nn.Module):
    """Counts its calls in a buffer, on which its output depends, and replaces another."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x):
        self.calls += 1
        found = self.two(self.one(x).relu()) * self.calls
        self.last = found.detach().mean(0)
        return found


def test_buffers_that_a_forward_pass_changes_are_as_before():
    network = Counting()
    small = l0.prune(l0.Gated(network, torch.randn(3, 4)), plan=l0.Plan({"one": (0, 3)}))
    for one in (network, small):
        assert float(one.calls) == 0
        assert not one.last.any()
