"""A small network with a convolution, a residual addition and linear layers, and data for it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ellzero import Gated


class Classifier(nn.Module):
    """Stem, residual branch, flattened positions, two linear layers."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 3, 3, padding=1)
        self.outer = nn.Conv2d(3, 4, 3, padding=1)
        self.hidden = nn.Linear(36, 8)
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.outer(self.inner(stream).relu())
        return self.head(self.hidden(torch.max_pool2d(stream, 2).flatten(1)).relu())

    def predict(self, images: Tensor) -> Tensor:
        """What a user's own method does: call the network."""
        return self(images).argmax(1)


@pytest.fixture
def build() -> Callable[..., Gated]:
    def build(seed: int = 0, **options) -> Gated:
        torch.manual_seed(seed)
        return Gated(Classifier(), torch.zeros(1, 1, 6, 6), **options)

    return build


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 1, 6, 6, generator=generator), torch.randint(3, (12,), generator=generator)
