"""The comparisons of which a certificate is made."""

__all__ = ["Simulate", "Trial", "ablations"]

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ellzero.dictionary.equations.arrays import evaluate, sums
from ellzero.dictionary.equations.certificate import Ablation, Check
from ellzero.dictionary.equations.equations import Equations
from ellzero.errors import MissingExtraError

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
        return None if self.module is None else in_double(self.module)

    def agreement(self, points: Array, where: str) -> list[Check]:
        """The terms themselves against the module, and against the module that the equations become."""
        with np.errstate(all="ignore"):
            reference = self.equations.numpy()(points)
            scale = self._scale(points, reference)
        defined = np.isfinite(reference).all(1) & np.isfinite(scale).all(1)
        points, reference, scale = points[defined], reference[defined], scale[defined]
        others = {"closed form as a module": in_double(self.equations.torch())}
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

    def rounding(self, points: Array) -> Check:
        """The equations as printed against the full ones."""
        with np.errstate(all="ignore"):
            full, printed = self.equations.numpy()(points), self.equations.rounded(self.precision).numpy()(points)
        defined = np.isfinite(full).all(1)
        size = np.sqrt(np.mean(full[defined] ** 2, 0))
        difference = np.abs(printed[defined] - full[defined]).max(0)
        value = float(np.max(difference / np.where(size > 0, size, 1.0)))
        return Check(f"printed with {self.precision} digits", value, None, "largest error over root mean square")

    def rollouts(self, simulate: Simulate, starts: Array, times: Array) -> list[Check]:
        """Trajectories of the module and of the printed equations against those of the terms.

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
            paths = np.stack([simulate(derivative, start, times) for start in starts])
            value = float(np.max(np.abs(paths - reference) / size))
            checks.append(Check(f"trajectories, {name}", value, None, f"{len(starts)} starts up to {times[-1]:g}"))
        return checks

    def _scale(self, points: Array, reference: Array) -> Array:
        """What rounding is relative to: the sizes of the terms, of the output around them, and of the result."""
        rows = self.equations.rows()
        inner = sums(rows, self.equations.inputs, self.equations.dictionary.functions, points)
        size = np.array([abs(row.output.scale) for row in rows]) * inner + np.abs(reference)
        return np.maximum(size + np.array([abs(row.output.offset) for row in rows]), np.finfo(np.float64).tiny)


def in_double(module: nn.Module) -> Callable[[ArrayLike], Array]:
    """A module as a function of arrays, in float64 and in evaluation mode; the module itself is left as it is."""
    twin = copy.deepcopy(module).double().eval()
    device = next((tensor.device for tensor in [*twin.parameters(), *twin.buffers()]), torch.device("cpu"))

    def call(points: ArrayLike) -> Array:
        with torch.no_grad():
            values = twin(torch.from_numpy(np.asarray(points, dtype=np.float64).copy()).to(device))
        return np.asarray(values.cpu().numpy())

    return call


def ablations(equations: Equations, points: Array, measured: Array | None) -> tuple[Ablation, ...]:
    """What each target loses without each of its terms.

    Args:
        equations: what is taken apart.
        points: shape `(num_points, num_inputs)`.
        measured: targets, shape `(num_points, num_targets)`, if there are.
    """

    def values(row: Any) -> Array:
        with np.errstate(all="ignore"):
            return evaluate([row], equations.inputs, equations.dictionary.functions, points)[:, 0]

    found = []
    for column, row in enumerate(equations.rows()):
        full = values(row)
        defined = np.isfinite(full)
        size = np.sqrt(np.mean(full[defined] ** 2)) or 1.0
        for number, (_, term) in enumerate(row.parts):
            without = values(replace(row, parts=(*row.parts[:number], *row.parts[number + 1 :])))
            change = float(np.sqrt(np.mean((without - full)[defined] ** 2)) / size)
            error = None if measured is None else _times(full, without, measured[:, column])
            found.append(Ablation(row.target, term.text(equations.inputs), change, error))
    return tuple(found)


def _times(full: Array, without: Array, measured: Array) -> float:
    before, after = np.mean((full - measured) ** 2), np.mean((without - measured) ** 2)
    return float(after / before) if before else float("inf")


def _largest(difference: Array, scale: Array) -> float:
    """NaN, which is within no limit, if nothing could be compared."""
    return float(np.max(np.abs(difference) / scale)) if difference.size else float("nan")


def _evaluated(expression: Any, inputs: Sequence[str], point: Array) -> float:
    values = dict(zip(inputs, point.tolist(), strict=True))
    return float(expression.evalf(_DIGITS, subs={symbol: values[symbol.name] for symbol in expression.free_symbols}))
