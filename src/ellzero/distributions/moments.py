"""Moments, entropy and divergence of a gate as integrals over its rule, with the clipped parts in closed form."""

__all__ = ["entropy", "kl", "mean", "variance"]

import torch
import torch.nn.functional as F
from torch import Tensor

from ellzero.distributions.quadrature import Rule, as_tensor, expect


def mean(log_odds: Tensor, rule: Rule) -> Tensor:
    r"""Mean gate, as the integral of the chance to exceed each value.

    .. math:: E[z] = \int_0^1 P(z > x)\, dx = \sum_i w_i\, z'(y_i)\, \sigma(\log\alpha - y_i)

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        rule: nodes of the distribution.

    Returns:
        Means in [0, 1], shape `(*gates)`.

    Example:
        >>> from ellzero.distributions.quadrature import hard_rule
        >>> mean(torch.zeros(()), hard_rule(temperature=2 / 3, low=-0.1, high=1.1))
        tensor(0.5000)
    """
    lengths = as_tensor(rule.weights, log_odds) * as_tensor(rule.slopes, log_odds)  # dx, they add up to 1
    prob_above = torch.sigmoid(log_odds.unsqueeze(-1) - as_tensor(rule.locations, log_odds))
    return (lengths * prob_above).sum(-1).clamp(max=1)  # the sum of the lengths may round to more than 1


def variance(log_odds: Tensor, rule: Rule) -> Tensor:
    r"""Variance of the gate, as a sum of squares so that nothing cancels.

    .. math:: P(z = 0) m^2 + P(z = 1) (1 - m)^2 + \sum_i w_i f(y_i - \log\alpha) (z_i - m)^2, \qquad m = E[z]

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        rule: nodes of the distribution.

    Returns:
        Variances, not negative, shape `(*gates)`.

    Example:
        >>> from ellzero.distributions.quadrature import hard_rule
        >>> variance(torch.zeros(()), hard_rule(temperature=2 / 3, low=-0.1, high=1.1))
        tensor(0.1480)
    """
    center = mean(log_odds, rule)
    deviations = as_tensor(rule.gates, log_odds) - center.unsqueeze(-1)
    at_zero = torch.sigmoid(rule.lower - log_odds) * center.square()
    at_one = torch.sigmoid(log_odds - rule.upper) * (1 - center).square()
    return at_zero + at_one + expect(log_odds, deviations.square(), rule)


def entropy(log_odds: Tensor, rule: Rule) -> Tensor:
    r"""Entropy of the gate against the two atoms plus length.

    .. math:: -P_0 \log P_0 - P_1 \log P_1 - \int_0^1 q(z) \log q(z)\, dz, \qquad q(z(y)) = f(y - \log\alpha) / z'(y)

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        rule: nodes of the distribution; it must end where the gate is really clipped.

    Returns:
        Entropies, shape `(*gates)`, in nats. They can be negative, as of any density.

    Example:
        >>> from ellzero.distributions.quadrature import hard_rule
        >>> entropy(torch.zeros(()), hard_rule(temperature=2 / 3, low=-0.1, high=1.1))
        tensor(0.8618)
    """
    log_density = _log_logistic(log_odds, rule) - as_tensor(rule.slopes, log_odds).log()
    atoms = _plogp(rule.lower - log_odds) + _plogp(log_odds - rule.upper)
    return expect(log_odds, -log_density, rule) - atoms


def kl(log_odds: Tensor, other: Tensor, rule: Rule) -> Tensor:
    r"""Kullback-Leibler divergence between two gates that differ in their log-odds only.

    .. math:: \mathrm{KL} = \sum_{k \in \{0, 1\}} P_k \log \frac{P_k}{P'_k}
        + \int_{c_0}^{c_1} f(y - a) \log \frac{f(y - a)}{f(y - a')}\, dy

    Args:
        log_odds: a, location under which the mean is taken, shape `(*gates)`, in nats.
        other: a', location compared with, a shape that broadcasts with `(*gates)`, in nats.
        rule: nodes of both distributions; it must end where the gate is really clipped.

    Returns:
        Divergences, the broadcast shape, in nats.

    Example:
        >>> from ellzero.distributions.quadrature import hard_rule
        >>> kl(torch.tensor(1.0), torch.tensor(1.0), hard_rule(temperature=2 / 3, low=-0.1, high=1.1))
        tensor(0.)
    """
    divergence = expect(log_odds, _log_logistic(log_odds, rule) - _log_logistic(other, rule), rule)
    for mine, theirs in ((rule.lower - log_odds, rule.lower - other), (log_odds - rule.upper, other - rule.upper)):
        divergence = divergence + torch.sigmoid(mine) * (F.logsigmoid(mine) - F.logsigmoid(theirs))
    return divergence


def _log_logistic(log_odds: Tensor, rule: Rule) -> Tensor:
    noise = as_tensor(rule.locations, log_odds) - log_odds.unsqueeze(-1)
    return F.logsigmoid(noise) + F.logsigmoid(-noise)


def _plogp(logit: Tensor) -> Tensor:
    return torch.sigmoid(logit) * F.logsigmoid(logit)
