"""Quadrature rules for integrals over the part of a logistic variable that clipping leaves alone."""

__all__ = ["Rule", "as_tensor", "binary_rule", "expect", "hard_rule"]

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ellzero.distributions.functional import thresholds

# Beyond this logit a sigmoid is 0 or 1 to exp(-40) = 4e-18.
_SATURATED = 40.0

# (1 + sqrt(2)) ** (-2 * 24) = 4e-19; see _panels.
_NODES_PER_PANEL = 24


@dataclass(frozen=True)
class Rule:
    r"""Nodes for integrals over `location = noise + log-odds`, between the two locations where the gate is clipped.

    .. math:: \int_{c_0}^{c_1} g(y)\, dy \approx \sum_i w_i\, g(y_i)

    Everything a law of the distribution needs is here as plain numbers, so a rule is made once for each shape.

    Args:
        lower: c_0, in nats; below it the gate is 0.
        upper: c_1, in nats; above it the gate is 1.
        locations: y_i, in nats, shape `(nodes,)`.
        weights: w_i, in nats, shape `(nodes,)`.
        gates: value of the gate at every node, shape `(nodes,)`.
        slopes: derivative of the gate by the location at every node, shape `(nodes,)`, per nat.

    Source:
        Trefethen, Approximation Theory and Approximation Practice (2013), theorem 19.3.

    Example:
        >>> rule = hard_rule(temperature=2 / 3, low=-0.1, high=1.1)
        >>> round(sum(w * slope for w, slope in zip(rule.weights, rule.slopes)), 12)
        1.0
    """

    lower: float
    upper: float
    locations: tuple[float, ...]
    weights: tuple[float, ...]
    gates: tuple[float, ...]
    slopes: tuple[float, ...]


@lru_cache(maxsize=64)
def hard_rule(*, temperature: float, low: float, high: float) -> Rule:
    """Make the rule of a hard-concrete distribution; between its thresholds no gate is clipped.

    Args:
        temperature: beta > 0, no unit.
        low: left end of the stretched interval, gamma < 0.
        high: right end of the stretched interval, zeta > 1.

    Returns:
        The rule, made once for each shape.

    Raises:
        ValueError: if the temperature is not positive or `[0, 1]` is not strictly inside `[low, high]`.

    Example:
        >>> len(hard_rule(temperature=2 / 3, low=-0.1, high=1.1).locations)
        24
    """
    lower, upper = thresholds(temperature=temperature, low=low, high=high)
    return _rule((lower / temperature, upper / temperature), temperature=temperature, low=low, high=high)


@lru_cache(maxsize=64)
def binary_rule(*, temperature: float) -> Rule:
    """Make the rule of a binary-concrete distribution; beyond its ends the gate is 0 or 1 to 4e-18.

    Args:
        temperature: beta > 0, no unit.

    Returns:
        The rule, made once for each temperature. It has a panel border at 0, where its entropy has a kink.

    Example:
        >>> binary_rule(temperature=0.5).upper
        20.0
    """
    return _rule((-_SATURATED, 0.0, _SATURATED), temperature=temperature, low=0.0, high=1.0)


def expect(log_odds: Tensor, values: Tensor, rule: Rule) -> Tensor:
    r"""Integrate values at the nodes against the logistic density, leaving out what is clipped.

    .. math:: \sum_i w_i f(y_i - \log\alpha)\, v_i, \qquad f(x) = \sigma(x) \sigma(-x)

    Args:
        log_odds: location of every gate, shape `(*gates)`, in nats.
        values: what is averaged, a shape that broadcasts with `(*gates, nodes)`.
        rule: nodes of the distribution.

    Returns:
        Expectations, shape `(*gates)`, in the unit of `values`.

    Example:
        >>> rule = hard_rule(temperature=2 / 3, low=-0.1, high=1.1)
        >>> expect(torch.zeros(()), torch.ones(()), rule)  # neither 0 nor 1
        tensor(0.6636)
    """
    noise = as_tensor(rule.locations, log_odds) - log_odds.unsqueeze(-1)  # (*gates, nodes)
    density = torch.sigmoid(noise) * torch.sigmoid(-noise)
    return (as_tensor(rule.weights, log_odds) * density * values).sum(-1)


def as_tensor(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    """Put numbers of a rule on the device and in the precision of a tensor.

    Args:
        numbers: one field of a `Rule`, shape `(nodes,)`.
        like: tensor of any shape.

    Returns:
        The numbers, shape `(nodes,)`, in their own unit.

    Example:
        >>> as_tensor((0.5, 1.0), torch.zeros(3, dtype=torch.float64)).dtype
        torch.float64
    """
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)


def _rule(borders: tuple[float, ...], *, temperature: float, low: float, high: float) -> Rule:
    """Place panels over logits `v = location / temperature`; `borders` are logits too."""
    logits, weights = _panels(borders, widest=2 * math.pi * min(1, 1 / temperature))
    sigmoid = 1 / (1 + np.exp(-logits))
    gates = (high - low) * sigmoid + low
    slopes = (high - low) * sigmoid / (1 + np.exp(logits)) / temperature
    columns = (logits * temperature, weights * temperature, gates.clip(0, 1), slopes)
    return Rule(
        borders[0] * temperature, borders[-1] * temperature, *(tuple(float(x) for x in column) for column in columns)
    )


def _panels(borders: tuple[float, ...], *, widest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on panels no wider than `widest` between consecutive borders.

    The integrands are analytic but for singularities of `sigmoid(v)` at imaginary part pi and of the logistic
    density at imaginary part pi / temperature. A panel whose half-width is at most the nearer of the two has no
    singularity inside the ellipse of parameter 1 + sqrt(2), whatever the log-odds: the error falls as
    (1 + sqrt(2)) ** (-2 * nodes).
    """
    points, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    edges = [borders[0]]
    for left, right in pairwise(borders):
        num_panels = math.ceil((right - left) / widest)
        edges += [left + (right - left) * (k + 1) / num_panels for k in range(num_panels)]
    centers, halves = (np.add(edges[1:], edges[:-1]) / 2)[:, None], (np.diff(edges) / 2)[:, None]
    return (centers + halves * points).ravel(), (halves * weights).ravel()
