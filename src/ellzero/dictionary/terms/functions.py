"""The functions that terms are made of, and what each is called in the languages that equations are printed in."""

__all__ = ["FUNCTIONS", "Function"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Value = TypeVar("_Value", Tensor, NDArray[np.float64])


@dataclass(frozen=True)
class Function:
    """One function of one argument.

    Attributes:
        torch: on tensors.
        numpy: on arrays.
        sympy: its name in SymPy, or empty if the argument itself is meant.
        latex: the command, with `{}` for the argument.
        python: an expression with `np`, `{}` for the argument.
        c: an expression with `<math.h>`, `{}` for the argument.
        parity: whether a change of the argument's sign does nothing ("even"), changes the sign ("odd"), or neither.
    """

    torch: Callable[[Tensor], Tensor]
    numpy: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    sympy: str
    latex: str
    python: str
    c: str
    parity: Literal["even", "odd", ""] = ""


def _same(value: _Value) -> _Value:
    return value


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * value))
    return result


def _named(name: str, latex: str, parity: Literal["even", "odd", ""] = "", *, c: str = "") -> Function:
    """A function that has one name almost everywhere."""
    numpy = "arctan" if name == "atan" else name
    return Function(
        getattr(torch, name), getattr(np, numpy), name, f"{latex}\\left({{}}\\right)", f"np.{numpy}({{}})",
        f"{c or name}({{}})", parity,
    )  # fmt: skip


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "identity": Function(_same, _same, "", r"\left({}\right)", "({})", "({})", "odd"),
        "sin": _named("sin", r"\sin", "odd"),
        "cos": _named("cos", r"\cos", "even"),
        "tan": _named("tan", r"\tan", "odd"),
        "atan": _named("atan", r"\arctan", "odd"),
        "sinh": _named("sinh", r"\sinh", "odd"),
        "cosh": _named("cosh", r"\cosh", "even"),
        "tanh": _named("tanh", r"\tanh", "odd"),
        "exp": _named("exp", r"\exp"),
        "log": _named("log", r"\log"),
        "sqrt": Function(torch.sqrt, np.sqrt, "sqrt", r"\sqrt{{{}}}", "np.sqrt({})", "sqrt({})"),
        "abs": Function(torch.abs, np.abs, "Abs", r"\left|{}\right|", "np.abs({})", "fabs({})", "even"),
        "sign": Function(
            torch.sign, np.sign, "sign", r"\operatorname{{sign}}\left({}\right)", "np.sign({})",
            "(double)(({0} > 0) - ({0} < 0))", "odd",
        ),
        "sigmoid": Function(
            torch.sigmoid, _sigmoid, "sigmoid", r"\sigma\left({}\right)", "0.5 * (1.0 + np.tanh(0.5 * ({})))",
            "(0.5 * (1.0 + tanh(0.5 * ({}))))",
        ),
    }
)  # fmt: skip
