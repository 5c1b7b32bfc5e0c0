"""Whether stated inclusion probabilities are right: frequencies of terms on simulated data."""

__all__ = ["Calibration", "calibration", "simulate_regression"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ellzero.dictionary.regression.options import whole


@final
@dataclass(frozen=True)
class Calibration:
    """Stated probabilities against frequencies, bin by bin."""

    stated: Tensor
    """Mean stated probability in each bin, shape `(bins,)`; NaN in an empty one."""
    observed: Tensor
    """Share of the terms of each bin that are in the truth, shape `(bins,)`."""
    counts: Tensor
    """Terms in each bin, shape `(bins,)`."""
    brier: float
    """Mean squared difference of probability and truth: 0 is perfect, and stating the base rate p gives p (1 - p)."""

    @property
    def error(self) -> float:
        """Mean distance of stated and observed, weighted by counts (the expected calibration error)."""
        distance = (self.stated - self.observed).abs().nan_to_num()
        return float((distance * self.counts).sum() / self.counts.sum())

    def __str__(self) -> str:
        rows = [f"{'stated':>8}  {'observed':>8}  {'terms':>6}"]
        for stated, observed, count in zip(self.stated, self.observed, self.counts, strict=True):
            if count > 0:
                rows.append(f"{stated:8.3f}  {observed:8.3f}  {int(count):6d}")
        return "\n".join([*rows, f"calibration error {self.error:.3f}, Brier score {self.brier:.4f}"])


def calibration(
    probabilities: Callable[[Tensor, Tensor], Tensor], simulate: Callable[[int], tuple[Tensor, Tensor, Tensor]], *,
    num: int = 50, bins: int = 10,
) -> Calibration:  # fmt: skip
    r"""Compare stated inclusion probabilities with frequencies on simulated data.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} |\bar p_b - \bar t_b|

    Args:
        probabilities: gives the inclusion probabilities, shape `(columns,)`, for features and targets.
        simulate: gives features `(samples, columns)`, targets `(samples,)` and the true support, bool, `(columns,)`,
            for a seed.
        num: how many data sets.
        bins: of equal width between 0 and 1.

    Returns:
        The comparison; printed, it is a table.

    Raises:
        ValueError: if probabilities do not lie between 0 and 1, or have another shape than the truth.
        TypeError: if a count is not a whole number.

    Source:
        DeGroot & Fienberg (1983), "The comparison and evaluation of forecasters".

    Example:
        >>> found = calibration(lambda x, y: torch.full((20,), 0.2), simulate_regression)
        >>> round(found.error, 6), round(found.brier, 6)
        (0.0, 0.16)
    """
    num, bins = whole(num, "num", least=1), whole(bins, "bins", least=1)
    stated, truths = [], []
    for seed in range(num):
        features, targets, truth = simulate(seed)
        found, truth = (
            torch.as_tensor(part).detach().flatten().to("cpu", torch.float64)
            for part in (probabilities(features, targets), truth)
        )
        if found.shape != truth.shape or not bool(((found >= 0) & (found <= 1)).all()):
            raise ValueError(
                f"expected {len(truth)} probabilities between 0 and 1, got shape {tuple(found.shape)}"
                f" from {float(found.min()):g} to {float(found.max()):g}"
            )
        stated.append(found)
        truths.append(truth)
    p, t = torch.cat(stated), torch.cat(truths)
    place = (p * bins).long().clamp_max(bins - 1)
    counts, sums, hits = (
        torch.zeros(bins, dtype=torch.float64).scatter_add_(0, place, part) for part in (torch.ones_like(p), p, t)
    )
    return Calibration(sums / counts, hits / counts, counts.long(), float((p - t).square().mean()))


def simulate_regression(
    seed: int, *, num_samples: int = 100, num_columns: int = 20, num_terms: int = 4, correlation: float = 0.5,
    noise: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    r"""Data of a sparse regression whose coefficients are of all sizes, so that some terms cannot be told from none.

    .. math:: x_j = \rho x_{j - 1} + \sqrt{1 - \rho^2}\, e_j, \qquad w_j \sim N(0, 1/4) \text{ on a random support}

    Args:
        seed: the same seed gives the same data.
        num_samples: rows.
        num_columns: columns.
        num_terms: of the true support.
        correlation: rho, between neighbouring columns.
        noise: standard deviation of what is added to the targets.

    Returns:
        Features `(samples, columns)`, targets `(samples,)`, float64, and the true support, bool, `(columns,)`.

    Example:
        >>> features, targets, truth = simulate_regression(0)
        >>> features.shape, targets.shape, int(truth.sum())
        (torch.Size([100, 20]), torch.Size([100]), 4)
    """
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_samples, num_columns, generator=generator, dtype=torch.float64)
    for column in range(1, num_columns):
        fresh = (1 - correlation**2) ** 0.5 * features[:, column]
        features[:, column] = correlation * features[:, column - 1] + fresh
    truth = torch.zeros(num_columns, dtype=torch.bool)
    truth[torch.randperm(num_columns, generator=generator)[:num_terms]] = True
    weights = 0.5 * torch.randn(num_columns, generator=generator, dtype=torch.float64) * truth
    targets = features @ weights + noise * torch.randn(num_samples, generator=generator, dtype=torch.float64)
    return features, targets, truth
