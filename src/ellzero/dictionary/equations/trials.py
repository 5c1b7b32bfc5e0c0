"""Equations against a module: values, single terms, single coefficients, symbols, trajectories."""

__all__ = ["Simulate", "Trial"]

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ellzero.dictionary.equations.arrays import contributions
from ellzero.dictionary.equations.certificate import Check
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.equations.probes import Probed, of_inputs, probe, read_off
from ellzero.dictionary.equations.rows import Row
from ellzero.errors import MissingExtraError, NonFiniteError

Array = NDArray[np.float64]

_SYMBOLIC_POINTS = 16
_DIGITS = 30


class Simulate(Protocol):
    """Follows a right-hand side in time."""

    def __call__(self, derivative: Callable[[ArrayLike], Array], start: Array, times: Array) -> Array:
        """States at the times, shape `(num_times, num_states)`, from a start of shape `(num_states,)`."""


@dataclass(frozen=True)
class Trial:
    """Equations, the module that they are held against, if any, and how closely."""

    equations: Equations
    module: nn.Module | None
    tolerance: float
    precision: int

    @cached_property
    def computed(self) -> Callable[[ArrayLike], Array] | None:
        """The module as a function of arrays, in float64 and on a copy."""
        return None if self.module is None else in_double(self.module, len(self.equations.targets))

    def agreement(self, points: Array, where: str) -> list[Check]:
        """The terms themselves against the module, and against the module that the equations become."""
        with np.errstate(all="ignore"):
            reference = self.equations.numpy()(points)
            scale = self._scale(points, reference)
        defined = np.isfinite(reference).all(1) & np.isfinite(scale).all(1)
        points, reference, scale = points[defined], reference[defined], scale[defined]
        others = {"closed form as a module": in_double(self.equations.torch(), len(self.equations.targets))}
        if self.computed is not None:
            others["module"] = self.computed
        return [
            Check(
                f"terms against {name}",
                _largest(function(points) - reference, scale),
                self.tolerance,
                f"{len(points)} {where}",
            )
            for name, function in others.items()
        ]

    def terms(self, points: Array, where: str) -> Check:
        """Each term by itself, PyTorch against NumPy, relative to its own size."""
        equations = self.equations.trimmed()
        dictionary = equations.dictionary
        rows = [Row("", tuple((1.0, term) for term in dictionary.terms), equations.outputs[0])]
        with np.errstate(all="ignore"):
            (ours,) = contributions(rows, equations.inputs, dictionary.functions, points)
        theirs = in_double(dictionary, len(dictionary))(points)
        worst = 0.0
        for one, other in zip(ours.T, theirs.T, strict=True):
            defined = np.isfinite(one)
            size = np.abs(one[defined]) + np.sqrt(np.mean(np.square(one[defined])))
            size = np.where(size > 0, size, 1.0)
            found = _largest(other[defined] - one[defined], size)
            worst = max(worst, float(np.nan_to_num(found, nan=np.inf, posinf=np.inf)))
        return Check("each term, NumPy against PyTorch", worst, self.tolerance, f"{len(ours)} {where}")

    def coefficients(self, points: Array) -> list[Check]:
        """Every coefficient of the module by itself: as it is, where it can be read, and where its term matters."""
        if self.module is None or self.computed is None:
            return []
        known = read_off(self.equations, self.module)
        checks = []
        if known is not None:
            checks.append(Check("coefficients read off the module", known.error, self.tolerance, known.name))
        probed = probe(self.equations, self.computed(points), points)
        if not probed:
            return checks

        def excess(one: Probed) -> float:
            return one.error / max(self.tolerance, one.rounding)

        worst, weakest = max(probed, key=excess), max(probed, key=lambda one: one.rounding)
        limit = max(self.tolerance, worst.rounding) if np.isfinite(worst.rounding) else self.tolerance
        detail = f"worst of {len(probed)}: {worst.name}"
        checks.append(Check("coefficients probed one by one", worst.error, limit, detail))
        if weakest.rounding > self.tolerance:
            needed = None if known is not None else 10.0**-self.precision
            hint = f"hidden by larger terms: {weakest.name}"
            if needed is not None and weakest.rounding > needed:
                hint += "; give points at which it matters, or a module whose coefficients can be read"
            checks.append(Check("coefficients known no better than", weakest.rounding, needed, hint))
        return checks

    def symbolic(self, points: Array) -> list[Check]:
        """The expressions of SymPy against the module, at a few points; nothing where there is no SymPy."""
        if self.equations.dictionary.functions:
            return []
        try:
            expressions = self.equations.sympy()
        except MissingExtraError:
            return []
        with np.errstate(all="ignore"):
            points = points[np.isfinite(self.equations.numpy()(points)).all(1)]
        points = points[np.linspace(0, len(points) - 1, min(_SYMBOLIC_POINTS, len(points))).astype(int)]
        exact = [[_evaluated(e, self.equations.inputs, point) for e in expressions.values()] for point in points]
        computed = (self.computed or self.equations.numpy())(points)
        reference = np.array(exact).reshape(computed.shape)
        value = _largest(computed - reference, self._scale(points, reference))
        name = f"SymPy with {_DIGITS} digits against {'terms' if self.module is None else 'module'}"
        return [Check(name, value, self.tolerance, f"{len(points)} points")]

    def rollouts(self, simulate: Simulate, starts: Array, times: Array) -> list[Check]:
        """Trajectories of the module and of the printed equations against those of the terms; for information.

        Raises:
            ValueError: if there is no derivative for each input, or there are no times.
        """
        if len(self.equations.targets) != len(self.equations.inputs):
            raise ValueError("trajectories need a target for each input, its derivative; leave simulate out")
        if times.ndim != 1 or len(times) < 2:
            raise ValueError(f"trajectories need at least two times, got shape {times.shape}; give times=...")
        others = {} if self.computed is None else {"module": self.computed}
        others[f"printed with {self.precision} digits"] = self.equations.rounded(self.precision).numpy()
        reference = np.stack([simulate(self.equations.numpy(), start, times) for start in starts])
        size = reference.std((0, 1)) + np.finfo(np.float64).tiny
        checks = []
        for name, derivative in others.items():
            try:
                paths = np.stack([simulate(derivative, start, times) for start in starts])
                value = float(np.max(np.abs(paths - reference) / size))
            except NonFiniteError:
                value = float("inf")
            checks.append(Check(f"trajectories, {name}", value, None, f"{len(starts)} starts up to {times[-1]:g}"))
        return checks

    def _scale(self, points: Array, reference: Array) -> Array:
        """What rounding is relative to: the terms, the output around them, the result, and how inputs stir it."""
        rows, known = self.equations.rows(), (self.equations.inputs, self.equations.dictionary.functions)
        inner = np.stack([np.abs(contributions([row], *known, points)[0]).sum(-1) for row in rows], -1)
        size = np.array([abs(row.output.scale) for row in rows]) * inner + np.abs(reference)
        size = size + of_inputs(self.equations, points) + np.array([abs(row.output.offset) for row in rows])
        return np.asarray(np.maximum(size, np.finfo(np.float64).tiny))


def in_double(module: nn.Module, width: int) -> Callable[[ArrayLike], Array]:
    """A module as a function of arrays, in float64 and in evaluation mode; the module itself is left as it is.

    Args:
        module: of tensors of shape `(num_points, num_inputs)`.
        width: how many outputs it must have.

    Raises:
        ValueError: when it is called, if it gives another shape.
    """
    twin = copy.deepcopy(module).double().eval()
    device = next((tensor.device for tensor in [*twin.parameters(), *twin.buffers()]), torch.device("cpu"))

    def call(points: ArrayLike) -> Array:
        given = np.asarray(points, dtype=np.float64).copy()
        with torch.no_grad():
            values = twin(torch.from_numpy(given).to(device))
        if tuple(values.shape) != (*given.shape[:-1], width):
            raise ValueError(
                f"the module gives shape {tuple(values.shape)} for {given.shape}, expected {width} outputs for each "
                "point; give the module that the equations belong to"
            )
        return np.asarray(values.cpu().numpy())

    return call


def _largest(difference: Array, scale: Array) -> float:
    """NaN, which is within no limit, if nothing could be compared."""
    with np.errstate(over="ignore"):  # beside a target that is zero, any difference is infinite
        return float(np.max(np.abs(difference) / scale)) if difference.size else float("nan")


def _evaluated(expression: Any, inputs: Sequence[str], point: Array) -> float:
    values = dict(zip(inputs, point.tolist(), strict=True))
    return float(expression.evalf(_DIGITS, subs={symbol: values[symbol.name] for symbol in expression.free_symbols}))
