"""Hold every single coefficient against a module, so that no large term hides what is wrong with a small one."""

__all__ = ["Probed", "of_inputs", "probe", "probing_points", "read_off"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ellzero.dictionary.equations.arrays import contributions
from ellzero.dictionary.equations.closed import ClosedForm
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.scaling import scaled_outputs
from ellzero.dictionary.equations.sparse import SparseDictionary
from ellzero.dictionary.terms.term import Term

Array = NDArray[np.float64]

_BEST = 16
"""At how many points a coefficient is looked at: those where its term has the largest share."""

_ROUNDINGS = 32
"""How many roundings a term may have gone through, beside one for each term of the sum."""

_DECADES = 4.0
"""Over how many powers of ten the sizes of the inputs are varied."""


@dataclass(frozen=True)
class Probed:
    """What points say about one coefficient, or about the variation of a target.

    Attributes:
        name: of the term and its target.
        error: largest relative error that was seen.
        rounding: relative error below which nothing can be seen in float64 at these points.
    """

    name: str
    error: float
    rounding: float


def probing_points(low: Array, high: Array, num: int, *, can_leave: bool, seed: int) -> Array:
    """Points with inputs of many sizes, so that each term is the large one somewhere.

    Args:
        low: of each input.
        high: of each input.
        num: how many points.
        can_leave: whether points may lie outside of the range, because nobody said what it is.
        seed: of the points.

    Returns:
        Shape `(num, num_inputs)`; within the range the sizes shrink towards zero, or its end nearest to zero.
    """
    random = np.random.default_rng(seed)
    decades = random.uniform(-_DECADES, _DECADES if can_leave else 0.0, (num, len(low)))
    nearest = np.clip(0.0, low, high)
    return np.asarray(nearest + (random.uniform(low, high, (num, len(low))) - nearest) * 10.0**decades)


def probe(equations: Equations, computed: Array, points: Array) -> list[Probed]:
    r"""Compare a module with the equations where each term matters most.

    .. math:: e_{ij} = \max_{x \in B_{ij}} \frac{|y_i(x) - \hat y_i(x)|}{|s_i f_i'(z)\, c_{ij} \theta_j(x)|}

    with B the points where the term has the largest share of the rounding error.

    Args:
        equations: what is claimed.
        computed: by the module, shape `(num_points, num_targets)`.
        points: shape `(num_points, num_inputs)`.

    Returns:
        One entry for each coefficient, and one for the variation of each target.
    """
    rows = equations.rows()
    with np.errstate(all="ignore"):
        parts = contributions(rows, equations.inputs, equations.dictionary.functions, points)
        values = equations.numpy()(points)
        stirred = of_inputs(equations, points)
    found = []
    for column, (row, terms) in enumerate(zip(rows, parts, strict=True)):
        with np.errstate(all="ignore"):
            slope = _slope(row.output, terms.sum(-1))
            sensitivity = slope[:, None] * np.abs(terms)
            size = sensitivity.sum(-1) + np.abs(values[:, column]) + abs(row.output.offset) + stirred[:, column]
            unit = (_ROUNDINGS + terms.shape[1]) * np.finfo(np.float64).eps
            difference, rounding = np.abs(computed[:, column] - values[:, column]), unit * size
        good = np.isfinite(sensitivity).all(1) & np.isfinite(size) & np.isfinite(computed[:, column]) & (size > 0)
        for number, (_, term) in enumerate(row.parts):
            name = f"{term.text(equations.inputs)} in {row.target}"
            found.append(_at_best(name, sensitivity[good, number], difference[good], rounding[good]))
        spread = float(computed[good, column].std()) if good.any() else 0.0
        varies = np.full(int(good.sum()), spread)
        if spread > float(np.max(rounding[good], initial=0.0)):
            found.append(_at_best(f"the variation of {row.target}", varies, difference[good], rounding[good]))
    return found


def _at_best(name: str, sensitivity: Array, difference: Array, rounding: Array) -> Probed:
    seen = sensitivity > 0
    if not seen.any():
        return Probed(name, 0.0, float("inf"))
    sensitivity, difference, rounding = sensitivity[seen], difference[seen], rounding[seen]
    best = np.argsort(rounding / sensitivity, kind="stable")[:_BEST]
    errors, limits = difference[best] / sensitivity[best], rounding[best] / sensitivity[best]
    return Probed(name, float(errors.max()), float(limits.max()))


def _slope(output: Output, sums: Array) -> Array:
    """How much the target changes with its sum of terms, shape `(num_points,)`."""
    given = torch.from_numpy(sums).requires_grad_()
    (slope,) = torch.autograd.grad(output(given).sum(), given)
    return np.asarray(slope.abs().numpy())


def of_inputs(equations: Equations, points: Array) -> Array:
    r"""How far a rounding of the inputs themselves changes the targets.

    .. math:: \sum_k |x_k \, \partial y_i / \partial x_k|

    A sine of 1e6 x cannot be computed to more than ten digits; nor can sums within a function that cancel.

    Args:
        equations: differentiated in float64.
        points: shape `(num_points, num_inputs)`.

    Returns:
        Shape `(num_points, num_targets)`; zero where there is no derivative.
    """
    x = torch.from_numpy(np.array(points, dtype=np.float64)).requires_grad_()
    columns = []
    for column in equations.trimmed().torch()(x).unbind(-1):
        slope = None
        if column.requires_grad:  # a constant has no graph
            (slope,) = torch.autograd.grad(column.sum(), x, retain_graph=True, allow_unused=True)
        columns.append(torch.zeros(len(x)) if slope is None else (slope * x).abs().sum(-1).nan_to_num(0.0, 0.0, 0.0))
    return np.asarray(torch.stack([column.double() for column in columns], -1).detach().numpy())


def read_off(equations: Equations, module: nn.Module) -> Probed | None:
    """The coefficients themselves, where the module is one whose coefficients are known.

    Args:
        equations: what is claimed.
        module: perhaps a `SparseDictionary` or a `ClosedForm`.

    Returns:
        The coefficient with the largest relative difference; None for any other module.
    """
    if isinstance(module, SparseDictionary):
        other = module.equations()
    elif isinstance(module, ClosedForm):
        other = Equations(equations.targets, module.dictionary, module.coefficients.cpu().numpy(), module.outputs)
    else:
        return None
    if other.inputs != equations.inputs or len(other.targets) != len(equations.targets):
        return Probed(f"inputs or targets of the module: ({', '.join(other.inputs)}), {len(other.targets)}", 1.0, 0.0)
    worst = Probed("the same for all", 0.0, 0.0)
    for (target, one), (_, two) in zip(_numbers(equations), _numbers(other), strict=True):
        for term in {**one, **two}:
            a, b = one.get(term, 0.0), two.get(term, 0.0)
            if (error := _difference(a, b)) > worst.error:
                shown = term.text(equations.inputs) if isinstance(term, Term) else term
                worst = Probed(f"{shown} in {target}", error, 0.0)
    return worst


def _difference(one: float, other: float) -> float:
    if one == other:
        return 0.0
    return abs(one - other) / max(abs(one), abs(other)) if math.isfinite(one) and math.isfinite(other) else 1.0


def _numbers(equations: Equations) -> list[tuple[str, dict[Term | str, float]]]:
    """Each coefficient by its term, with plain scales and offsets folded in; what an output function does by name."""
    count = len(equations.targets)
    dictionary, coefficients, outputs = scaled_outputs(
        equations.dictionary, equations.coefficients, equations.outputs, np.zeros(count), np.ones(count)
    )
    found = []
    for target, row, output in zip(equations.targets, coefficients.tolist(), outputs, strict=True):
        numbers: dict[Term | str, float] = {term: c for term, c in zip(dictionary.terms, row, strict=True) if c}
        numbers |= {f"{output.function}()": 1.0, "its scale": output.scale, "its offset": output.offset}
        numbers |= {"its lower limit": output.low, "its upper limit": output.high}
        found.append((target, numbers))
    return found
