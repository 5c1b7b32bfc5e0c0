"""How well predicted trajectories agree with true ones."""

__all__ = ["r2_score", "valid_prediction_time"]

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def r2_score(truth: Tensor | ArrayLike, prediction: Tensor | ArrayLike) -> float:
    r"""Share of the variance that is predicted, the mean over columns.

    .. math:: R^2 = 1 - \frac{\sum (y - \hat y)^2}{\sum (y - \bar y)^2}

    Args:
        truth: tensor or array, shape `(samples, columns)`.
        prediction: of the same shape.

    Returns:
        At most one. A column that does not vary counts as one if it is predicted exactly, as zero otherwise.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> r2_score(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [2.0]]))
        0.5
    """
    truth, prediction = _tensor(truth), _tensor(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {tuple(truth.shape)}, prediction {tuple(prediction.shape)}; give the same")
    rest = (truth - prediction).square().sum(0)
    whole = (truth - truth.mean(0)).square().sum(0)
    plain = (rest == 0).to(rest.dtype)
    return float(torch.where(whole > 0, 1 - rest / whole.clamp_min(1e-300), plain).mean())


def valid_prediction_time(
    truth: Tensor | ArrayLike,
    prediction: Tensor | ArrayLike,
    time: Tensor | ArrayLike,
    *,
    threshold: float = 0.4,
    exponent: float | None = None,
) -> float:
    r"""How long a prediction stays close.

    .. math:: \min \Big\{ t : \sqrt{\tfrac{1}{d} \textstyle\sum_j (x_j - \hat x_j)^2 / s_j^2} > \text{threshold} \Big\}

    with s the standard deviation of each true state over the whole stretch.

    Args:
        truth: tensor or array, such as that of `simulate`, shape `(samples, states)`.
        prediction: of the same shape; NaN counts as far away.
        time: shape `(samples,)`.
        threshold: no unit.
        exponent: largest Lyapunov exponent; given, the result is in Lyapunov times.

    Returns:
        Time from the first sample to the last one before the threshold is passed, in the unit of `time`, or in
        Lyapunov times.

    Raises:
        ValueError: if shapes do not fit.

    Source:
        Vlachas et al. (2020), https://doi.org/10.1016/j.neunet.2020.02.016

    Example:
        >>> truth = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
        >>> valid_prediction_time(truth, truth + torch.tensor([[0.0], [0.1], [0.1], [1.0]]), torch.arange(4.0))
        2.0
    """
    truth, prediction, time = _tensor(truth), _tensor(prediction), _tensor(time)
    if truth.shape != prediction.shape or truth.dim() != 2 or len(time) != len(truth):
        raise ValueError(
            f"truth {tuple(truth.shape)}, prediction {tuple(prediction.shape)}, time {tuple(time.shape)} do not agree; "
            "expected (samples, states) twice and (samples,)"
        )
    spread = truth.std(0, correction=0).clamp_min(1e-300)
    error = ((truth - prediction) / spread).square().mean(1).sqrt()
    far = (~(error <= threshold)).nonzero()
    last = len(time) - 1 if not len(far) else max(int(far[0]) - 1, 0)
    return float(time[last] - time[0]) * (1.0 if exponent is None else exponent)


def _tensor(values: Tensor | ArrayLike) -> Tensor:
    """Floating, on the CPU."""
    found = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    return found if found.is_floating_point() else found.to(torch.float64)
