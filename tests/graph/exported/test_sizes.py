"""Networks whose forward pass fixes sizes are delivered, on request, as exported graphs with corrected sizes."""

import pytest
import torch

import ellzero as l0
from ellzero.errors import SurgeryError
from ellzero.graph import Channels, Costs, Plan, Target, trace
from networks.fixed_sizes import FIXED_SIZES, Shuffled


@pytest.mark.parametrize("word", FIXED_SIZES)
def test_sizes_that_the_forward_pass_fixes_are_corrected_in_the_exported_graph(gated, random_plan, word):
    network, example = gated(word)
    assert {group.name: group.size for group in network.channels.gated} == FIXED_SIZES[word].sizes
    more = torch.cat([example, example.flip(-1), example])  # another batch than any that was traced
    for seed, share in [(0, 0.3), (1, 0.9)]:
        plan = random_plan(network, seed, share)
        small = l0.prune(network, plan=plan)
        assert isinstance(small, torch.fx.GraphModule)
        with network.planned(plan), torch.no_grad():
            assert (small(more) - network(more)).abs().max() < 1e-12
        costs = Costs(network.layout, [Target("params")])
        counted = sum(parameter.numel() for parameter in small.parameters())
        assert [counted] == costs.exact(plan.open_gates(network.layout))


def test_other_sizes_of_the_input_may_vary_too(gated, random_plan):
    network, _ = gated("attention by hand")
    plan = random_plan(network)
    small = l0.prune(network, plan=plan)
    longer = torch.randn(5, 11, 5, dtype=torch.float64)
    with network.planned(plan), torch.no_grad():
        assert (small(longer) - network(longer)).abs().max() < 1e-12


def test_without_the_option_the_same_widths_are_kept_with_the_reason():
    channels = trace(Shuffled(), torch.randn(3, 10))
    assert channels.num_gates == 0
    reason = channels.group("fc1").reason
    assert reason.startswith("its width is fixed in the forward pass")
    assert reason.endswith("exported=True may help")


def test_the_places_of_a_slice_that_keeps_channels_are_named():
    channels = trace(FIXED_SIZES["fused grouped queries"].build(), torch.randn(2, 7, 5))
    assert channels.group("qkv").reason == "is cut at fixed places by slice (0 to 24 of 48); exported=True may help"


def test_a_budget_holds_for_the_graph(gated):
    network, _ = gated("a shuffled width")
    small = l0.prune(network, l0.Budget(network, params=0.5))
    assert sum(parameter.numel() for parameter in small.parameters()) <= 0.5 * (11 * 128 + 129 * 3)


def test_channels_say_that_they_are_those_of_an_exported_graph():
    channels = trace(Shuffled(), torch.randn(3, 10), exported=True)
    assert Channels.from_json(channels.to_json()).exported
    network = l0.Gated(Shuffled(), torch.randn(3, 10), channels=channels)
    assert isinstance(l0.prune(network, plan=Plan({"fc1": (1,)})), torch.fx.GraphModule)
    with pytest.raises(SurgeryError, match="exported graph, and this is a Shuffled"):
        l0.cut_module(Shuffled(), channels, Plan({"fc1": (1,)}))


def test_multiply_adds_are_those_of_a_batch_of_one_as_it_was_given():
    network, example = l0.Gated(Shuffled(), torch.randn(1, 10), exported=True), torch.randn(1, 10)
    small = l0.prune(network, plan=(plan := Plan({network.channels.gated[0].name: (1, 4)})))
    macs = Costs(network.layout, [Target("macs")])
    assert macs.full == [l0.count(Shuffled(), example).macs]
    assert macs.exact(plan.open_gates(network.layout)) == [l0.count(small, example).macs]
    assert small(torch.randn(4, 10)).shape == (4, 3)
