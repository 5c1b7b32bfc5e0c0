"""Binary-concrete distribution, and the parent that it shares with the hard-concrete one."""

__all__ = ["BinaryConcrete", "Concrete"]

import math
from abc import ABC, abstractmethod
from typing import Any, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from ellzero.distributions import moments
from ellzero.distributions.functional import TEMPERATURE, check_temperature
from ellzero.distributions.quadrature import Rule, as_tensor, binary_rule, expect


class Concrete(Distribution, ABC):
    r"""A gate that increases with logistic noise; abstract, with one law for each of its two children.

    .. math::
        z = \min\big(1, \max(0, \sigma((L + \log\alpha) / \beta) (\zeta - \gamma) + \gamma)\big), \qquad
        L = \operatorname{logit} u

    Args:
        log_odds: location of every gate, floating point, shape `(*batch)`, in nats.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the interval that the logistic function is stretched over, gamma.
        high: right end of that interval, zeta.
        validate_args: whether to check log-odds and values; torch's global default if None.

    Raises:
        TypeError: if the log-odds are not a floating-point tensor.
        ValueError: if the log-odds are not finite.

    Source:
        Maddison, Mnih & Teh (2017), https://arxiv.org/abs/1611.00712
    """

    # These three are facts about the class in torch.distributions, declared as it declares them.
    arg_constraints = {"log_odds": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, log_odds: Tensor, *, temperature: float, low: float, high: float, validate_args: bool | None = None
    ) -> None:
        if not isinstance(log_odds, Tensor) or not log_odds.is_floating_point():
            found = log_odds.dtype if isinstance(log_odds, Tensor) else type(log_odds).__name__
            raise TypeError(f"log_odds must be a floating-point tensor, got {found}; try log_odds=torch.zeros(10)")
        self.log_odds = log_odds
        self.temperature, self.low, self.high = float(temperature), float(low), float(high)
        validates = self._validate_args if validate_args is None else validate_args
        if validates and not bool(torch.isfinite(log_odds).all()):
            num_bad = int((~torch.isfinite(log_odds)).sum())
            raise ValueError(
                f"log_odds must be finite, got {num_bad} of {log_odds.numel()} that are NaN or infinite;"
                " look for a loss that became NaN, or lower the learning rate of the log-odds"
            )
        super().__init__(log_odds.shape, validate_args=validate_args)

    @abstractmethod
    def _gate(self, uniform: Tensor) -> Tensor:
        """Value that uniform noise selects, a shape that broadcasts with the batch."""

    @abstractmethod
    def _rule(self) -> Rule:
        """Nodes of the integrals."""

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> Self:
        """Give the same distribution with its log-odds broadcast to `batch_shape`."""
        new: Self = self._get_checked_instance(type(self), _instance)  # type: ignore[no-untyped-call]
        new.__dict__.update(self.__dict__)
        new.log_odds = self.log_odds.expand(batch_shape)
        new._batch_shape = torch.Size(batch_shape)
        return new

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw gates of shape `(*sample_shape, *batch)` that are differentiable in the log-odds."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self._gate(_open_uniform(shape, self.log_odds)).to(self.log_odds.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """Probability that a gate is at most `value`, a shape that broadcasts with the batch."""
        if self._validate_args:
            self._validate_sample(value)
        inside = torch.sigmoid(self._location(value.clamp(0, 1)) - self.log_odds)
        return torch.where(
            value >= 1, torch.ones_like(inside), torch.where(value < 0, torch.zeros_like(inside), inside)
        )

    def icdf(self, value: Tensor) -> Tensor:
        """Smallest gate whose `cdf` reaches `value`, a probability of a shape that broadcasts with the batch."""
        if self._validate_args and not bool(((value >= 0) & (value <= 1)).all()):
            raise ValueError("a quantile is asked for outside [0, 1]; pass probabilities, such as torch.tensor(0.5)")
        return self._gate(value)

    @property
    def mean(self) -> Tensor:
        """Mean gate in [0, 1], shape `(*batch)`."""
        return moments.mean(self.log_odds, self._rule())

    @property
    def variance(self) -> Tensor:
        """Variance of the gate, shape `(*batch)`."""
        return moments.variance(self.log_odds, self._rule())

    def _location(self, value: Tensor) -> Tensor:
        """Sum of noise and log-odds that gives `value`, where it is not clipped."""
        return self.temperature * ((value - self.low).log() - (self.high - value).log())

    def _log_density(self, value: Tensor) -> Tensor:
        noise = self._location(value) - self.log_odds
        log_slope = (value - self.low).log() + (self.high - value).log() - math.log(self.high - self.low)
        return F.logsigmoid(noise) + F.logsigmoid(-noise) + math.log(self.temperature) - log_slope


@final
class BinaryConcrete(Concrete):
    r"""Smooth relaxation of a Bernoulli gate: a logistic variable pressed into (0, 1).

    .. math::
        s = \sigma((\operatorname{logit} u + \log\alpha) / \beta), \qquad
        P(s \le x) = \sigma(\beta \operatorname{logit} x - \log\alpha)

    It has no atoms. Values that round to 0 or 1 are moved to the nearest number inside.

    Args:
        log_odds: location of every gate, floating point, shape `(*batch)`, in nats.
        temperature: beta > 0, no unit. Towards 0 it becomes a Bernoulli variable of these log-odds.
        validate_args: whether to check log-odds and values; torch's global default if None.

    Raises:
        TypeError: if the log-odds are not a floating-point tensor.
        ValueError: if the log-odds are not finite or the temperature is not positive.

    Source:
        Maddison, Mnih & Teh (2017), appendix B, https://arxiv.org/abs/1611.00712

    Example:
        >>> gate = BinaryConcrete(torch.tensor([-1.0, 0.0]))
        >>> gate.median, gate.cdf(torch.tensor(0.5))
        (tensor([0.1824, 0.5000]), tensor([0.7311, 0.5000]))
    """

    def __init__(
        self, log_odds: Tensor, *, temperature: float = TEMPERATURE, validate_args: bool | None = None
    ) -> None:
        check_temperature(temperature)
        super().__init__(log_odds, temperature=temperature, low=0.0, high=1.0, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density at `value`, a shape that broadcasts with the batch."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.where((value < 0) | (value > 1), -math.inf, self._log_density(_strictly_inside(value)))

    @property
    def median(self) -> Tensor:
        """Median gate, shape `(*batch)`."""
        return _strictly_inside(torch.sigmoid(self.log_odds / self.temperature))

    def entropy(self) -> Tensor:
        r"""Differential entropy in nats, shape `(*batch)`.

        .. math:: 2 - \log\beta - E|V| - 2 E[\log(1 + e^{-|V|})], \qquad V = \operatorname{logit} s

        The logistic entropy and E|V| are closed forms; only the last term, which is small, is integrated.
        """
        rule, log_odds = self._rule(), self.log_odds
        logits = as_tensor(rule.locations, log_odds) / self.temperature
        mean_abs = (F.softplus(log_odds) + F.softplus(-log_odds)) / self.temperature
        rest = expect(log_odds, F.softplus(-logits.abs()), rule)
        return 2 - math.log(self.temperature) - mean_abs - 2 * rest

    def _gate(self, uniform: Tensor) -> Tensor:
        return _strictly_inside(torch.sigmoid((torch.logit(uniform) + self.log_odds) / self.temperature))

    def _rule(self) -> Rule:
        return binary_rule(temperature=self.temperature)


@register_kl(BinaryConcrete, BinaryConcrete)  # type: ignore[untyped-decorator]
def _kl_binary_concrete(p: BinaryConcrete, q: BinaryConcrete) -> Tensor:
    r"""Divergence of two logistic variables d apart, :math:`d \coth(d / 2) - 2`; pressing both changes nothing."""
    if p.temperature != q.temperature:
        raise ValueError(
            f"the two binary concretes have temperatures {p.temperature} and {q.temperature}, but the divergence"
            " is known for equal ones only; build both with the same temperature"
        )
    distance = (p.log_odds - q.log_odds).abs()
    is_small = distance < 0.03  # below, the two terms cancel; the next term of the series is 1e-15
    apart = torch.where(is_small, torch.ones_like(distance), distance)
    exact = apart - 2 - 2 * apart * torch.exp(-apart) / torch.expm1(-apart)
    near = distance.square() / 6 - distance.pow(4) / 360 + distance.pow(6) / 15120
    return torch.where(is_small, near, exact)


def _strictly_inside(value: Tensor) -> Tensor:
    info = torch.finfo(value.dtype)
    return value.clamp(info.tiny, 1 - info.eps / 2)


def _open_uniform(shape: torch.Size, like: Tensor) -> Tensor:
    """Draw from (0, 1): `rand` can return exactly 0, whose logit is infinite; half precision is drawn in single."""
    dtype = like.dtype if like.dtype.itemsize >= 4 else torch.float32
    info = torch.finfo(dtype)
    return torch.rand(shape, dtype=dtype, device=like.device).clamp(info.eps / 4, 1 - info.eps / 2)
