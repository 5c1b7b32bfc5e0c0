"""Networks of real size, and chains that grow in depth or in width, to be traced and not trained."""

__all__ = ["SHAPES"]

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from resnet50 import ResNet50


class DenseLayer(nn.Module):
    """Its output is put beside all that it has read."""

    def __init__(self, wide: int, growth: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def densenet121() -> tuple[nn.Module, Tensor]:
    """Four dense blocks of 6, 12, 24 and 16 layers, 8.0 million parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ]  # fmt: skip
    wide = 64
    for num in (6, 12, 24, 16):
        for _ in range(num):
            layers.append(DenseLayer(wide))
            wide += 32
        if num != 16:
            layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, wide // 2, 1, bias=False), nn.AvgPool2d(2)]
            wide //= 2
    head = [nn.BatchNorm2d(wide), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 1000)]
    return nn.Sequential(*layers, *head), torch.randn(1, 3, 224, 224)


def bert_base() -> tuple[nn.Module, Mapping[str, Tensor]]:
    """BERT's base shape with a classifier, 109 million parameters."""
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig()), {"input_ids": torch.randint(5, 1000, (1, 64))}


def llama_250m() -> tuple[nn.Module, Mapping[str, Tensor]]:
    """Llama of 14 layers of width 1024, 245 million parameters; as many heads of keys as of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32000, hidden_size=1024, num_hidden_layers=14, num_attention_heads=16, intermediate_size=2816,
        use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config), {"input_ids": torch.randint(5, 1000, (1, 64))}


class Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


def chain(depth: int, width: int) -> tuple[nn.Module, Tensor]:
    """Residual blocks of one width."""
    blocks = [Residual(width) for _ in range(depth)]
    layers = [nn.Conv2d(3, width, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return nn.Sequential(*layers), torch.randn(1, 3, 8, 8)


SHAPES: Mapping[str, Callable[[], tuple[nn.Module, Any]]] = MappingProxyType({
    "ResNet-50": lambda: (ResNet50(), torch.randn(1, 3, 224, 224)),
    "DenseNet-121": densenet121,
    "BERT-base": bert_base,
    "Llama, 250 M": llama_250m,
    **{f"{depth} blocks of 32": partial(chain, depth, 32) for depth in (8, 16, 32, 64)},
    **{f"8 blocks of {width}": partial(chain, 8, width) for width in (64, 128, 256, 512)},
})  # fmt: skip
"""Name and builder of each network, with its example."""
