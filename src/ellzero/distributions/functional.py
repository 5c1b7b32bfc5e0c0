"""The laws of one hard-concrete gate as functions of its log-odds: chances, sample and median."""

__all__ = [
    "HIGH",
    "LOW",
    "TEMPERATURE",
    "check_shape",
    "check_temperature",
    "median",
    "prob_one",
    "prob_open",
    "sample",
    "sample_logistic",
    "thresholds",
]

import math

import torch
from torch import Tensor
from torch.nn import functional

# The values of Louizos, Welling & Kingma (2018), section 4; every default of the library comes from here.
TEMPERATURE = 2 / 3
LOW = -0.1
HIGH = 1.1


def check_temperature(temperature: float) -> None:
    r"""Refuse a temperature at which no concrete distribution exists.

    .. math:: 0 < \beta < \infty

    Args:
        temperature: beta, no unit.

    Raises:
        ValueError: if the temperature is not positive and finite.

    Source:
        Maddison, Mnih & Teh (2017), section 3, https://arxiv.org/abs/1611.00712

    Example:
        >>> check_temperature(2 / 3)
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"the temperature must be positive and finite, got {temperature}; try temperature=2/3")


def check_shape(*, temperature: float, low: float, high: float) -> None:
    r"""Refuse shape parameters that do not make a hard-concrete distribution.

    .. math:: 0 < \beta < \infty, \qquad -\infty < \gamma < 0 < 1 < \zeta < \infty

    Args:
        temperature: beta, no unit.
        low: left end of the stretched interval, gamma, in units of the gate.
        high: right end of the stretched interval, zeta, in units of the gate.

    Raises:
        ValueError: if the temperature is not positive and finite, or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), section 2.3, https://arxiv.org/abs/1712.01312

    Example:
        >>> check_shape(temperature=2 / 3, low=-0.1, high=1.1)
    """
    check_temperature(temperature)
    if not (-math.inf < low < 0 and 1 < high < math.inf):
        raise ValueError(f"the stretched interval must contain [0, 1], got [{low}, {high}]; try low=-0.1, high=1.1")


def thresholds(*, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH) -> tuple[float, float]:
    r"""Sums of logistic noise and log-odds above which a gate is not zero, and at which it reaches one.

    .. math:: c_0 = \beta \log(-\gamma / \zeta), \qquad c_1 = \beta \log((1 - \gamma) / (\zeta - 1))

    The first is also the largest log-odds whose median gate is zero.

    Args:
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        The two thresholds, in nats; the first is the smaller.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), equation 12, https://arxiv.org/abs/1712.01312

    Example:
        >>> [round(threshold, 4) for threshold in thresholds()]
        [-1.5986, 1.5986]
    """
    check_shape(temperature=temperature, low=low, high=high)
    return temperature * math.log(-low / high), temperature * math.log((1 - low) / (high - 1))


def prob_open(log_odds: Tensor, *, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH) -> Tensor:
    r"""Probability that a hard-concrete gate is not exactly zero.

    .. math:: P(z > 0) = \sigma(\log\alpha - \beta \log(-\gamma / \zeta))

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        Probabilities in [0, 1], shape `(*gates)`.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), equation 12, https://arxiv.org/abs/1712.01312

    Example:
        >>> prob_open(torch.zeros(2))
        tensor([0.8318, 0.8318])
    """
    lower, _ = thresholds(temperature=temperature, low=low, high=high)
    return torch.sigmoid(log_odds - lower)


def prob_one(log_odds: Tensor, *, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH) -> Tensor:
    r"""Probability that a hard-concrete gate is exactly one.

    .. math:: P(z = 1) = \sigma(\log\alpha - \beta \log((1 - \gamma) / (\zeta - 1)))

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        Probabilities in [0, 1], shape `(*gates)`.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), equation 11 at s = 1, https://arxiv.org/abs/1712.01312

    Example:
        >>> prob_one(torch.zeros(2))
        tensor([0.1682, 0.1682])
    """
    _, upper = thresholds(temperature=temperature, low=low, high=high)
    return torch.sigmoid(log_odds - upper)


def sample(
    log_odds: Tensor, uniform: Tensor, *, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH
) -> Tensor:
    r"""Gate that a draw of uniform noise selects; differentiable in the log-odds.

    .. math::
        s = \sigma((\operatorname{logit} u + \log\alpha) / \beta), \qquad
        z = \min(1, \max(0, s (\zeta - \gamma) + \gamma))

    It increases with the noise, so at `uniform = p` it is also the p-quantile.

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        uniform: noise in [0, 1], a shape that broadcasts with `(*gates)`; not checked, because it is drawn every step.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        Gates in [0, 1], the broadcast shape of the two tensors.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), equations 10 and 11, https://arxiv.org/abs/1712.01312

    Example:
        >>> sample(torch.zeros(3), torch.tensor([0.1, 0.5, 0.9]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return sample_logistic(log_odds, torch.logit(uniform), temperature=temperature, low=low, high=high)


def sample_logistic(
    log_odds: Tensor, logistic: Tensor, *, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH
) -> Tensor:
    r"""Gate that a draw of logistic noise selects: `sample` after its first step, which can be taken ahead.

    .. math::
        z = \min(1, \max(0, \sigma((L + \log\alpha) / \beta) (\zeta - \gamma) + \gamma)), \qquad
        L = \operatorname{logit} u

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        logistic: noise L, in nats, a shape that broadcasts with `(*gates)`.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        Gates in [0, 1], the broadcast shape of the two tensors.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        Louizos, Welling & Kingma (2018), equations 10 and 11, https://arxiv.org/abs/1712.01312

    Example:
        >>> sample_logistic(torch.zeros(3), torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    check_shape(temperature=temperature, low=low, high=high)
    concrete = torch.sigmoid((logistic + log_odds) / temperature)
    return functional.hardtanh(concrete * (high - low) + low, 0.0, 1.0)  # clamp's gradient takes four kernels for one


def median(log_odds: Tensor, *, temperature: float = TEMPERATURE, low: float = LOW, high: float = HIGH) -> Tensor:
    r"""Median gate: zero exactly where `prob_open` is at most one half, in every precision.

    .. math:: z_{1/2} = \min(1, \max(0, \sigma(\log\alpha / \beta) (\zeta - \gamma) + \gamma))

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        temperature: beta > 0, no unit. Smaller means closer to 0 or 1.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        Gates in [0, 1], shape `(*gates)`.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Source:
        The quantile function of Louizos, Welling & Kingma (2018), equation 11, at 1/2, https://arxiv.org/abs/1712.01312

    Example:
        >>> median(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    # With x = log_odds / temperature and x0 where the gate leaves zero, s(x) (high - low) + low is the same as
    # high * s(x) * (1 - exp(x0 - x)), which has the sign of x - x0: no rounding opens a gate or leaves it near zero.
    lower, _ = thresholds(temperature=temperature, low=low, high=high)
    excess = torch.relu(log_odds - lower) / temperature
    gate = (high * torch.sigmoid(log_odds / temperature) * -torch.expm1(-excess)).clamp(max=1)
    # One unit in the last place above the threshold the probability still rounds to one half: follow the probability.
    is_open = prob_open(log_odds, temperature=temperature, low=low, high=high) > 0.5
    return torch.where(is_open, gate, torch.zeros_like(gate))
