"""Equations, true states and noise estimated together, by maximum likelihood with a price per term."""

__all__ = ["Estimate", "estimate", "price"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ellzero.dictionary.dynamics.coupled import Limit, search_support
from ellzero.dictionary.dynamics.evidence import Evidence
from ellzero.dictionary.dynamics.likelihood import Measured, Noise, evidence, smooth
from ellzero.errors import nearest

ROUNDS = 60
LOOSE = 1.3
"""Mean square of the standardised residuals above which the equations do not explain the data yet."""

RESTS = 6
"""How often the noise may be estimated anew."""

TIGHTEN, EXACT = 0.3, 1e-3
"""The allowance for errors of the model shrinks by this factor, and is dropped below this share of the noise."""

STILL = 1e-8
"""Relative change of the coefficients at which the iteration has settled."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the likelihood says.

    Attributes:
        coefficients: shape `(states, terms)`.
        support: flat indices of the terms that stay.
        states: the true states of each run, as estimated.
        noise: of the measurements and of the model.
        evidence: quadratic around the estimate.
        misfit: mean square of the standardised residuals; about one when the equations explain the data.
        has_settled: whether the iteration came to rest.
    """

    coefficients: Tensor
    support: Tensor
    states: list[Tensor]
    noise: Noise
    evidence: Evidence
    misfit: float
    has_settled: bool

    @property
    def covariance(self) -> Tensor:
        """Of the coefficients on the support, shape `(chosen, chosen)`."""
        return self.evidence.covariance(self.support)


def estimate(
    measured: Measured,
    noise: Tensor,
    coefficients: Tensor,
    states: Sequence[Tensor],
    *,
    floor: Tensor,
    penalty: float,
    limit: Limit | None = None,
    fixed: Tensor | None = None,
) -> Estimate | None:
    r"""Maximise the penalised likelihood of coefficients and true states, the support being free.

    .. math:: \min_{\xi, x} \sum_i |(y_i - x_i) / \sigma|^2 + \lambda \|\xi\|_0
              \quad \text{subject to} \quad x_{i+1} = \Phi(x_i; \xi)

    Rounds of three steps: the states given the equations (one Gauss-Newton step), the evidence about all candidate
    terms with the states eliminated, and a search for the support on it. The equations may first be violated; the
    allowance shrinks to nothing as they come to explain the data, and grows when they cannot. The noise is then
    estimated anew from what is left.

    Args:
        measured: the runs.
        noise: first guess of the standard deviation of the measurements, shape `(states,)`.
        coefficients: first guess, shape `(states, terms)`.
        states: first guess of the true states.
        floor: least standard deviation believed, shape `(states,)`.
        penalty: price of a term in units of chi-square.
        limit: number of terms, instead of a price.
        fixed: flat indices of the support, if it is not to be searched.

    Returns:
        The estimate; None if the equations, followed over one interval, leave the finite numbers.
    """
    ladder = _Allowance()
    support = coefficients.reshape(-1).nonzero()[:, 0] if fixed is None else fixed
    states, rests = list(states), 0
    found = None
    for _ in range(ROUNDS):
        current = Noise(noise, noise * ladder.share)
        try:
            states, _ = smooth(measured, current, coefficients, states)
            quadratic = evidence(measured, current, coefficients, states)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # the equations ran away in an interval
            break
        before, old = support, coefficients.reshape(-1)
        if fixed is None:
            support = search_support(quadratic, support, penalty=penalty, num_equations=len(noise), limit=limit)
        new = quadratic.refit(support)
        misfit = quadratic.chi_square(new) / measured.num_values
        moved = float((new - old).norm()) > STILL * float(new.norm()) or not torch.equal(before, support)
        coefficients = new.reshape(coefficients.shape)
        found = Estimate(coefficients, support, states, current, quadratic, misfit, has_settled=not moved)
        if ladder.adjust(misfit) or moved:
            continue
        left = _left_over(measured, states, floor, len(support))
        if rests == RESTS or not bool(((left / noise).log().abs() > 0.01).any()) or ladder.share > 0:
            return found
        noise, rests = left, rests + 1
    return found


class _Allowance:
    """How much the equations may be violated, as a share of the noise: shrinks with success, grows with failure."""

    def __init__(self) -> None:
        self.share = 1.0
        self.least = 0.0
        self.failures = 0

    def adjust(self, misfit: float) -> bool:
        """Take note of a misfit; returns whether the share changed."""
        before = self.share
        if misfit > LOOSE:
            self.failures += 1
            if self.failures % 5 == 0:
                self.share = max(3 * self.share, EXACT)
                self.least = max(self.share, self.least)
        else:
            self.failures = 0
            self.share = max(TIGHTEN * self.share, self.least)
            self.share = 0.0 if self.share < EXACT else self.share
        return self.share != before


def _left_over(measured: Measured, states: Sequence[Tensor], floor: Tensor, terms: int) -> Tensor:
    """Standard deviation of measurements around the estimated states, corrected for what was fitted."""
    pairs = zip(measured.trajectories, states, strict=True)
    squares = torch.stack([(run.states - now).square().sum(0) for run, now in pairs])
    samples = sum(len(now) for now in states)
    fitted = terms / len(floor) + len(states)
    return (squares.sum(0) / max(samples - fitted, 1)).sqrt().clamp_min(floor)


def price(num_values: int, num_candidates: int, criterion: str) -> float:
    r"""What a term must explain to stay, in units of chi-square.

    .. math:: \text{AIC } 2, \quad \text{BIC } \log n, \quad \text{EBIC } \log n + 2 \log p

    Args:
        num_values: measured numbers n.
        num_candidates: candidate coefficients p.
        criterion: "aic", "bic" or "ebic".

    Returns:
        The price.

    Raises:
        ValueError: if the criterion is not known.

    Source:
        Chen & Chen (2008), https://doi.org/10.1093/biomet/asn034

    Example:
        >>> round(price(1000, 50, "ebic"), 2)
        14.73
    """
    prices = {"aic": 2.0, "bic": math.log(num_values), "ebic": math.log(num_values) + 2 * math.log(num_candidates)}
    if criterion not in prices:
        raise ValueError(f"the criterion {criterion!r} is not known{nearest(criterion, prices)}")
    return prices[criterion]
