"""Tables of what was measured on equations: regression, dynamics, the pendulum."""

__all__ = ["SOURCES_OF_EQUATIONS", "TABLES_OF_EQUATIONS"]

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from pipe_table import markdown

PUBLISHED = {
    "transition": {
        "dense network": 8.0e-5, "gated network": 9.6e-5, "gates, polynomial": 2.4e-4, "gates, Fourier": 4.4,
        "gates, both": 4.4e-4,
    },
    "reward": {"dense network": 5.7e-5, "gated network": 3.9e-4, "gates, polynomial": 9.3e-2, "gates, both": 4.3e-2},
}  # fmt: skip
"""Test errors of Botteghi & Fasel (2024), read off their plots."""
NOTHING = {"error": 1.0, "exact": False}
"""What a method that failed on a system amounts to: no equations."""


def regression(found: dict[str, Any]) -> str:
    """Exact supports and times, method by method."""
    rows = [
        [design, name, f"{method['exact']:.0%}", interval(method["ms"], " ms"), interval(method["times_abess"], "x", 2)]
        for design, result in found["designs"].items()
        for name, method in result["methods"].items()
    ]
    return markdown(["design", "method", "exact support", "time", "of abess's time"], rows)


def regression_truth(found: dict[str, Any]) -> str:
    """What the smallest residual says about the true support."""
    head = ["design", "truth is beaten: no least squares can be right", "truth is found, nothing beats it",
            "neither", "smallest residual over that of the truth"]  # fmt: skip
    rows = [
        [design, *(str(result["truth"][key]) for key in ("beaten", "found", "open")),
         interval(result["residual_over_truth"], "", 4)]
        for design, result in found["designs"].items()
    ]  # fmt: skip
    return markdown(head, rows)


def regression_exploration(found: dict[str, Any]) -> str:
    """Ways of exploring against each other."""
    rows = [
        [problem, name, f"{way['reached']} of {found['setting']['seeds']}", interval(way["ms"], " ms")]
        for problem, ways in found["exploration"].items()
        for name, way in ways.items()
    ]
    return markdown(["data", "search", "smallest residual reached", "time"], rows)


def bootstrap(found: dict[str, Any]) -> str:
    """Times and chances of ensembles."""
    rows = [
        [name, interval(one["ms"], " ms"), f"{one['least_true']:.2f}", f"{one['most_false']:.2f}"]
        for name, one in found["ensembles"].items()
    ]
    return markdown(["ensemble", "time", "least true", "most false"], rows)


def calibration(found: dict[str, Any]) -> str:
    """Calibration errors by method: altogether, and for each number of samples and columns, and noise."""
    parts = {key: values for key, values in found["setting"]["grid"].items() if key != "correlation"}
    head = ["terms chosen by", "error", "Brier", *(f"{key} {value}" for key in parts for value in parts[key])]
    rows = [
        [name, f"{one['error']:.3f}", f"{one['brier']:.3f}",
         *(f"{error:.2f}" for key in parts for error in one["parts"][key])]
        for name, one in found["methods"].items()
    ]  # fmt: skip
    return markdown(head, rows)


def reliability(found: dict[str, Any]) -> str:
    """What was stated, and how often it was so, bin by bin."""
    methods = found["methods"]
    num = len(next(iter(methods.values()))["reliability"])
    head = ["stated between", *(name for name in methods)]
    rows = [
        [f"{place / num:.1f} and {(place + 1) / num:.1f}",
         *(f"{one['reliability'][place][0]:.2f}: {one['reliability'][place][1]:.2f}" for one in methods.values())]
        for place in range(num)
    ]  # fmt: skip
    return markdown(head, rows)


def gates(found: dict[str, Any]) -> str:
    """Calibration errors and Brier scores of gates."""
    rows = [
        [name, f"{one['error']:.3f}", f"{one['brier']:.3f}"] for name, one in found["setting"]["calibration"].items()
    ]
    return markdown(["probabilities", "calibration error", "Brier score"], rows)


def interval(quartiles: list[float], unit: str, digits: int = 1) -> str:
    """Median, and the quartiles around it."""
    low, median, high = (f"{value:.{digits}f}" for value in quartiles)
    return f"{median}{unit} ({low} to {high})"


def lorenz(found: dict[str, Any]) -> str:
    """Exact systems by degree, noise and method."""
    methods = list(found["rows"][0]["found"])
    rows = []
    for row in found["rows"]:
        cells = [f"{one['exact'] / row['seeds']:.0%} ({one['error']:.0e})" for one in map(row["found"].get, methods)]
        rows.append([str(row["degree"]), f"{row['noise']:.0%}", *cells])
    return markdown(["degree", "noise", *methods], rows)


def chaos(found: dict[str, Any]) -> str:
    """Median error of the coefficients, and exact systems, by noise and method."""
    systems = found["systems"].values()
    levels = next(iter(systems)).keys()
    methods = list(next(iter(systems))["1.0"])
    rows = []
    for method in methods:
        cells = []
        for level in levels:
            results = [one[level].get(method, NOTHING) for one in systems]
            exact = sum(result["exact"] for result in results)
            cells.append(f"{statistics.median(result['error'] for result in results):.1e} ({exact} exact)")
        rows.append([method, *cells, str(len(results))])
    return markdown(["method", *(f"noise {level} %" for level in levels), "systems"], rows)


def pendulum(rows: list[dict[str, Any]], *, task: str) -> str:
    """Models of the pendulum with their numbers of terms, and what was published."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in rows:
        name = row.get("dictionary", "")
        is_idle = name.endswith(", clipped") and name != "polynomial, clipped"  # as without, or as the polynomial
        is_idle |= name.startswith("Fourier") and row.get("budget", 15) < 11  # hardly better than nothing
        if row["task"] == task and not is_idle:
            groups.setdefault((row["model"], name, row.get("budget", 0)), []).append(row)
    found = []
    for (model, name, budget), group in groups.items():
        sizes = sorted({row["terms"] for row in group})
        terms = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        candidates = f"{group[0]['candidates']}" if name else ""
        scores = [small_number([row[key] for row in group]) for key in ("validation", "test")]
        label = f"{model} of {budget}" if budget else model
        found.append([label, name, candidates, terms, *scores, str(len(group))])
    published = [
        [f"tutorial: {model}", "", "", "not reported", "", f"{error:.1e}", ""]
        for model, error in PUBLISHED[task].items()
    ]
    head = ["model", "dictionary", "candidates", "terms", "validation error", "test error", "seeds"]
    return markdown(head, [*sorted(found, key=_place), *published])


def _place(row: list[str]) -> tuple[Any, ...]:
    order = ("dense network", "gated network", "least squares", "best subset", "gates")
    return next(i for i, name in enumerate(order) if row[0].startswith(name)), row[1], len(row[0]), row[0]


def small_number(values: list[float]) -> str:
    """Mean and standard deviation over seeds of numbers that span decades."""
    mean = f"{statistics.mean(values):.2g}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1g}"


TABLES_OF_EQUATIONS: Mapping[str, Callable[[Any], str]] = MappingProxyType({
    "regression": regression,
    "regression_truth": regression_truth,
    "regression_exploration": regression_exploration,
    "bootstrap": bootstrap,
    "calibration": calibration,
    "reliability": reliability,
    "gates": gates,
    "lorenz": lorenz,
    "chaos": chaos,
    "pendulum_transition": partial(pendulum, task="transition"),
    "pendulum_reward": partial(pendulum, task="reward"),
})  # fmt: skip
SOURCES_OF_EQUATIONS: Mapping[str, str] = MappingProxyType({
    "regression_truth": "regression",
    "regression_exploration": "regression",
    "reliability": "calibration",
    "gates": "bootstrap",
    "pendulum_transition": "pendulum",
    "pendulum_reward": "pendulum",
})  # fmt: skip
"""Files of results, where they are not named like the table."""
