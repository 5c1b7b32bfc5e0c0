"""Hard-concrete distribution: a gate with a point mass at 0, one at 1, and a density between."""

__all__ = ["HardConcrete"]

import math
from typing import TypedDict, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import register_kl

from ellzero.distributions import functional, moments
from ellzero.distributions.concrete import Concrete
from ellzero.distributions.functional import HIGH, LOW, TEMPERATURE
from ellzero.distributions.quadrature import Rule, hard_rule


class _Shape(TypedDict):
    temperature: float
    low: float
    high: float


@final
class HardConcrete(Concrete):
    r"""A gate that is exactly shut or exactly open with positive probability, and differentiable between.

    .. math::
        s = \sigma((\operatorname{logit} u + \log\alpha) / \beta), \qquad
        z = \min(1, \max(0, s (\zeta - \gamma) + \gamma))

    `log_prob` and `entropy` are against the two atoms plus length: log mass at 0 and at 1, log density between.
    Mean, variance, entropy and divergence are integrals, exact to 1e-11 in float64.

    Args:
        log_odds: location of every gate, floating point, shape `(*batch)`, in nats.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.
        validate_args: whether to check log-odds and values; torch's global default if None.

    Raises:
        TypeError: if the log-odds are not a floating-point tensor.
        ValueError: if the log-odds are not finite, the temperature is not positive, or `[0, 1]` is not strictly
            inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), section 2.3, https://arxiv.org/abs/1712.01312

    Example:
        >>> gate = HardConcrete(torch.tensor([-2.0, 0.0, 2.0]))
        >>> gate.prob_open, gate.median
        (tensor([0.4010, 0.8318, 0.9734]), tensor([0.0000, 0.5000, 1.0000]))
    """

    def __init__(
        self,
        log_odds: Tensor,
        *,
        temperature: float = TEMPERATURE,
        low: float = LOW,
        high: float = HIGH,
        validate_args: bool | None = None,
    ) -> None:
        functional.check_shape(temperature=temperature, low=low, high=high)
        super().__init__(log_odds, temperature=temperature, low=low, high=high, validate_args=validate_args)

    @property
    def prob_open(self) -> Tensor:
        """Probability that a gate is not exactly 0, shape `(*batch)`."""
        return functional.prob_open(self.log_odds, **self._shape())

    @property
    def prob_one(self) -> Tensor:
        """Probability that a gate is exactly 1, shape `(*batch)`."""
        return functional.prob_one(self.log_odds, **self._shape())

    @property
    def median(self) -> Tensor:
        """Median gate, shape `(*batch)`; 0 exactly where `prob_open` is at most one half."""
        return functional.median(self.log_odds, **self._shape())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log mass where `value` is exactly 0 or 1, log density between; a shape that broadcasts with the batch."""
        if self._validate_args:
            self._validate_sample(value)
        lower, upper = functional.thresholds(**self._shape())
        between = self._log_density(value.clamp(0, 1))
        log_prob = torch.where(value == 0, F.logsigmoid(lower - self.log_odds), between)
        log_prob = torch.where(value == 1, F.logsigmoid(self.log_odds - upper), log_prob)
        return torch.where((value < 0) | (value > 1), -math.inf, log_prob)

    def entropy(self) -> Tensor:
        """Entropy of the two atoms and of the density between, in nats, shape `(*batch)`; it can be negative."""
        return moments.entropy(self.log_odds, self._rule())

    def _gate(self, uniform: Tensor) -> Tensor:
        return functional.sample(self.log_odds, uniform, **self._shape())

    def _rule(self) -> Rule:
        return hard_rule(**self._shape())

    def _shape(self) -> _Shape:
        return {"temperature": self.temperature, "low": self.low, "high": self.high}


@register_kl(HardConcrete, HardConcrete)  # type: ignore[untyped-decorator]
def _kl_hard_concrete(p: HardConcrete, q: HardConcrete) -> Tensor:
    if p._shape() != q._shape():
        raise ValueError(
            f"the two hard concretes have the shapes {p._shape()} and {q._shape()}, but the divergence is known for"
            " equal ones only; build both with the same temperature, low and high"
        )
    return moments.kl(p.log_odds, q.log_odds, p._rule())
