"""Random problems with everything that can go wrong in them, against brute force over all supports.

`ELLZERO_FUZZ=10000 pytest tests/dictionary/regression/test_fuzz.py` looks at more of them.
"""

import itertools
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ellzero.dictionary import best_subset

_NUM = int(os.environ.get("ELLZERO_FUZZ", "200"))

_RANK = 1e-10  # singular values below this part of the largest are rounding errors
_LOOSE = 1e-6  # of a residual
_ROUNDING = 1e-11  # of an energy


@pytest.mark.parametrize("block", range(_NUM // 25))
def test_whatever_the_problem_what_comes_back_is_what_it_says(block):
    said = []
    for seed in range(25 * block, 25 * (block + 1)):
        answer, wrong = complaints(hostile(seed))
        assert not wrong, f"seed {seed}: {wrong}"
        said.append(answer)
    assert sum(not answer.startswith("refused") for answer in said) > 12


@dataclass
class Problem:
    """Data and options of `best_subset`."""

    x: Any
    y: Any
    options: dict[str, Any]


def hostile(seed: int) -> Problem:
    """Few or many samples; columns alike, dependent, zero, constant, far apart in scale; every option now and then."""
    rng = np.random.default_rng(seed)
    p, targets = int(rng.integers(2, 7)), int(rng.integers(1, 3))
    n = int(rng.integers(3, 12)) if rng.random() < 0.4 else int(rng.integers(12, 50))
    x = rng.normal(size=(n, p))
    if rng.random() < 0.4:
        x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, p)) + 10 ** rng.uniform(-5, 0) * x
    y = x @ (rng.normal(size=(p, targets)) * (rng.random((p, targets)) < 0.6)) + rng.normal(size=(n, targets)) * (
        rng.random() < 0.9
    )
    intercept = bool(rng.random() < 0.5)
    for _ in range(int(rng.integers(0, 3))):
        a, b, c = rng.integers(0, p, 3)
        kinds = [x[:, b] * rng.choice([1, -2]), x[:, b] + x[:, c], np.zeros(n), np.full(n, rng.choice([2.0, -1e3]))]
        x[:, a] = kinds[rng.integers(0, 4)]
    if rng.random() < 0.3:
        x = x + rng.normal(size=p) * intercept
    if rng.random() < 0.4:
        x = x * 10 ** rng.uniform(-8, 8, p)
        y = y * 10 ** rng.uniform(-8, 8, targets)
    options: dict[str, Any] = {"intercept": intercept, "terms": int(rng.integers(1, p + 1))}
    if targets > 1:
        options["outputs"] = str(rng.choice(["separate", "shared", "total"]))
    if rng.random() < 0.25:
        options["always"] = sorted({int(i) for i in rng.integers(0, p, int(rng.integers(1, 3)))})
    if rng.random() < 0.25:
        options["costs"] = rng.choice([1.0, 1.5, 2.0, 3.0], p)
    if rng.random() < 0.25:
        order = rng.permutation(p)
        cut = int(rng.integers(1, p + 1))
        options["groups"] = [part.tolist() for part in np.array_split(order[:cut], 2) if len(part)]
    if rng.random() < 0.3:
        weights = rng.choice([0.0, 1.0, 2.0], n) if rng.random() < 0.5 else rng.uniform(0, 2, n)
        options["weights"] = weights if weights.sum() > 0 else np.ones(n)
    if rng.random() < 0.15:
        options["ridge"] = float(10 ** rng.uniform(-3, 0.5))
    if rng.random() < 0.05:
        options["gates"] = 1
    return Problem(x, y, options | {"depth": int(rng.integers(1, 3)), "starts": int(rng.integers(1, 4))})


def complaints(problem: Problem, *, seconds: float = 10.0) -> tuple[str, list[str]]:
    """What `best_subset` says, and what is wrong with what it returns."""
    try:
        found = best_subset(problem.x, problem.y, seconds=seconds, **problem.options)
    except ValueError as error:
        return f"refused: {error}", []
    x, y, options = problem.x, problem.y, problem.options
    unit, target, weights, energy = _prepared(problem)
    support, coefficients = found.support.numpy(), found.coefficients.numpy()
    errors = y - x @ coefficients.T - found.intercept.numpy()
    wrong = []
    for index in range(y.shape[1]):
        chosen, residual = support[index].nonzero()[0], float(found.residual[index])
        slack = _LOOSE * residual + _ROUNDING * energy[index]
        if abs(weights @ errors[:, index] ** 2 - residual) > slack:
            wrong.append(f"target {index}: residual {residual} is not that of the coefficients")
        if abs(objective(unit, target[:, index], chosen) - residual) > slack:
            wrong.append(f"target {index}: not least squares on {chosen}")
        if set(coefficients[index].nonzero()[0]) - set(chosen):
            wrong.append(f"target {index}: coefficients outside the support")
        if "groups" not in options:
            free = np.setdiff1d(chosen, options.get("always", []))
            ranks = [np.linalg.matrix_rank(unit[:, some], 1e-8) for some in (chosen, np.setdiff1d(chosen, free))]
            if ranks[0] - ranks[1] < len(free) and "ridge" not in options:
                wrong.append(f"target {index}: {chosen} depend on each other")
    wrong += _beyond_options(options, support)
    reached_by = _reached(problem, unit, target, energy, support)
    scales = _scales(problem, energy)
    for known, reached, least, scale in zip(
        found.certificate, reached_by, best_by_brute_force(problem), scales, strict=True
    ):
        if known.verdict == "optimal" and reached > least * (1 + _LOOSE) + _ROUNDING * scale:
            wrong.append(f"certified {reached}, brute force finds {least}")
        if known.verdict == "gap" and known.bound > least * (1 + _LOOSE) + _ROUNDING * scale:
            wrong.append(f"bound {known.bound} is above {least}")
    return ",".join(known.verdict for known in found.certificate), wrong


def objective(unit: Any, target: Any, support: Any, ridge: float = 0.0) -> float:
    """Sum of squares that a support leaves, with the ridge."""
    columns = unit[:, list(support)]
    if ridge > 0:
        columns = np.concatenate([columns, ridge**0.5 * np.eye(columns.shape[1])])
        target = np.concatenate([target, np.zeros(columns.shape[1])])
    if not columns.shape[1]:
        return float(target @ target)
    return float(np.sum((target - columns @ np.linalg.lstsq(columns, target, rcond=_RANK)[0]) ** 2))


def best_by_brute_force(problem: Problem) -> list[float]:
    """The least objective of each system, over all supports that the options allow."""
    unit, target, _, energy = _prepared(problem)
    options, p = problem.options, problem.x.shape[1]
    costs, ridge = np.asarray(options.get("costs", np.ones(p)), float), options.get("ridge", 0.0)
    groups = [list(group) for group in options.get("groups", [])]
    groups += [[j] for j in range(p) if not any(j in group for group in groups)]
    options_of: list[list[tuple[float, Any]]] = []
    for taken in itertools.product([False, True], repeat=len(groups)):
        chosen = sorted(itertools.chain(*itertools.compress(groups, taken)))
        if set(options.get("always", [])) <= set(chosen):
            values = [objective(unit, one, chosen, ridge) for one in target.T]
            options_of.append((float(costs[chosen].sum()), np.array(values)))
    budget = options["terms"] * (1 + 1e-9)
    if options.get("outputs") == "total":
        parts = [
            [(cost, values[i] / energy[i] if energy[i] > 0 else 0.0) for cost, values in options_of] for i in (0, 1)
        ]
        parts = [[(c, min(v for d, v in part if d <= c)) for c in sorted({c for c, _ in part})] for part in parts]
        return [min(a + b for c, a in parts[0] for d, b in parts[1] if c + d <= budget)]
    affordable = [values for cost, values in options_of if cost <= budget]
    if options.get("outputs") == "shared":
        return [min(float(values.sum()) for values in affordable)]
    return [min(float(values[i]) for values in affordable) for i in range(target.shape[1])]


def _prepared(problem: Problem) -> tuple[Any, Any, Any, Any]:
    """Weighted, centred columns of length one, targets, weights and energies."""
    weights = np.asarray(problem.options.get("weights", np.ones(len(problem.x))), float)
    x, y = problem.x, problem.y
    plain = np.sqrt(weights @ x**2)
    if problem.options["intercept"]:
        x, y = (part - weights @ part / weights.sum() for part in (x, y))
    x, y = (part * np.sqrt(weights)[:, None] for part in (x, y))
    lengths = np.linalg.norm(x, axis=0)
    is_present = lengths > 1e-12 * plain
    return x * is_present / np.where(is_present, lengths, 1), y, weights, np.sum(y**2, 0)


def _beyond_options(options: dict[str, Any], support: Any) -> list[str]:
    p = support.shape[1]
    costs = np.asarray(options.get("costs", np.ones(p)))
    spent = support @ costs
    spent = [spent.sum()] if options.get("outputs") == "total" else spent
    wrong = [f"costs {spent}"] if max(spent) > options["terms"] * (1 + 1e-9) else []
    if not support[:, options.get("always", [])].all():
        wrong.append("a column of always is missing")
    if any(len(set(row[group])) > 1 for row in support for group in options.get("groups", [])):
        wrong.append("a group is torn apart")
    return wrong


def _reached(problem: Problem, unit: Any, target: Any, energy: Any, support: Any) -> list[float]:
    """The objective of each system, at the supports that were returned."""
    ridge, outputs = problem.options.get("ridge", 0.0), problem.options.get("outputs")
    each = [objective(unit, one, row.nonzero()[0], ridge) for one, row in zip(target.T, support, strict=True)]
    if outputs == "total":
        return [sum(value / size if size > 0 else 0.0 for value, size in zip(each, energy, strict=True))]
    return [sum(each)] if outputs == "shared" else each


def _scales(problem: Problem, energy: Any) -> list[float]:
    outputs = problem.options.get("outputs")
    return [1.0] if outputs == "total" else [float(energy.sum())] if outputs == "shared" else list(energy)
