"""Heads, equal parts, shuffles and recurrent units: one channel has many places, and goes from all of them at once."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ellzero.graph import Channels, trace


class Attention(nn.Module):
    """Attention without any class of PyTorch: queries share keys in groups, projections are fused or not."""

    def __init__(self, width=12, heads=4, kv_heads=4, *, fused=False, is_one_call=True, first="parts"):
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.fused, self.is_one_call, self.first = fused, is_one_call, first
        self.embed = nn.Linear(5, width)
        if fused:
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q = nn.Linear(width, width)
            self.k, self.v = (nn.Linear(width, kv_heads * self.head_width) for _ in range(2))
        self.out = nn.Linear(width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, values: Tensor) -> Tensor:
        values = self.embed(values)
        normal = self.norm(values)
        query, key, value = self.parts(normal) if self.fused else (self.q(normal), self.k(normal), self.v(normal))
        query, key, value = (self.split(part) for part in (query, key, value))
        times = self.heads // (self.kv_heads or 1)
        key, value = (part.repeat_interleave(times, 1) if times > 1 else part for part in (key, value))
        if self.is_one_call:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(2, 3) / self.head_width**0.5).softmax(3) @ value
        return self.head(values + self.out(mixed.transpose(1, 2).flatten(2)))

    def parts(self, normal: Tensor) -> tuple[Tensor, ...]:
        found = self.qkv(normal)
        if self.first == "parts":
            return found.chunk(3, 2)
        if self.first == "one view":
            return found.view(*found.shape[:2], 3, self.heads, self.head_width).unbind(2)
        return found.view(*found.shape[:2], self.heads, 3, self.head_width).unbind(3)

    def split(self, part: Tensor) -> Tensor:
        return part.reshape(*part.shape[:2], -1, self.head_width).transpose(1, 2)


ATTENTION = {
    "in one call": {},
    "by hand": {"is_one_call": False},
    "fused": {"fused": True},
    "fused in one view": {"fused": True, "first": "one view"},
    "fused head by head": {"fused": True, "first": "heads"},
    "in groups": {"kv_heads": 2},
    "of many queries for one key": {"kv_heads": 1},
}


@pytest.mark.parametrize("word", ATTENTION)
def test_heads_are_found_without_being_told_and_cut_exactly(word, hold_against_mask):
    torch.manual_seed(0)
    model = Attention(**ATTENTION[word])
    channels = hold_against_mask(model, torch.randn(2, 6, 5, dtype=torch.float64))
    (heads,) = channels.gated
    assert heads.size == (model.kv_heads if model.kv_heads > 1 else model.heads)
    assert heads.readers == ["out.weight"]
    assert all(len(member.index) % model.head_width == 0 for member in heads.members)


def test_numbers_that_a_module_remembers_follow_the_heads(hold_against_mask):
    model = Attention(fused=True, first="one view")
    channels = trace(model, torch.zeros(2, 6, 5))
    assert [(one.name, one.multiple) for one in channels.gated[0].attributes] == [("heads", 1), ("kv_heads", 1)]


class Multiplied(nn.Module):
    def __init__(self, function, reads):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(reads, 5)
        self.function = function

    def forward(self, values):
        return self.last(self.function(self.first(values)))


def gated_by_chunk(hidden):
    one, other = hidden.chunk(2, 1)
    return one * other.sigmoid()


def gated_by_pairs(hidden):
    pairs = hidden.unflatten(-1, (-1, 2))
    return pairs[..., 0] * pairs[..., 1].sigmoid()


PLACES = {
    "a gated unit": (gated_by_chunk, 4, 4),
    "a gated unit that lies interleaved": (lambda h: h[..., ::2] * h[..., 1::2].sigmoid(), 4, 4),
    "interleaved, with ends": (lambda h: h[:, : h.shape[1] : 2] * h[:, 1 : h.shape[1] : 2].sigmoid(), 4, 4),
    "interleaved, one half alone": (lambda h: h[..., 1::2].tanh(), 4, 4),
    "interleaved, one in four": (lambda h: h[..., ::4] * h[..., 3::4], 2, 2),
    "interleaved, by a view": (gated_by_pairs, 4, 4),
    "interleaved halves of a concatenation": (lambda h: torch.cat([h, h], 1)[:, ::2], 8, 4),
    "a gated linear unit": (lambda h: F.glu(h, 1), 4, 4),
    "pairs": (lambda h: h.view(len(h), -1, 2).amax(2), 4, 4),
    "a shuffle": (lambda h: h.view(len(h), 2, h.shape[1] // 2).transpose(1, 2).flatten(1), 8, 4),
    "a shuffle of pairs": (lambda h: h.view(len(h), h.shape[1] // 2, 2).transpose(1, 2).flatten(1), 8, 4),
    "stacked": (lambda h: torch.stack([h, h * 2], 1).sum(1), 8, 8),
    "added to zeros": (lambda h: h + torch.zeros(len(h), h.shape[1]).to(h), 8, 8),
    "ones in front": (lambda h: torch.cat([torch.ones_like(h), h], 1), 16, 8),
}


@pytest.mark.parametrize("word", PLACES)
def test_what_stands_in_many_places_goes_together(word, hold_against_mask):
    function, reads, num_gates = PLACES[word]
    assert hold_against_mask(Multiplied(function, reads), torch.randn(3, 6).double()).num_gates == num_gates


def test_a_weight_that_reads_and_writes_the_same_channels_is_cut_once(hold_against_mask):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.code, self.last = nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(8, 2)

        def forward(self, values):
            return self.last(F.linear(self.code(self.first(values)).relu(), self.code.weight.t()))

    assert [group.size for group in hold_against_mask(Tied(), torch.randn(3, 6).double()).gated] == [8, 5]


def test_a_group_norm_keeps_what_it_normalises_together(hold_against_mask):
    model = nn.Sequential(nn.Conv2d(3, 12, 1), nn.GroupNorm(4, 12), nn.ReLU(), nn.Conv2d(12, 2, 3))
    (channels,) = hold_against_mask(model, torch.randn(2, 3, 5, 5).double()).gated
    assert (channels.size, len(channels.members[0].index)) == (4, 12)


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.cells = kind(6, 8, batch_first=True, **options)
        self.head = nn.Linear(16 if options.get("bidirectional") else 8, 3)

    def forward(self, values: Tensor) -> Tensor:
        return self.head(self.cells(self.embed(values).relu())[0])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True, "bias": False}])
def test_recurrent_units_go_from_all_blocks_layers_and_directions(kind, options, hold_against_mask):
    channels = hold_against_mask(Recurrent(kind, **options), torch.randn(2, 5, 4).double())
    assert [group.size for group in channels.gated] == [6, 8]
    assert "cells.weight_hh_l0" in channels.group("cells").readers


def test_rows_chosen_by_the_data_keep_their_channels(hold_against_mask):
    class Messages(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.message, self.head = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(11, 2)
            self.register_buffer("edges", torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]]))

        def forward(self, nodes):
            nodes = self.embed(nodes).relu()
            sent = self.message(nodes[self.edges[0]]).relu()
            received = torch.zeros(len(nodes), sent.shape[1]).to(sent).index_add(0, self.edges[1], sent)
            return self.head(torch.cat([nodes, received], 1))

    assert sorted(g.size for g in hold_against_mask(Messages(), torch.randn(3, 4).double()).gated) == [5, 6]


@pytest.mark.parametrize("is_transposed", [False, True])
def test_matrices_that_are_picked_from_a_stack_are_weights(is_transposed, hold_against_mask):
    class Picked(nn.Module):
        def __init__(self):
            super().__init__()
            self.router, self.last = nn.Linear(4, 3), nn.Linear(4, 2)
            self.up, self.down = nn.Parameter(torch.randn(3, 7, 4)), nn.Parameter(torch.randn(3, 4, 7))

        def forward(self, values):
            chosen = self.router(values).argmax(1)
            up, down = self.up[chosen], self.down[chosen]
            if is_transposed:
                return self.last((down @ (up @ values[:, :, None]).relu()).squeeze(2))
            return self.last(((values[:, None] @ up.mT).relu() @ down.mT).squeeze(1))

    channels = hold_against_mask(Picked(), torch.randn(5, 4).double())
    assert {(group.size, *group.readers) for group in channels.gated} == {(7, "down"), (4, "last.weight")}


def test_attributes_are_plain_data():
    channels = trace(Attention(fused=True, first="one view"), torch.zeros(2, 6, 5))
    assert Channels.from_json(channels.to_json()) == channels


def test_tracing_leaves_the_network_alone():
    model = Attention(fused=True, first="one view")
    before = copy.deepcopy(model.state_dict())
    trace(model, torch.zeros(2, 6, 5))
    assert (model.heads, model.kv_heads) == (4, 4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_state_of_zeros_that_the_caller_makes_follows_the_units(hold_against_mask):
    class Stated(Recurrent):
        def __init__(self):
            super().__init__(nn.GRU)
            self.units = 8

        def forward(self, values):
            state = torch.zeros(1, len(values), self.units).to(values)
            return self.head(self.cells(self.embed(values).relu(), state)[0])

    channels = hold_against_mask(Stated(), torch.randn(2, 5, 4).double())
    assert [(one.module, one.name) for one in channels.group("cells").attributes if one.name == "units"] == [
        ("", "units")
    ]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_looked_into_in_single_precision_too(kind):
    assert trace(Recurrent(kind), torch.randn(2, 5, 4)).num_gates == 14


class Counted(Attention):
    """It counts its heads where the others let the view do it, and so runs without any."""

    def split(self, part: Tensor) -> Tensor:
        return part.view(*part.shape[:2], self.heads, self.head_width).transpose(1, 2)


@pytest.mark.parametrize("divides", [False, True])
def test_where_a_kernel_dies_of_no_heads_one_stays(divides, monkeypatch):
    monkeypatch.setattr("ellzero.graph.tracing.removable._DIVIDES_BY_HEADS", divides)
    for is_one_call in (True, False):
        (heads,) = trace(Counted(is_one_call=is_one_call), torch.randn(2, 3, 5)).gated
        assert heads.removable is not (is_one_call and divides)
