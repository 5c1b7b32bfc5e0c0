"""Reasons to keep channels say what fixes them, and which option may help."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from ellzero.graph import Channels, trace


class PostNorm(nn.Module):
    """Norms behind additions, as in BERT: after the first the stream carries channels again."""

    def __init__(self):
        super().__init__()
        self.embed, self.inner, self.outer = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 8)
        self.one, self.two, self.head = nn.LayerNorm(8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        stream = self.one(self.embed(x))
        return self.head(self.two(stream + self.outer(self.inner(stream).relu())))


def reasons(channels: Channels) -> dict[str, str]:
    return {group.name: group.reason for group in channels.groups}


def test_all_of_a_stream_points_to_the_option_that_gates_it():
    found = reasons(trace(PostNorm(), torch.zeros(2, 5)))
    assert found["embed"] == "normalised together by native_layer_norm; width=True may help"
    assert found["outer"] == "meets values of fixed width that carry no channels; width=True may help"
    assert found["inner#2"] == "reads values that carry no channels; width=True may help"
    assert found["head"] == "is an output of the network"


def test_a_stream_that_is_an_output_points_to_no_option():
    model = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8))
    assert not any("may help" in reason for reason in reasons(trace(model, torch.zeros(2, 5))).values())


def test_channels_that_an_option_has_gated_are_not_advised():
    assert not any(
        "may help" in reason for reason in reasons(trace(PostNorm(), torch.zeros(2, 5), width=True)).values()
    )


def test_positions_at_fixed_places_point_to_no_option():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.places, self.one, self.two = nn.Parameter(torch.ones(9, 6)), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.two(self.one(x) + self.places[: x.shape[1]])

    places = [group for group in trace(Placed(), torch.zeros(2, 5, 4)).groups if group.size == 9]
    assert [group.reason for group in places] == ["is cut at fixed places by slice (0 to 5 of 9)"]


def test_heads_whose_width_follows_the_stream_say_so():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x):
            batch, tokens, width = x.shape
            q, k, v = self.qkv(x).view(batch, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
            mixed = (q @ k.mT).softmax(-1) @ v
            return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))

    reason = reasons(trace(Heads(), torch.zeros(2, 5, 8)))["qkv"]
    assert reason.startswith("its width is fixed in the forward pass: shape '[2, 5, 3, 2, 4]'")


def test_weights_that_are_computed_read_alike_in_all_layers():
    layers = [parametrizations.weight_norm(nn.Conv1d(6, 7, 1)), parametrizations.weight_norm(nn.Linear(6, 7))]
    inputs = [torch.zeros(2, 5, 3), torch.zeros(2, 5)]
    first = [nn.Conv1d(5, 6, 1), nn.Linear(5, 6)]
    for one, layer, example in zip(first, layers, inputs, strict=True):
        assert reasons(trace(nn.Sequential(one, layer), example))["0"] == "is read by a computed weight"


def test_a_dimension_of_width_one_moves_along():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 4), nn.Linear(1, 3)

        def forward(self, x):
            image = F.fold(self.one(x).transpose(1, 2), (4, 4), 2, stride=2)
            return self.two(image.flatten(2).transpose(1, 2))

    assert reasons(trace(Folded(), torch.zeros(3, 4, 5)))["one"] == "is read by a weight of width one"
