"""A dictionary inside of any network: its terms are channels that are found, gated and cut."""

import torch
from torch import nn

import ellzero as l0
from ellzero.dictionary import Dictionary, polynomial, trigonometric


def network():
    torch.manual_seed(0)
    dictionary = polynomial("x y", 3) + trigonometric("x y", ["x"])
    return nn.Sequential(dictionary, nn.Linear(len(dictionary), 4), nn.Tanh(), nn.Linear(4, 2)).double()


def test_the_terms_that_a_layer_reads_are_one_group_of_channels():
    channels = l0.trace(network(), torch.zeros(3, 2, dtype=torch.float64))
    group = channels.group("0")
    assert (group.size, group.writers, group.readers, group.reason) == (12, ["0.order"], ["1.weight"], "")


def test_cutting_them_leaves_a_smaller_dictionary_with_the_same_outputs():
    net, samples = network(), torch.randn(50, 2, dtype=torch.float64)
    gated = l0.Gated(net, samples)
    plan = l0.Plan({"0": (0, 2, 6, 7, 8, 9)})
    small = l0.prune(gated, plan=plan)
    assert isinstance(small[0], Dictionary)
    assert small[0].names == tuple(name for i, name in enumerate(net[0].names) if i not in (0, 2, 6, 7, 8, 9))
    assert small[0].products.shape[1] < net[0].products.shape[1]
    gated.eval()
    with gated.planned(plan):
        assert torch.allclose(gated(samples), small(samples), rtol=1e-12, atol=1e-12)


def test_a_cut_dictionary_can_be_gated_and_cut_again():
    samples = torch.randn(50, 2, dtype=torch.float64)
    once = l0.prune(l0.Gated(network(), samples), plan=l0.Plan({"0": (1, 2)}))
    twice = l0.prune(l0.Gated(once, samples), plan=l0.Plan({"0": (0,)}))
    assert twice[0].terms == network()[0].terms[3:]


def test_a_cut_network_is_saved_and_loaded(tmp_path):
    samples = torch.randn(50, 2, dtype=torch.float64)
    small = l0.prune(l0.Gated(network(), samples), plan=l0.Plan({"0": (0, 5)}))
    l0.save(small, tmp_path / "small")
    again = l0.load(tmp_path / "small", network)
    assert again[0].names == small[0].names
    assert torch.equal(again(samples), small(samples))


def test_selected_inputs_of_a_pruned_network_are_no_terms():
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    small = l0.prune(l0.Gated(net, torch.zeros(1, 6), inputs=True), plan=l0.Plan({"input": (0,)}))
    found = l0.trace(small, torch.zeros(1, 6))
    assert [group.name for group in found.gated] == ["0.reader"]
