"""What comes out of `prune`: an ordinary module with the same outputs, and what went in is as it was."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

import ellzero as l0
from ellzero.errors import NonFiniteError, SurgeryError
from ellzero.graph import NoChannels, OnlyBias, Select, structure_of
from ellzero.surgery import compare, outputs_of


class Residual(nn.Module):
    """A stem, a branch with batch norm that may go, pooled and flattened positions, and two linear layers."""

    def __init__(self, *, inplace: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1)
        self.inner = nn.Conv2d(5, 4, 3, padding=1, stride=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=inplace)
        self.outer = nn.Conv2d(4, 5, 3, padding=1)
        self.hidden = nn.Linear(45, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        stream = self.stem(images).relu()
        stream = stream + self.relu(self.outer(self.relu(self.norm(self.inner(stream)))))
        return self.head(self.relu(self.hidden(F.max_pool2d(stream, 2).flatten(1))))


EXAMPLE = torch.zeros(1, 2, 6, 6)


def build(**options):
    torch.manual_seed(0)
    return l0.Gated(Residual(), EXAMPLE, **options)


def shut(gated, **groups):
    """Open every gate but those given by the name of their group."""
    with torch.no_grad():
        gated.log_odds.fill_(3.0)
        for group, place in gated.layout.slices():
            gated.log_odds[place][list(groups.get(group.name.replace(" ", "_"), ()))] = -3.0
    return gated


def integers(model, generator, dtype):
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randint(-3, 4, tensor.shape, generator=generator))
    return model.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{}, {"positions": True}])
@pytest.mark.parametrize("seed", range(3))
def test_on_whole_numbers_the_outputs_are_equal_bit_for_bit(seed, options, dtype):
    """Sums of small integers are exact in any order, so nothing can hide behind rounding."""
    generator = torch.Generator().manual_seed(seed)
    model = Residual()
    model.norm = nn.Identity()  # its square root would leave the integers
    gated = l0.Gated(integers(model, generator, dtype), EXAMPLE.to(dtype), **options).eval()
    with torch.no_grad():
        gated.log_odds.copy_(torch.where(torch.rand(gated.log_odds.shape, generator=generator) < 0.5, 9.0, -9.0))
    assert set(gated.gates.values().unique().tolist()) <= {0.0, 1.0}
    images = torch.randint(-2, 3, (4, 2, 6, 6), generator=generator).to(dtype)
    small = l0.prune(gated)
    assert torch.equal(small.eval()(images), gated(images))
    assert small.stem.weight.dtype == dtype


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("options", [{}, {"inputs": True}, {"positions": True}])
def test_in_float64_the_outputs_agree_to_twelve_digits(share, options, gate):
    gated = gate(Residual(), EXAMPLE.double(), share=share, **options)
    images = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    small = l0.prune(gated)
    torch.testing.assert_close(small.eval()(images), gated(images), rtol=1e-12, atol=1e-12)
    assert structure_of(small).difference < 1e-12


def test_gates_between_zero_and_one_are_folded_into_the_readers():
    gated = shut(build())
    with torch.no_grad():
        gated.log_odds.fill_(0.0)  # the median is one half
    half = gated.gates.eval().values()[-1]
    full = gated.bare().head.weight.detach()
    assert 0.4 < half < 0.6
    torch.testing.assert_close(l0.prune(gated).head.weight.detach(), full * half)


def test_the_result_is_an_ordinary_module_of_the_original_classes():
    small = l0.prune(shut(build(), stem=(1,), inner=(0, 2), hidden=(5,)))
    assert [type(module) for module in small.modules()] == [type(module) for module in Residual().modules()]
    assert not any(parametrize.is_parametrized(module) for module in small.modules())
    assert [name for name, _ in small.named_parameters()] == [name for name, _ in Residual().named_parameters()]
    assert list(small.state_dict()) == list(Residual().state_dict())


def test_attributes_agree_with_the_tensors():
    small = l0.prune(shut(build(), stem=(1,), inner=(0, 2), hidden=(5,)))
    assert (small.stem.out_channels, small.inner.in_channels, small.inner.out_channels) == (4, 4, 2)
    assert (small.norm.num_features, small.norm.running_mean.shape) == (2, (2,))
    assert (small.hidden.in_features, small.hidden.out_features, small.head.in_features) == (36, 5, 5)
    assert l0.count(small, EXAMPLE).params == sum(parameter.numel() for parameter in small.parameters())


def test_the_gated_network_is_untouched_and_still_trains():
    gated = shut(build(), stem=(1,), inner=(0, 1, 2, 3))
    gated.model.norm.eval()
    before = {name: tensor.clone() for name, tensor in gated.state_dict().items()}
    flags = [module.training for module in gated.modules()]
    l0.prune(gated)
    assert all(torch.equal(tensor, before[name]) for name, tensor in gated.state_dict().items())
    assert list(gated.state_dict()) == list(before)
    assert [module.training for module in gated.modules()] == flags
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-2))
    gated(torch.randn(3, 2, 6, 6)).pow(2).sum().backward()
    optimizer.step()
    assert not torch.equal(gated.log_odds, before["gates.log_odds"])


def test_the_cut_network_owns_its_tensors():
    gated = shut(build())
    small = l0.prune(gated)
    with torch.no_grad():
        for tensor in small.state_dict().values():
            tensor.zero_()
    assert all(parameter.abs().sum() > 0 for name, parameter in gated.named_parameters() if "norm.bias" not in name)


def test_the_cut_network_trains_on():
    small = l0.prune(shut(build(), stem=(1,), inner=(0,)))
    before = small.stem.weight.detach().clone()
    small.train()(torch.randn(3, 2, 6, 6)).pow(2).sum().backward()
    torch.optim.SGD(small.parameters(), lr=0.1).step()
    assert not torch.equal(small.stem.weight, before)


@pytest.mark.parametrize("inplace", [False, True])
def test_an_emptied_residual_branch_disappears(inplace):
    gated = shut(l0.Gated(Residual(inplace=inplace), EXAMPLE), inner=range(4))
    small = l0.prune(gated)
    assert isinstance(small.inner, NoChannels)
    assert isinstance(small.norm, nn.Identity)
    assert isinstance(small.outer, OnlyBias)
    assert "inner.weight" not in small.state_dict()
    images = torch.randn(2, 2, 6, 6)
    gated.eval()
    assert torch.equal(small.eval()(images), small.eval()(images)), "nothing is changed in place"
    torch.testing.assert_close(small(images), gated(images), rtol=1e-5, atol=1e-5)
    small.train()(images).sum().backward()
    assert small.outer.bias.grad is not None
    assert l0.count(small, EXAMPLE).macs == 36 * 5 * 18 + 45 * 6 + 6 * 3


def test_a_layer_on_the_only_path_keeps_its_best_channel():
    gated = build()
    with torch.no_grad():
        gated.log_odds.fill_(-5.0)
        gated.log_odds[3] = -4.0
    small = l0.prune(gated)
    assert small.stem.weight.shape[0] == 1
    assert structure_of(small).plan.shut["stem"] == (0, 1, 2, 4)
    torch.testing.assert_close(small.stem.weight.detach(), gated.bare().stem.weight.detach()[3:4])


def test_selected_inputs_and_positions_stand_before_their_reader():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    gated = l0.Gated(model, torch.zeros(1, 1, 4, 4), positions=True).eval()
    shut(gated, **{"0": (1,), "2_inputs": (0, 5, 11)})
    small = l0.prune(gated)
    assert type(small[2].select) is Select
    assert small[2].select.indices.tolist() == [1, 2, 3, 4, 5, 6], "of the 8 that arrive from two channels"
    assert small[2].reader.weight.shape == (4, 6)
    images = torch.randn(3, 1, 4, 4)
    torch.testing.assert_close(small.eval()(images), gated(images))


def test_selected_features_of_a_single_layer_network_stand_before_it():
    gated = shut(l0.Gated(nn.Linear(5, 2), torch.zeros(1, 5), inputs=True), input=(0, 4)).eval()
    small = l0.prune(gated)
    assert small.select.indices.tolist() == [1, 2, 3]
    values = torch.randn(3, 5)
    torch.testing.assert_close(small(values), gated(values))


def test_selected_channels_of_images_stand_before_the_convolution():
    gated = shut(l0.Gated(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)),
                          torch.zeros(1, 3, 5, 5), inputs=True), input=(1,)).eval()  # fmt: skip
    small = l0.prune(gated)
    images = torch.randn(2, 3, 5, 5)
    assert small[0].select.indices.tolist() == [0, 2]
    torch.testing.assert_close(small(images), gated(images))


def test_settings_of_parameters_are_kept():
    model = Residual()
    model.inner.weight.requires_grad_(False)
    model.head.weight.requires_grad_(False)
    model.norm.eval()
    gated = shut(l0.Gated(model.to(torch.bfloat16), EXAMPLE.to(torch.bfloat16)), stem=(0,), hidden=(1,))
    small = l0.prune(gated)
    assert {name for name, p in small.named_parameters() if not p.requires_grad} == {"inner.weight", "head.weight"}
    assert {parameter.dtype for parameter in small.parameters()} == {torch.bfloat16}
    assert (small.training, small.norm.training, small.stem.training) == (True, False, True)


def test_tied_parameters_stay_tied():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2))
    model[4].weight, model[4].bias = model[2].weight, model[2].bias
    gated = shut(l0.Gated(model, torch.zeros(1, 4)), **{"0": (1, 2)})
    small = l0.prune(gated)
    assert small[4].weight is small[2].weight
    assert small[4].bias is small[2].bias
    assert small[2].weight.shape == (4, 4)


def test_a_module_used_in_two_places_stays_one():
    shared = nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(4, 6), shared, nn.ReLU(), shared, nn.Linear(6, 2))
    small = l0.prune(shut(l0.Gated(model, torch.zeros(1, 4)), **{"0": (1,)}))
    assert small[1] is small[3]


def test_hooks_and_buffers_survive():
    model, shapes = Residual(), []
    model.stem.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    model.register_buffer("classes", torch.arange(3), persistent=False)
    gated = shut(l0.Gated(model, EXAMPLE), stem=(0, 1))
    small = l0.prune(gated)
    small(torch.zeros(1, 2, 6, 6))
    assert shapes[-1] == (1, 3, 6, 6)
    assert torch.equal(small.classes, torch.arange(3))
    assert "classes" not in small.state_dict()


def test_a_pruned_network_can_be_copied_saved_and_gated_again(tmp_path):
    gated = shut(build(), stem=(1,), hidden=(0, 1))
    small = l0.prune(gated)
    images = torch.randn(2, 2, 6, 6)
    assert torch.equal(copy.deepcopy(small).eval()(images), small.eval()(images))
    torch.save(small.state_dict(), tmp_path / "small.pt")
    small.load_state_dict(torch.load(tmp_path / "small.pt", weights_only=True))
    again = shut(l0.Gated(small, EXAMPLE), stem=(0,))
    assert l0.prune(again).stem.weight.shape[0] == 3


def test_nothing_shut_changes_nothing():
    gated = shut(build())
    with torch.no_grad():
        gated.log_odds.fill_(9.0)
    full, small = gated.bare(), l0.prune(gated)
    assert all(torch.equal(one, other) for one, other in zip(full.parameters(), small.parameters(), strict=True))
    assert structure_of(small).plan == l0.Plan({})


def test_all_shut_leaves_the_smallest_network():
    gated = build(positions=True)
    with torch.no_grad():
        gated.log_odds.fill_(-9.0)
    small = l0.prune(gated)
    assert [small.stem.weight.shape[0], small.hidden.reader.weight.shape, small.head.weight.shape] == [
        1,
        (1, 1),
        (3, 1),
    ]


def test_small_outputs_do_not_hide_a_difference():
    one, other = (nn.Sequential(nn.Linear(3, 2), nn.Identity()) for _ in range(2))
    for network in (one, other):
        network[0].weight.data.mul_(1e-6)
        network[0].bias.data.zero_()
    with pytest.raises(SurgeryError, match="differs from the gated one"):
        compare(one, other, torch.ones(1, 3))


class Noisy(nn.Linear):
    """Draws random numbers in evaluation mode too."""

    def forward(self, x):
        return super().forward(x) + torch.rand(len(x), 1)


def test_random_numbers_of_a_comparison_are_fixed_and_those_of_the_user_go_on():
    noisy = Noisy(4, 3)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    (one,), (other,) = (outputs_of(noisy, torch.zeros(2, 4)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    assert torch.equal(torch.rand(2), expected)
    assert noisy.training


class Waves(nn.Module):
    """A complex weight reads real channels."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 6)
        self.wave = nn.Parameter(torch.randn(6, 3, dtype=torch.complex64))

    def forward(self, x):
        return (self.one(x).relu().to(self.wave.dtype) @ self.wave).abs()


def test_complex_weights_read_channels():
    example = torch.randn(2, 4)
    gated = l0.Gated(Waves(), example, channels=l0.trace(Waves(), example)).eval()
    gated.log_odds.data.copy_(torch.tensor([5.0, -5.0, 0.3, -5.0, 5.0, -0.2]))
    small = l0.prune(gated)
    assert small.wave.shape == (4, 3)
    x = torch.randn(5, 4)
    with torch.no_grad():
        assert torch.allclose(gated(x), small(x), atol=1e-6)
    gated.bare().wave.data[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="'wave'"):
        l0.Gated(gated.bare(), example)
