"""Networks on the meta device, or of fake tensors, are traced like those with numbers."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ellzero import count, trace
from ellzero.errors import TraceError
from ellzero.graph import Channels


class Words(nn.Module):
    """Embedding, a table that is a buffer, another one that is neither, a residual branch, a tied last layer."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.register_buffer("phase", torch.arange(5.0), persistent=False)
        self.slope = torch.ones(8)
        self.inner, self.outer, self.last = nn.Linear(8, 6), nn.Linear(6, 8), nn.Linear(8, 11, bias=False)
        self.last.weight = self.words.weight

    def forward(self, word):
        x = self.words(word) * self.slope + self.phase[: word.shape[1], None] + torch.ones(1)
        return self.last(x + self.outer(self.inner(x).relu()))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(),
                         nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 2))  # fmt: skip


CASES = [(Words, torch.zeros(1, 4, dtype=torch.long)), (cnn, torch.zeros(1, 1, 6, 6))]


@pytest.mark.parametrize(("build", "example"), CASES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_channels_on_the_meta_device_are_those_of_the_network_with_numbers(build, example, device):
    with torch.device("meta"):
        blank = build()
    found = trace(blank, example.to(device))
    assert found == trace(build(), example)
    assert isinstance(found, Channels)
    assert found.gated
    assert all(tensor.is_meta for tensor in [*blank.parameters(), *blank.buffers()])


@pytest.mark.parametrize(("build", "example"), CASES)
def test_channels_of_fake_tensors_are_those_of_the_network_with_numbers(build, example):
    with FakeTensorMode():
        fake = build()
    assert trace(fake, example) == trace(build(), example)


@pytest.mark.parametrize(("build", "example"), CASES)
def test_sizes_on_the_meta_device_are_those_of_the_network_with_numbers(build, example):
    with torch.device("meta"):
        blank = build()
    assert count(blank, example) == count(build(), example)


def test_numbers_may_be_where_they_are_and_absent_elsewhere():
    network = Words()
    for module in (network.words, network.inner, network.outer):
        module.to("meta")
    network.last.weight = network.words.weight
    assert trace(network, CASES[0][1]) == trace(Words(), CASES[0][1])


class Looks(nn.Module):
    """Decides by a number."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.one(x)
        return self.two(x if x.sum().item() > 0 else -x)


def test_a_forward_pass_that_needs_numbers_is_refused_on_the_meta_device_with_the_reason():
    with torch.device("meta"):
        blank = Looks()
    with pytest.raises(TraceError, match=r"looks at numbers .* build it on the CPU"):
        trace(blank, torch.zeros(1, 4))
    assert trace(Looks(), torch.zeros(1, 4)).groups
