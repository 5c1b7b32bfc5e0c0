"""Random networks, written as the source text of a module: whatever an operation menu allows, in any order."""

__all__ = ["Program", "Value", "write"]

import math
import random
import re
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST, MOST_ENTRIES = 1e4, 600
"""What a value may hold; beyond, rounding would be all that is compared."""


@dataclass(frozen=True)
class Value:
    """A variable of the forward pass and its shape, without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Program:
    """The lines of a network. Every line is run on an example as soon as it is written, and left out if it fails.

    Attributes:
        inputs: the arguments of the forward pass.
        made: the lines of `__init__`.
        done: the lines of `forward`.
        values: all variables that steps may read.
        is_fixed: the share of sizes that stand as numbers in the text instead of being taken from a shape.
    """

    rng: random.Random
    inputs: dict[str, Tensor]
    is_fixed: float = 0.0
    made: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    answer: str = ""

    def __post_init__(self) -> None:
        self._owner = nn.Module().eval()
        self._names = _names() | {"self": self._owner} | self.inputs
        self.values = [
            Value(name, tuple(one.shape[1:])) for name, one in self.inputs.items() if one.is_floating_point()
        ]

    def own(self, expression: str) -> str:
        """A new attribute of the network: a module, or a parameter."""
        name = f"self.m{len(self.made)}"
        self.made.append(f"{name} = {expression}")
        exec(self.made[-1], self._names)
        self._owner.double().eval()
        return name

    def weight(self, *shape: int) -> str:
        """A new parameter."""
        return self.own(f"nn.Parameter(torch.randn{shape} / {max(1, math.prod(shape[1:])) ** 0.5:.3g})")

    def size(self, value: Value, dim: int) -> str:
        """The size of a dimension (from 1) as the text has it: a number, or what the shape says."""
        return str(value.shape[dim - 1]) if self.rng.random() < self.is_fixed else f"{value.name}.shape[{dim}]"

    def dim(self, value: Value) -> int:
        """A dimension that is not the batch."""
        return self.rng.randint(1, len(value.shape))

    def recent(self) -> Value:
        """A value, rather one of the last."""
        return self.values[-min(len(self.values), 1 + int(self.rng.expovariate(1.0)))]

    def like(self, value: Value) -> Value:
        """Another value of the same shape; the value itself if there is none."""
        return self.rng.choice([one for one in self.values if one.shape == value.shape and one != value] or [value])

    def put(self, expression: str) -> Value:
        """A new variable; `{}` in the text is its name, for statements of several lines."""
        name = f"v{len(self.done)}"
        line = expression.replace("{}", name) if "{}" in expression else f"{name} = {expression}"
        with torch.no_grad():
            exec(line, self._names)
        found = self._names[name]
        if not _is_fine(found, next(iter(self.inputs.values())).shape[0]):
            raise ValueError("not a value to go on with")
        self.done.append(line)
        self.values.append(Value(name, tuple(found.shape[1:])))
        return self.values[-1]

    def attempt(self, step: Any) -> bool:
        """Do a step, or leave everything as it was."""
        before = len(self.made), len(self.done), len(self.values)
        try:
            expression = step(self, self.recent())
            if expression:
                self.put(expression)
        except Exception:  # whatever PyTorch says to shapes that do not fit
            del self.made[before[0] :], self.done[before[1] :], self.values[before[2] :]
            return False
        return True

    @property
    def source(self) -> str:
        """The text of the class `Network`."""
        lines = ["class Network(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        lines += [f"        {line}" for line in self.made]
        lines += ["", f"    def forward(self, {', '.join(self.inputs)}):"]
        lines += [f"        {part}" for line in self.done for part in line.split("\n")]
        return "\n".join([*lines, f"        return {self.answer}", ""])

    def build(self) -> nn.Module:
        """The network, in float64 and evaluation mode; its numbers depend on the generator of PyTorch."""
        names = _names()
        exec(self.source, names)
        return names["Network"]().double().eval()

    def example(self, batch: int) -> Tensor | dict[str, Tensor]:
        """New inputs."""
        made = {
            name: torch.randn(batch, *one.shape[1:], dtype=one.dtype)
            if one.is_floating_point()
            else torch.randint(0, 7, (batch, *one.shape[1:]))
            for name, one in self.inputs.items()
        }
        return made if len(made) > 1 else made["x"]


def write(seed: int, layers: Any, operations: Any) -> Program:
    """Write a random network.

    Args:
        seed: of its text.
        steps: what it is made of: functions of a program and a value that return the text of the next value.
    """
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = rng.choice([(6,), (9,), (5, 4), (6, 8), (3, 6, 6), (4, 4, 8)])
        inputs = {"x": torch.randn(2, *shape, dtype=torch.float64)}
        if rng.random() < 0.2:
            inputs["tokens"] = torch.randint(0, 7, (2, rng.choice([3, 6])))
        found = Program(rng, inputs, is_fixed=rng.choice([0.0, 0.0, 0.3, 1.0]))
        for number in range(rng.randint(3, 12)):
            for _ in range(20):
                if found.attempt(rng.choice(layers if number == 0 or rng.random() < 0.5 else operations)):
                    break
        _finish(found)
    return found


def _finish(found: Program) -> None:
    """One to three answers, most of them read by a linear layer."""
    rng, answers = found.rng, []
    text = "\n".join(found.done)
    unread = [one for one in found.values[:-1] if len(re.findall(rf"\b{one.name}\b", text)) == 1]
    others = unread[-2:] if unread else rng.sample(found.values, min(len(found.values), rng.choice([0, 0, 0, 1])))
    for value in [found.values[-1], *others]:
        name = value.name
        if rng.random() < 0.9 and value.shape and value.shape[-1]:
            name = f"{found.own(f'nn.Linear({value.shape[-1]}, 2)')}({name})"
        answers.append(name)
    text = ", ".join(answers)
    mapping = ", ".join(f"'out{number}': {name}" for number, name in enumerate(answers))
    found.answer = answers[0] if len(answers) == 1 else rng.choice([f"({text})", f"{{{mapping}}}", f"[{text}]"])


def _is_fine(found: Any, batch: int) -> bool:
    return (
        isinstance(found, Tensor)
        and found.dtype == torch.float64
        and 2 <= found.dim() <= 5
        and found.shape[0] == batch
        and 0 < found.numel() <= MOST_ENTRIES * batch
        and bool(found.isfinite().all())
        and float(found.abs().max()) < LARGEST
    )


def _names() -> dict[str, Any]:
    return {"torch": torch, "nn": nn, "F": F, "math": math, "__name__": __name__}
