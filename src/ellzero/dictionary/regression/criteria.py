"""Information criteria of least squares, and the knee of a path."""

__all__ = ["CRITERIA", "check_criterion", "criterion", "joint_choices", "knee"]

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ellzero.errors import nearest

_EXACT = 1e-24  # of the energy: residuals below are rounding errors, and no term is worth having for them


def _log_choices(num_columns: int, k: Tensor) -> Tensor:
    """Logarithm of the number of supports of k columns."""
    num = torch.as_tensor(float(num_columns), dtype=torch.float64, device=k.device)
    return torch.lgamma(num + 1) - torch.lgamma(k + 1) - torch.lgamma(num - k + 1)


def _small_sample_bic(df: Tensor, n: int) -> Tensor:
    """Penalty of the corrected BIC, which goes to that of BIC as samples become many."""
    left = n - df - 1
    return torch.where(left > 0, (df - 1) * math.log(n) * n / left.clamp_min(1e-9), math.inf)


CRITERIA: dict[str, Callable[[Tensor, Tensor, int, int], Tensor]] = {
    "aic": lambda df, k, n, p: 2 * df,
    "aicc": lambda df, k, n, p: torch.where(n - df > 1, 2 * df * n / (n - df - 1).clamp_min(1e-9), math.inf),
    "bic": lambda df, k, n, p: df * math.log(n),
    "ebic": lambda df, k, n, p: df * math.log(n) + joint_choices(p, k),
    "ebicc": lambda df, k, n, p: _small_sample_bic(df, n) + joint_choices(p, k),
}
"""What is added to `n log(residual / n)`, by parameters fitted, terms, samples and columns."""


def criterion(
    name: str, residual: Tensor, energy: Tensor, num_terms: Tensor, *, num_samples: int, num_columns: int,
    has_intercept: bool = False,
) -> Tensor:  # fmt: skip
    r"""Information criterion of least squares with normal errors of unknown variance; smaller is better.

    .. math:: n \log(\mathrm{RSS} / n) + \text{penalty}, \qquad
        \mathrm{AIC}: 2 d, \quad \mathrm{AICc}: \frac{2 d n}{n - d - 1}, \quad \mathrm{BIC}: d \log n, \quad
        \mathrm{EBIC}: d \log n + 2 \log \binom{p}{k}, \quad
        \mathrm{EBICc}: \frac{(d - 1) n \log n}{n - d - 1} + 2 \log \binom{p}{k}

    with d = k + 1, or k + 2 beside an intercept: the variance is a parameter, too. EBICc is EBIC with the BIC for few
    samples, of which EBIC takes too many terms.

    Args:
        name: "aic", "aicc", "bic", "ebic" or "ebicc".
        residual: sums of squared errors, any shape.
        energy: sums of squares of the targets, a shape that broadcasts with it; residuals far below rounding errors
            of it all count as the same.
        num_terms: k, a shape that broadcasts with it.
        num_samples: n.
        num_columns: p, how many columns there are to choose from.
        has_intercept: whether a constant was fitted.

    Returns:
        The criterion, shape of `residual`.

    Raises:
        ValueError: if the name is unknown.

    Source:
        Chen & Chen (2008), "Extended Bayesian information criteria", Biometrika 95, with gamma = 1; Hurvich & Tsai
        (1989), "Regression and time series model selection in small samples"; McQuarrie (1999), "A small-sample
        correction for the Schwarz SIC model selection criterion", for the BIC in EBICc.

    Example:
        >>> residual, energy = torch.tensor([4.0, 1.0, 0.99]), torch.tensor(4.0)
        >>> criterion("bic", residual, energy, torch.arange(3), num_samples=50, num_columns=9).argmin()
        tensor(1)
    """
    if name not in CRITERIA:
        raise ValueError(f"there is no criterion {name!r}{nearest(name, CRITERIA)}")
    k = num_terms.to(torch.float64)
    floor = (energy * _EXACT).clamp_min(1e-300)
    fit = num_samples * (torch.maximum(residual, floor.expand_as(residual)) / num_samples).log()
    return fit + CRITERIA[name](k + 1 + has_intercept, k, num_samples, num_columns)


def joint_choices(num_columns: int, num_terms: Tensor) -> Tensor:
    """What EBIC and EBICc add to BIC: twice the logarithm of the number of supports, shape of `num_terms`."""
    return 2 * _log_choices(num_columns, num_terms.to(torch.float64))


def check_criterion(name: str) -> None:
    """Refuse names that are neither a criterion nor "knee".

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in (*CRITERIA, "knee"):
        raise ValueError(f"there is no criterion {name!r}{nearest(str(name), (*CRITERIA, 'knee'))}")


def knee(residual: Tensor, energy: Tensor) -> Tensor:
    r"""Where a path bends most: the budget whose residual lies farthest below the line from the first to the last.

    Distances are taken in the logarithm of the residual, because residuals of equations span many decades.

    Args:
        residual: by number of terms, falling, shape `(*batch, sizes)`.
        energy: sums of squares of the targets, shape `(*batch)`.

    Returns:
        Index of the size, int64, shape `(*batch)`; 0 where the path is straight.

    Source:
        Satopaa et al. (2011), "Finding a kneedle in a haystack".

    Example:
        >>> knee(torch.tensor([1.0, 0.5, 1e-3, 9e-4, 8e-4]), torch.tensor(1.0))
        tensor(2)
    """
    height = torch.maximum(residual, (energy * _EXACT).clamp_min(1e-300).unsqueeze(-1).expand_as(residual)).log()
    num = residual.shape[-1]
    share = torch.linspace(0, 1, num, dtype=residual.dtype, device=residual.device)
    line = height[..., :1] + share * (height[..., -1:] - height[..., :1])
    below = (line - height).clamp_min(1e-5)  # rounding errors make no bend
    return below.argmax(-1)
