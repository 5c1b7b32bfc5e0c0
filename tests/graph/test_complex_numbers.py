"""Complex numbers: pairs become one number and are taken apart again; channels pass through both."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ellzero as l0
from ellzero.graph import Plan, trace


def turned(part: Tensor, turns: Tensor) -> Tensor:
    """Neighbours are the two parts of a number, as in Meta's code for Llama."""
    numbers = torch.view_as_complex(part.reshape(*part.shape[:-1], -1, 2))
    return torch.view_as_real(numbers * turns[: part.shape[1], None]).flatten(3).type_as(part)


def turned_in_halves(part: Tensor, turns: Tensor) -> Tensor:
    """The halves of a head are the two parts; the turn goes the other way."""
    numbers = torch.complex(*part.chunk(2, -1)) * turns[: part.shape[1], None].conj()
    return torch.cat([numbers.real, numbers.imag], -1)


class Rotary(nn.Module):
    """Attention whose queries and keys are turned by their positions; queries share keys in groups."""

    def __init__(self, turn=turned, *, heads=4, kv_heads=2, head_width=6, places=16):
        super().__init__()
        self.heads, self.kv_heads, self.head_width, self.turn = heads, kv_heads, head_width, turn
        self.embed, self.out, self.head = nn.Linear(5, 12), nn.Linear(heads * head_width, 12), nn.Linear(12, 3)
        self.q = nn.Linear(12, heads * head_width)
        self.k, self.v = (nn.Linear(12, kv_heads * head_width) for _ in range(2))
        angles = torch.outer(torch.arange(places), 100 ** -torch.linspace(0, 1, head_width // 2)).double()
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        values = self.embed(values)
        batch, length, _ = values.shape
        query = self.q(values).view(batch, length, self.heads, self.head_width)
        key, value = (part(values).view(batch, length, self.kv_heads, self.head_width) for part in (self.k, self.v))
        query, key = self.turn(query, self.turns), self.turn(key, self.turns)
        key, value = (part.repeat_interleave(self.heads // self.kv_heads, 2) for part in (key, value))
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        mixed = (query @ key.mT / self.head_width**0.5).softmax(-1) @ value
        return self.head(F.layer_norm(values + self.out(mixed.transpose(1, 2).flatten(2)), (12,)))


@pytest.mark.parametrize("turn", [turned, turned_in_halves])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_heads_that_are_turned_as_complex_numbers_are_found_and_cut(turn, kv_heads, hold_against_mask):
    (heads,) = hold_against_mask(Rotary(turn, kv_heads=kv_heads), torch.randn(2, 7, 5).double()).gated
    assert heads.size == kv_heads
    assert heads.writers == ["q.weight", "k.weight", "v.weight"]
    assert heads.readers == ["out.weight"]


def test_the_exported_graph_of_turned_heads_is_corrected():
    torch.manual_seed(0)
    example = torch.randn(2, 7, 5).double()
    network = l0.Gated(Rotary().double(), example, exported=True).eval()
    (heads,) = (group for group in network.channels.gated if "q.weight" in group.writers)
    plan = Plan({heads.name: (1,)})
    small = l0.prune(network, plan=plan)
    with network.planned(plan), torch.no_grad():
        torch.testing.assert_close(small(example), network(example), rtol=0, atol=1e-12)


class Numbers(nn.Module):
    """Eight values, a function of them, and a layer on four, with a complex weight that a function may use."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(4, 3)
        self.weight = nn.Parameter(torch.randn(8, 4, 2))
        self.function = function

    def forward(self, values):
        return self.last(self.function(self, self.first(values)))


def by_a_complex_weight(model, hidden):
    return (torch.complex(hidden, hidden.sin()) @ torch.view_as_complex(model.weight)).abs()


@pytest.mark.parametrize(
    ("function", "sizes"),
    [
        (lambda m, h: torch.view_as_complex(h.view(len(h), -1, 2)).angle(), [4]),
        (lambda m, h: torch.polar(*h.exp().chunk(2, 1)).real, [4]),
        (lambda m, h: torch.view_as_real(torch.complex(*h.chunk(2, 1)) ** 2).sum(2), [4]),
        (by_a_complex_weight, [8, 4]),
    ],
)
def test_channels_pass_through_complex_numbers(function, sizes, hold_against_mask):
    channels = hold_against_mask(Numbers(function), torch.randn(3, 5).double())
    assert [group.size for group in channels.gated] == sizes


class OneNumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts, self.last = nn.Linear(5, 2), nn.Linear(2, 3)

    def forward(self, values):
        return self.last(torch.view_as_real(torch.view_as_complex(self.parts(values)).exp()))


def test_the_parts_of_a_number_cannot_go_alone():
    channels = trace(OneNumber(), torch.zeros(4, 5))
    assert channels.group("parts").reason == "is the real or imaginary part of another"
    assert channels.num_gates == 0


class Spectral(nn.Module):
    """A layer of a Fourier neural operator: it mixes the channels of the lowest waves, beside a convolution."""

    def __init__(self, weight):
        super().__init__()
        self.first, self.straight, self.last = nn.Conv1d(2, 6, 1), nn.Conv1d(6, 5, 1), nn.Conv1d(5, 1, 1)
        self.weight = nn.Parameter(weight)

    def forward(self, values):
        values = self.first(values)
        weight = self.weight if self.weight.is_complex() else torch.view_as_complex(self.weight)
        waves = torch.fft.rfft(values)
        mixed = torch.zeros(len(waves), weight.shape[1], waves.shape[2]).to(waves)
        mixed[:, :, :4] = torch.einsum("bix,iox->box", waves[:, :, :4], weight)
        return self.last(F.gelu(torch.fft.irfft(mixed, n=values.shape[2]) + self.straight(values)))


@pytest.mark.parametrize("weight", [torch.randn(6, 5, 4, 2).double(), torch.randn(6, 5, 4, dtype=torch.complex128)])
def test_channels_pass_through_waves_and_complex_weights(weight):
    torch.manual_seed(0)
    example = torch.randn(2, 2, 16).double()
    network = l0.Gated(Spectral(weight).double(), example).eval()
    assert {(group.name, group.size) for group in network.channels.gated} >= {("first", 6), ("weight", 5)}
    with torch.no_grad():
        network.log_odds.copy_(torch.randn(11) * 2)
    small = l0.prune(network, plan=network.plan())
    assert small.weight.shape[:2] == (small.first.out_channels, small.last.in_channels) != (6, 5)
    with torch.no_grad():
        torch.testing.assert_close(small(example), network(example), rtol=0, atol=1e-12)
