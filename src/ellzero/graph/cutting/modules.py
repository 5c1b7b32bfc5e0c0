"""The few modules that a cut network may contain beside its own: a selection, and what is left of an empty layer."""

__all__ = ["NoChannels", "OnlyBias", "Select"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Convolution = nn.modules.conv._ConvNd


class Select(nn.Module):
    """Pass on only some of the channels: `x.index_select(dim, indices)`.

    Args:
        indices: which channels, in order.
        dim: where the channels are; negative, counted from the end.
        width: how many channels come in, for the printout.

    Example:
        >>> Select([0, 2], dim=-1, width=3)(torch.tensor([[1., 2., 3.]]))
        tensor([[1., 3.]])
    """

    indices: Tensor

    def __init__(self, indices: Sequence[int] | Tensor, *, dim: int, width: int) -> None:
        super().__init__()
        self.dim = dim
        self.width = width
        self.register_buffer("indices", torch.as_tensor(indices, dtype=torch.int64))

    def forward(self, value: Tensor) -> Tensor:
        """Select, shape `(..., width, ...)` to `(..., len(indices), ...)`."""
        return value.index_select(self.dim, self.indices)

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        return f"{len(self.indices)} of {self.width}, dim={self.dim}"


class _Emptied(nn.Module):
    """A convolution without channels; it still knows which shape comes out."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        self.kernel_size = convolution.kernel_size
        self.stride = convolution.stride
        self.padding = convolution.padding
        self.dilation = convolution.dilation
        self.output_padding = convolution.output_padding
        self.transposed = convolution.transposed

    def _shape(self, value: Tensor, channels: int) -> list[int]:
        """The shape that comes out, with that many channels; there may be no batch."""
        num = len(self.kernel_size)
        return [*value.shape[: -num - 1], channels, *self._sizes(value.shape[-num:])]

    def _sizes(self, sizes: Sequence[int]) -> list[int]:
        """The positions that come out of these positions, in each spatial dimension."""
        if self.padding == "same":
            return list(sizes)
        padding = (0,) * len(sizes) if isinstance(self.padding, str) else self.padding
        if self.transposed:
            return [
                (size - 1) * stride - 2 * pad + dilation * (kernel - 1) + extra + 1
                for size, stride, pad, dilation, kernel, extra in zip(
                    sizes, self.stride, padding, self.dilation, self.kernel_size, self.output_padding, strict=True
                )
            ]
        return [
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for size, stride, pad, dilation, kernel in zip(
                sizes, self.stride, padding, self.dilation, self.kernel_size, strict=True
            )
        ]


class NoChannels(_Emptied):
    """What is left of a convolution whose outputs are all removed: it returns a tensor without channels."""

    def forward(self, value: Tensor) -> Tensor:
        """Map `(batch, channels, *sizes)` to `(batch, 0, *new sizes)`."""
        return value.new_zeros(self._shape(value, 0))


class OnlyBias(_Emptied):
    """What is left of a convolution whose inputs are all removed: its bias, or zeros."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__(convolution)
        self.out_channels = convolution.out_channels
        self.bias = convolution.bias

    def forward(self, value: Tensor) -> Tensor:
        """Map `(batch, 0, *sizes)` to `(batch, out_channels, *new sizes)`: a new tensor, fit for work in place."""
        zeros = value.new_zeros(self._shape(value, self.out_channels))
        return zeros if self.bias is None else zeros + self.bias.to(value.dtype).view(-1, *[1] * len(self.kernel_size))
