"""Layers between a writer and a reader: the channels pass through them, and can be cut exactly."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

POINTWISE = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.PReLU(4), nn.RReLU(), nn.ELU(), nn.CELU(), nn.SELU(),
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardswish(inplace=True), nn.Hardsigmoid(),
    nn.Hardtanh(), nn.Tanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Softplus(), nn.Softsign(), nn.Tanhshrink(),
    nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, 0.2), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(),
    nn.FeatureAlphaDropout(), nn.Identity(), nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False),
    nn.BatchNorm2d(4, track_running_stats=False), nn.InstanceNorm2d(4, affine=True), nn.Softmax(2),
    nn.Threshold(0.1, 0.2, inplace=True), nn.Mish(inplace=True),
]  # fmt: skip
SPATIAL = [
    nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), nn.AvgPool2d(2), nn.LPPool2d(2, 2),
    nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d(3), nn.AdaptiveAvgPool2d(1), nn.Upsample(scale_factor=2),
    nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=2, mode="bicubic"),
    nn.Upsample(scale_factor=2, mode="nearest-exact"), nn.Upsample(size=(3, 4), mode="area"), nn.ZeroPad2d(1),
    nn.ReflectionPad2d(1), nn.ReplicationPad2d(1),
]  # fmt: skip
OTHER_DIMENSIONS = [
    nn.MaxPool1d(2), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(3), nn.AdaptiveMaxPool1d(3), nn.LPPool1d(2, 2),
    nn.Upsample(scale_factor=2, mode="linear"), nn.Upsample(scale_factor=2, mode="nearest-exact"),
    nn.ReflectionPad1d(1), nn.ReplicationPad1d(1), nn.BatchNorm1d(4), nn.InstanceNorm1d(4, affine=True),
    nn.MaxPool3d(2), nn.AvgPool3d(2), nn.AdaptiveAvgPool3d(3), nn.AdaptiveMaxPool3d(3), nn.LPPool3d(2, 2),
    nn.Upsample(scale_factor=2, mode="trilinear"), nn.ReflectionPad3d(1), nn.ReplicationPad3d(1), nn.BatchNorm3d(4),
]  # fmt: skip
WORDS = {
    "a flip along positions": lambda x: x.flip(2, 3),
    "a flip along channels": lambda x: x.flip(1),
    "a roll along positions": lambda x: x.roll(1, 3),
    "a crop": lambda x: x[:, :, 1:-1, ::2],
    "windows": lambda x: x.unfold(2, 3, 1).amax(-1),
    "joined positions": lambda x: torch.cat([x, x * 2], 2),
    "running sums along positions": lambda x: x.cumsum(2),
    "sorted positions": lambda x: x.sort(dim=3).values,
    "the largest positions": lambda x: x.topk(2, dim=3).values,
    "a norm over positions": lambda x: x / x.norm(dim=(2, 3), keepdim=True),
    "centred positions": lambda x: x - x.mean((2, 3), keepdim=True),
    "logarithms of sums": lambda x: x.logsumexp(2, keepdim=True),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "in-place arithmetic": lambda x: x.clone().add_(1).mul_(x),
    "masking in place": lambda x: x.masked_fill_(x > 0.5, 0.1),
    "masking by a position": lambda x: x.masked_fill_(torch.arange(6.0).to(x) > 3, x.new_tensor(2.0)),
    "comparisons in place": lambda x: x * x.clone().gt_(0),
    "the first rows set to a number": lambda x: torch.cat(
        [x[:, :, :1].fill_(0.5), x[:, :, 1:2].zero_(), x[:, :, 2:]], 2
    ),
    "a factor per position": lambda x: x * torch.arange(6.0).to(x),
    "channels last": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "a round trip through another view": lambda x: x.flatten(2).unflatten(2, (6, 6)),
    "unpooling": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "sampling on a grid": lambda x: F.grid_sample(x, torch.zeros(len(x), 3, 3, 2).to(x), align_corners=False),
    "zeros of the same shape": lambda x: x + torch.zeros_like(x),
    "a wider type": lambda x: x.float().double().to(x.dtype) * 0 + x,
}


@pytest.mark.parametrize("layer", POINTWISE + SPATIAL, ids=str)
def test_channels_pass_through_layers_on_images(layer, hold_against_mask):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layer, nn.Conv2d(4, 2, 1))
    assert hold_against_mask(model, torch.randn(2, 3, 6, 6, dtype=torch.float64), plans=2).num_gates == 4


@pytest.mark.parametrize("layer", OTHER_DIMENSIONS, ids=str)
def test_channels_pass_through_layers_on_sequences_and_volumes(layer, hold_against_mask):
    is_sequence = "1d" in str(layer) or (isinstance(layer, nn.Upsample) and layer.mode != "trilinear")
    convolution = nn.Conv1d if is_sequence else nn.Conv3d
    model = nn.Sequential(convolution(3, 4, 1), layer, convolution(4, 2, 1))
    example = torch.randn(2, 3, *[4] * (1 if is_sequence else 3), dtype=torch.float64)
    assert hold_against_mask(model, example, plans=2).num_gates == 4


class Between(nn.Module):
    """A function between two convolutions."""

    def __init__(self, function, width=4):
        super().__init__()
        self.function = function
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(width, 2, 1)

    def forward(self, images):
        return self.last(self.function(self.first(images)))


@pytest.mark.parametrize("word", WORDS)
def test_channels_pass_through_operations(word, hold_against_mask):
    example = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    assert hold_against_mask(Between(WORDS[word]), example, plans=2).num_gates == 4


@pytest.mark.parametrize(
    ("function", "width", "num_gates"),
    [
        (lambda x: F.pixel_shuffle(torch.cat([x, x.relu()], 1), 2), 2, 1),
        (lambda x: F.pixel_unshuffle(x, 2), 16, 4),
        (lambda x: x.repeat(1, 2, 1, 1), 8, 4),
        (lambda x: x.repeat_interleave(2, 1), 8, 4),
        (lambda x: torch.cat([x, x.flip(1).relu()], 1), 8, 4),
        (lambda x: torch.cat([x, x.new_zeros(len(x), 3, *x.shape[2:])], 1), 7, 4),
    ],
)
def test_a_channel_may_be_read_in_several_places(function, width, num_gates, hold_against_mask):
    example = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    assert hold_against_mask(Between(function, width), example).num_gates == num_gates


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 2, 3, groups=2), nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1),
        nn.ConvTranspose2d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 4, 3, groups=4),
        nn.ConvTranspose2d(4, 8, 3, groups=4), nn.Conv2d(4, 5, 3, dilation=2, padding="same"),
        nn.Conv2d(4, 5, 3, padding=1, padding_mode="reflect"), nn.Conv2d(4, 5, 3, bias=False),
    ],
    ids=str,
)  # fmt: skip
def test_convolutions_of_every_kind_are_cut_exactly(layer, hold_against_mask):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), layer, nn.PReLU(layer.out_channels), nn.Flatten())
    example = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    model.append(nn.Linear(model(example.float()).shape[1], 3))
    assert hold_against_mask(model, example).num_gates > 0


def test_a_depthwise_filter_may_be_a_buffer(hold_against_mask):
    class Blur(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kernel", torch.rand(4, 1, 3, 3))

        def forward(self, images):
            return F.conv2d(images, self.kernel, groups=images.shape[1])

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Blur(), nn.Conv2d(4, 2, 1))
    channels = hold_against_mask(model, torch.randn(2, 3, 8, 8, dtype=torch.float64))
    assert channels.num_gates == 4
    assert [(work.tensor, work.rows) for work in channels.work][1] == (None, (("0.weight", 0),))


def test_the_diagonal_of_a_matrix_is_cut_with_both_its_dimensions(hold_against_mask):
    class Diagonal(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
            self.square = nn.Parameter(torch.randn(6, 6))

        def forward(self, values):
            hidden = self.first(values)
            return self.last((hidden * self.square.diagonal()) @ self.square)

    (group,) = hold_against_mask(Diagonal(), torch.randn(3, 4, dtype=torch.float64)).gated
    assert sorted(m.dim for m in group.members if m.tensor == "square") == [0, 1]


def test_inputs_that_are_read_beside_hidden_channels_are_selected_among_what_arrives(hold_against_mask):
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 5), nn.Linear(9, 2)

        def forward(self, values):
            return self.last(torch.cat([self.first(values).relu(), values], 1))

    channels = hold_against_mask(Dense(), torch.randn(3, 4, dtype=torch.float64), plans=8, inputs=True)
    assert {group.kind: group.size for group in channels.gated} == {"channels": 5, "input": 4}
