"""Every network of the table is understood: its groups, their text, their JSON, and what is left when they are cut."""

import torch
from torch import nn

from ellzero.graph import Channels, Group, Layout, Member, cut, trace


def test_the_groups_of_a_network_are_those_that_a_person_would_name(network):
    channels = trace(network.build(), torch.zeros(network.shape))
    assert tuple(group.size for group in channels.gated) == network.sizes


def test_a_cut_network_computes_what_the_masked_one_computes(network, hold_against_mask):
    hold_against_mask(network.build(), torch.randn(network.shape, dtype=torch.float64))


def test_inputs_and_positions_can_be_cut_too(network, hold_against_mask):
    example = torch.randn(network.shape, dtype=torch.float64)
    hold_against_mask(network.build(), example, inputs=True, positions=True)


def test_a_network_is_not_touched_by_tracing(network):
    model = network.build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace(model, torch.zeros(network.shape), inputs=True, positions=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_tracing_leaves_the_random_numbers_alone(network):
    torch.manual_seed(0)
    model = network.build()
    before = torch.get_rng_state()
    trace(model, torch.zeros(network.shape))
    assert torch.equal(torch.get_rng_state(), before)


def test_channels_survive_json(network):
    channels = trace(network.build(), torch.zeros(network.shape), inputs=True, positions=True)
    assert Channels.from_json(channels.to_json()) == channels


def test_every_group_stands_in_the_printout_with_its_reason(network):
    channels = trace(network.build(), torch.zeros(network.shape))
    lines = str(channels).splitlines()
    assert len(lines) == len(channels.groups)
    assert all(any(group.name in line and group.reason in line for line in lines) for group in channels.groups)


def test_tracing_needs_no_memory_for_the_numbers():
    num = 10**5
    model = nn.Sequential(nn.Linear(num, num, device="meta"), nn.ReLU(), nn.Linear(num, 3, device="meta"))
    assert trace(model, torch.zeros(1, num, device="meta")).num_gates == num


def test_inputs_are_gated_where_a_plain_layer_reads_them():
    channels = trace(nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Linear(3, 2)), torch.zeros(1, 3, 4), inputs=True)
    (pixels,) = (group for group in channels.gated if group.kind == "input")
    assert (pixels.size, pixels.readers) == (12, ["1.weight"])


def test_positions_know_the_channel_they_lie_in():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    positions = trace(model, torch.zeros(1, 1, 4, 4), positions=True).group("2 inputs")
    assert (positions.parent, positions.parent_index) == ("0", (0, 0, 0, 0, 1, 1, 1, 1))


def test_channels_written_by_hand_cut_like_traced_ones():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    members = (Member("0.weight", 0, "writer"), Member("0.bias", 0), Member("2.weight", 1, "reader"))
    is_open = torch.tensor([True, False, True])
    small = cut(model, Layout.of(Channels((Group("hidden", 3, members),), {})), is_open)
    traced = cut(model, Layout.of(trace(model, torch.zeros(1, 4))), is_open)
    assert all(torch.equal(one, other) for one, other in zip(small.parameters(), traced.parameters(), strict=True))
    assert (small[0].out_features, small[2].in_features) == (2, 2)


def test_an_emptied_residual_branch_leaves_the_stream():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
            self.inner, self.outer = nn.Linear(6, 3), nn.Linear(3, 6)

        def forward(self, values):
            stream = self.first(values)
            return self.last(stream + self.outer(self.inner(stream).relu()))

    channels = trace(Block(), torch.zeros(1, 4))
    assert {group.name: group.removable for group in channels.gated} == {"first": False, "inner": True}


def test_of_two_parallel_branches_without_a_direct_path_one_stays():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1)
            self.head = nn.Conv2d(9, 2, 1)

        def forward(self, images):
            return self.head(torch.cat([self.one(images), self.two(images)], 1))

    assert sorted(group.removable for group in trace(Branches(), torch.zeros(1, 3, 2, 2)).gated) == [False, True]
