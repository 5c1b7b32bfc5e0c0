"""What is done to a sum of terms at the end: nothing, a squashing function, limits, a scale."""

__all__ = ["Output", "rounded"]

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import number_text
from ellzero.errors import nearest

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    r"""An output function with an offset and a scale.

    .. math:: y = b + s f(z)

    Args:
        function: f, one of `FUNCTIONS`, or `"clip"` to the limits.
        scale: s.
        offset: b.
        low: smallest value that `clip` lets through.
        high: largest.

    Raises:
        ValueError: if the function is unknown, a number is not finite or the scale zero, or limits are missing, in the
            wrong order, or given to another function.

    Example:
        >>> import torch
        >>> Output("tanh", scale=2.0).text("x + y")
        '2 tanh(x + y)'
        >>> Output.of("clip", low=-8.0, high=8.0)(torch.tensor([9.0, 1.0]))
        tensor([8., 1.])
    """

    function: str = "identity"
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if self.function != "clip" and self.function not in FUNCTIONS:
            raise ValueError(f"unknown output function {self.function!r}{nearest(self.function, [*FUNCTIONS, 'clip'])}")
        for name in ("scale", "offset", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (math.isfinite(self.scale) and self.scale != 0 and math.isfinite(self.offset)):
            raise ValueError(f"scale and offset must be finite and scale not zero, got {self.scale} and {self.offset}")
        if self.has_limits != (self.function == "clip") or not self.low < self.high:
            raise ValueError(
                f"{self.function!r} has limits {self.low} and {self.high}; 'clip' needs low < high, "
                "at least one of them finite, and other functions take none"
            )

    @classmethod
    def of(cls, given: "str | Output | None", *, low: float = -math.inf, high: float = math.inf) -> "Output":
        """An output function that may be given by its name, or not at all."""
        if isinstance(given, Output):
            return given
        return cls(given or "identity", low=low, high=high)

    @property
    def has_limits(self) -> bool:
        """Whether a limit is finite."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    @property
    def is_plain(self) -> bool:
        """Whether it does nothing."""
        return self == Output()

    def __call__(self, value: Tensor) -> Tensor:
        """Apply it to a tensor."""
        if self.function == "clip":
            value = value.clamp(self.low, self.high)
        elif self.function != "identity":
            value = FUNCTIONS[self.function].torch(value)
        value = value if self.scale == 1 else value * self.scale
        return value if self.offset == 0 else value + self.offset

    def numpy(self, value: Array) -> Array:
        """Apply it to an array."""
        is_clipped = self.function == "clip"
        inner = np.clip(value, self.low, self.high) if is_clipped else FUNCTIONS[self.function].numpy(value)
        return np.asarray(inner * self.scale + self.offset)

    def rounded(self, precision: int) -> "Output":
        """The same with numbers of so many significant digits, as they are printed."""
        numbers = (rounded(number, precision) for number in (self.scale, self.offset, self.low, self.high))
        return Output(self.function, *numbers)

    def text(self, inner: str, digits: int | None = None) -> str:
        """As it is printed, around the sum of terms."""
        if self.is_plain:
            return inner
        if self.function == "clip":
            inside = f"clip({inner}, {number_text(self.low, digits)}, {number_text(self.high, digits)})"
        else:
            inside = f"({inner})" if self.function == "identity" else f"{self.function}({inner})"
        shown = inside if self.scale == 1 else f"{number_text(self.scale, digits)} {inside}"
        if self.offset == 0:
            return shown
        return f"{shown} {'-' if self.offset < 0 else '+'} {number_text(abs(self.offset), digits)}"


def rounded(value: float, precision: int) -> float:
    """A number to so many significant digits.

    Example:
        >>> rounded(2 / 3, 3)
        0.667
    """
    return float(f"{value:.{precision}g}")
