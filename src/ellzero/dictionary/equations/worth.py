"""What equations are worth: against measured targets, with the digits that are printed, and without each term."""

__all__ = ["ablations", "fits", "rounding"]

import numpy as np
from numpy.typing import NDArray

from ellzero.dictionary.equations.arrays import added, contributions
from ellzero.dictionary.equations.certificate import Ablation, Check
from ellzero.dictionary.equations.equations import Equations

Array = NDArray[np.float64]

MOST_DIGITS = 17
"""With so many digits every float64 number is read back as it was."""


def fits(equations: Equations, points: Array, measured: Array) -> list[Check]:
    r"""How much of each measured target is left unexplained; equations worse than the mean fail.

    .. math:: 1 - R^2 = \frac{\sum (y - \hat y)^2}{\sum (y - \bar y)^2}

    Args:
        equations: what is judged.
        points: shape `(num_points, num_inputs)`.
        measured: targets, shape `(num_points, num_targets)`.
    """
    found = []
    residuals = measured - equations.numpy()(points)
    for target, residual, values in zip(equations.targets, residuals.T, measured.T, strict=True):
        left = float(np.sum(residual**2))
        whole = float(np.sum((values - values.mean()) ** 2))
        if whole <= 1e-24 * float(np.sum(values**2)):  # a target that stands still has no variance to explain
            whole = float(np.sum(values**2))
        share = left / whole if whole else 0.0 if left == 0 else float("inf")
        size = np.sqrt(np.mean(residual**2))
        detail = f"{len(values)} points: R^2 = {1 - share:.6g}, root mean square residual {size:.3g}"
        found.append(Check(f"unexplained share of {target}", share, 1.0, detail))
    return found


def rounding(equations: Equations, points: Array, precision: int, limit: float) -> Check:
    r"""The equations as printed against the full ones, relative to the spread of each target.

    .. math:: \sqrt{\operatorname{mean} (\tilde y - y)^2} \, / \operatorname{std}(y)

    Args:
        equations: what is printed.
        points: shape `(num_points, num_inputs)`.
        precision: significant digits.
        limit: the most that the root mean square error may be, as a share of the standard deviation of the target.
    """
    value = _lost(equations, points, precision)
    detail = f"{len(points)} points, error over spread"
    if not value <= limit:
        enough = (n for n in range(precision + 1, MOST_DIGITS + 1) if _lost(equations, points, n) <= limit)
        detail += f"; precision={next(enough, MOST_DIGITS)} suffices"
    return Check(f"printed with {precision} digits", value, limit, detail)


def _lost(equations: Equations, points: Array, precision: int) -> float:
    with np.errstate(all="ignore"):
        full, printed = equations.numpy()(points), equations.rounded(precision).numpy()(points)
    defined = np.isfinite(full).all(1)
    if not defined.any():
        return float("nan")
    full, printed = full[defined], printed[defined]
    size, spread = np.abs(full).max(0), full.std(0)
    spread = np.where(spread > 1e-12 * size, spread, size)  # of a target that stands still, its value
    difference = np.sqrt(np.mean((printed - full) ** 2, 0))
    return float(np.max(np.divide(difference, spread, out=difference.copy(), where=spread > 0)))


def ablations(equations: Equations, points: Array, measured: Array | None) -> tuple[Ablation, ...]:
    """What each target loses without each of its terms.

    Args:
        equations: what is taken apart.
        points: shape `(num_points, num_inputs)`.
        measured: targets, shape `(num_points, num_targets)`, if there are.
    """
    found = []
    for column, row in enumerate(equations.rows()):
        with np.errstate(all="ignore"):
            (parts,) = contributions([row], equations.inputs, equations.dictionary.functions, points)
            full = row.output.numpy(added(parts))
        defined = np.isfinite(full)
        size = np.sqrt(np.mean(full[defined] ** 2)) or 1.0
        for number, (_, term) in enumerate(row.parts):
            with np.errstate(all="ignore"):
                without = row.output.numpy(added(parts, without=number))
            change = float(np.sqrt(np.mean((without - full)[defined] ** 2)) / size)
            error = None if measured is None else _times(full, without, measured[:, column])
            found.append(Ablation(row.target, term.text(equations.inputs), change, error))
    return tuple(found)


def _times(full: Array, without: Array, measured: Array) -> float:
    before, after = np.mean((full - measured) ** 2), np.mean((without - measured) ** 2)
    return float(after / before) if before else float("inf")
