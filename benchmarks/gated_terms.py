"""Right terms that gates leave of the Lorenz system, by how the coefficients start, and after the exact stage.

    python benchmarks/gated_terms.py

2,000 states drawn at random, their derivatives with white noise of 0.1, all polynomials of degree three, seven terms in
all; five seeds of the noise and of the states. Prints how many of the seven terms are right and the mean squared error.
"""

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor

import ellzero as l0
from ellzero.dictionary import SparseDictionary, polish, polynomial

CANDIDATES = polynomial("x y z", 3)
LAW = {("x'", "x"), ("x'", "y"), ("y'", "x"), ("y'", "y"), ("y'", "x z"), ("z'", "z"), ("z'", "x y")}
STEPS = 2000


def main() -> None:
    torch.set_num_threads(1)
    print("start | right terms after gates | error | right terms after polish | error")
    for start in ("zero", "least squares"):
        rows = [run(seed, start) for seed in range(5)]
        print(start, *(shown(column) for column in zip(*rows, strict=True)), sep=" | ")


def run(seed: int, start: str) -> tuple[float, float, float, float]:
    """Right terms and error, after gates and after the exact stage."""
    x, y = samples(seed)
    torch.manual_seed(seed)
    model = SparseDictionary(CANDIDATES, 3, per_output=True, targets=["x'", "y'", "z'"])
    model.normalise(x)
    if start == "least squares":
        model.refit(x, y)
    gated = l0.Gated(model, x[:1])
    budget = l0.Budget(gated, terms=7, steps=STEPS)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=0.03, gate_lr=0.03))
    for _ in range(STEPS):
        loss = (gated(x) - y).square().mean() + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    small = l0.prune(gated, budget)
    assert isinstance(small, SparseDictionary)
    small.refit(x, y)
    found = polish(small, x, y, CANDIDATES, terms=7)
    return (*judged(small, x, y), *judged(found, x, y))


def samples(seed: int) -> tuple[Tensor, Tensor]:
    """States and noisy derivatives."""
    generator = torch.Generator().manual_seed(seed)
    x = 1.2 * torch.randn(2000, 3, generator=generator)
    a, b, c = x.unbind(1)
    rates = torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)
    return x, rates + 0.1 * torch.randn(2000, 3, generator=generator)


def judged(model: SparseDictionary, x: Tensor, y: Tensor) -> tuple[float, float]:
    """How many terms are right, and the mean squared error."""
    equations = model.equations()
    names = equations.dictionary.names
    rows = zip(equations.targets, equations.coefficients, strict=True)
    terms = {(target, name) for target, row in rows for name, value in zip(names, row, strict=True) if value}
    with torch.no_grad():
        return len(terms & LAW), float((model(x) - y).square().mean())


def shown(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
