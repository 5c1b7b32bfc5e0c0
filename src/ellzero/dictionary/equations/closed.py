"""Equations as a module of PyTorch: fixed numbers, nothing to learn."""

__all__ = ["ClosedForm"]

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.terms.dictionary import Dictionary


@final
class ClosedForm(nn.Module):
    r"""Sums of terms with fixed coefficients, under output functions.

    Args:
        dictionary: the terms.
        coefficients: shape `(num_targets, num_terms)`.
        outputs: an output function for each target.
    """

    coefficients: Tensor

    def __init__(self, dictionary: Dictionary, coefficients: Tensor, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.dictionary = dictionary
        self.outputs = tuple(outputs)
        self.register_buffer("coefficients", coefficients)

    def forward(self, x: Tensor) -> Tensor:
        """The targets, shape `(..., num_inputs)` to `(..., num_targets)`; computed in the dtype of the coefficients."""
        sums = F.linear(self.dictionary(x.to(self.coefficients.dtype)), self.coefficients)
        return torch.stack(
            [function(column) for function, column in zip(self.outputs, sums.unbind(-1), strict=True)], -1
        )
