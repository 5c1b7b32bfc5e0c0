"""Put the measured tables into README and documentation, between their markers.

    python benchmarks/tables.py

Reads `benchmarks/results/*.json` only; a table whose results are missing is left as it is.
"""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipe_table import markdown
from tables_of_equations import SOURCES_OF_EQUATIONS, TABLES_OF_EQUATIONS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = tuple(ROOT / name for name in ("README.md", "docs/benchmarks.md", "docs/regression.md", "docs/tutorial.md"))
TOOLS = {"ellzero": "ellzero", "torch_pruning": "torch-pruning"}
NAMES = {"mnist-lenet5": "LeNet-5-Caffe", "mnist-mlp": "MLP 784-300-100"}


def main() -> None:
    tables: dict[str, Callable[[Any], str]] = {
        "mnist": mnist,
        "reach": reach,
        "step_time": step_time,
        "surgery": surgery,
        "latency": latency,
        "planning": planning,
        "zoo": zoo,
        "zoo_sums": zoo_sums,
        "trace_time": trace_time,
        **TABLES_OF_EQUATIONS,
    }
    sources = {"reach": "mnist", "zoo_sums": "zoo", **SOURCES_OF_EQUATIONS}
    for page in PAGES:
        text = page.read_text()
        for name, table in tables.items():
            source = RESULTS / f"{sources.get(name, name)}.json"
            if source.exists():
                filled = f"<!-- {name} -->\n{table(json.loads(source.read_text()))}\n<!-- end -->"
                text = re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _, new=filled: new, text, flags=re.DOTALL)
        page.write_text(text)


def mnist(runs: list[dict[str, Any]]) -> str:
    """Error and true size of what was delivered."""
    head = ["network", "target", "controller", "parameters kept", "multiply-adds kept", "test error", "widths (seed 0)",
            "seeds"]  # fmt: skip
    rows = []
    for (recipe, target, controller), group in grouped(runs):
        widths = next((in_order(run["widths"]) for run in group if run["seed"] == 0 and "widths" in run), [])
        sizes = [percent([run[key] for run in group]) for key in ("params", "macs", "error")]
        named = [NAMES[recipe], f"{target:.1%}" if target else "dense", controller or ""]
        rows.append([*named, *sizes, "-".join(map(str, widths)), str(len(group))])
    return markdown(head, rows)


def reach(runs: list[dict[str, Any]]) -> str:
    """Expected size at two thirds of the run against the target."""
    head = ["network", "target", "controller", "expected at two thirds", "expected at the end", "delivered", "seeds"]
    rows = []
    for (recipe, target, controller), group in grouped(runs):
        if target:
            keys = ("expected_at_two_thirds", "expected_at_end", "params")
            sizes = [percent([run[key] for run in group]) for key in keys]
            rows.append([NAMES[recipe], f"{target:.1%}", controller, *sizes, str(len(group))])
    return markdown(head, rows)


def step_time(found: dict[str, Any]) -> str:
    """Gated against plain step."""
    head = ["network", "plain step", "gated step", "ratio, median", "range", "runs"]
    rows = [
        [name, f"{case['plain_ms']:.2f} ms", f"{case['gated_ms']:.2f} ms", f"{case['ratio']:.2f}",
         f"{case['ratio_range'][0]:.2f} to {case['ratio_range'][1]:.2f}", str(case["runs"])]
        for name, case in found["cases"].items()
    ]  # fmt: skip
    return markdown(head, rows)


def surgery(found: dict[str, Any]) -> str:
    """Tracing and pruning a large network."""
    labels = {
        "trace_seconds": "tracing, cold (s)",
        "prune_seconds": "pruning and verifying (s)",
        "extra_memory_over_weights": "peak memory beyond the network, in weights",
    }
    rows = [[labels[key], *(f"{value:.2f}" for value in found["min_median_max"][key])] for key in labels]
    return markdown(["ResNet-50 size, 25.6 M parameters", "least", "median", "most"], rows)


def latency(found: dict[str, Any]) -> str:
    """How many times faster than the dense network each variant is."""
    head = ["network", "dense", "zeroed weights", "run-time masks", "pruned", "multiples of 8", "multiply-adds predict"]
    rows = []
    for name, variants in found["networks"].items():
        cells = [spread(variants[key]["faster"]) for key in ("zeroed", "masked", "pruned", "rounded")]
        macs = {key: variant["macs"] for key, variant in variants.items()}
        predicted = " and ".join(f"{macs['dense'] / macs[key]:.2f}" for key in ("pruned", "rounded"))
        rows.append([name, f"{variants['dense']['milliseconds']:.2f} ms", *cells, predicted])
    return markdown(head, rows)


def spread(quartiles: list[float]) -> str:
    """Median, and the quartiles around it."""
    low, median, high = quartiles
    return f"{median:.2f}x ({low:.2f} to {high:.2f})"


def planning(found: dict[str, Any]) -> str:
    """Tracing and planning without weights."""
    head = ["layers", "width", "parameters", "kept", "tracing", "planning", "peak memory", "of it before tracing"]
    rows = [
        [str(case["layers"]), f"{case['width']:,}", f"{case['params'] / 1e9:.2f} billion",
         f"{case['params_kept'] / case['params']:.2%}", f"{case['trace_seconds']:.1f} s",
         f"{case['plan_seconds']:.2f} s", f"{case['peak_mb']:.0f} MB", f"{case['before_mb']:.0f} MB"]
        for case in found["cases"]
    ]  # fmt: skip
    return markdown(head, rows)


def zoo_sums(found: dict[str, Any]) -> str:
    """How often each verdict fell."""
    verdicts = ("right", "kept", "nothing removed", "wrong", "crash")
    rows = []
    for tool, shown in TOOLS.items():
        fallen = [case[tool]["verdict"] for case in found["networks"].values() if tool in case]
        version = next((case[tool]["version"] for case in found["networks"].values() if "version" in case[tool]), "")
        rows.append([f"{shown} {version}", *(str(fallen.count(verdict)) for verdict in verdicts), str(len(fallen))])
    return markdown(["tool", *verdicts, "networks"], rows)


def zoo(found: dict[str, Any]) -> str:
    """Network by network: verdicts, what can go, and what it took."""
    head = ["network", "ellzero", "gates", "parameters that can go", "time", "memory",
            "torch-pruning", "why", "time", "memory"]  # fmt: skip
    rows = []
    for name, case in found["networks"].items():
        own, peer = (case.get(tool, {}) for tool in TOOLS)
        share = f"{own['params_removable']:.0%}" if "params_removable" in own else ""
        row = [name, own.get("verdict", ""), str(own.get("gates", "")), share, *effort(own)]
        rows.append([*row, peer.get("verdict", ""), code(peer.get("why", "")), *effort(peer)])
    return markdown(head, rows)


def trace_time(found: dict[str, Any]) -> str:
    """Seconds to trace and plan, in a new process and afterwards, side by side."""
    head = ["network", "parameters", "ellzero, cold", "torch-pruning, cold", "ellzero, warm", "torch-pruning, warm",
            "its graph alone", "ellzero, memory", "torch-pruning, memory"]  # fmt: skip
    rows = []
    for name, case in found["networks"].items():
        size = next((f"{case[tool]['params'] / 1e6:.1f} M" for tool in TOOLS if "params" in case.get(tool, {})), "")
        row = [name, size]
        for key in ("cold_seconds", "seconds", "graph_seconds", "memory_mb"):
            for one in (case.get(tool, {}) for tool in (TOOLS if key != "graph_seconds" else ["torch_pruning"])):
                shown = f"{one[key]:.0f} MB" if key == "memory_mb" and key in one else f"{one.get(key, 0):.2f} s"
                row.append(shown if key in one else one.get("failure", "") if key == "cold_seconds" else "")
        rows.append(row)
    return markdown(head, rows)


def effort(one: dict[str, Any]) -> list[str]:
    """Time and memory of one tool on one network, if it came to an end."""
    return [f"{one['seconds']:.2f} s", f"{one['memory_mb']:.0f} MB"] if "seconds" in one else ["", ""]


def code(text: str) -> str:
    """An error message as it can stand in a table."""
    short = text if len(text) <= 90 else f"{text[:89]}…"
    return f"`{short.replace('|', '/').replace('`', '')}`" if short else ""


def grouped(runs: list[dict[str, Any]]) -> list[tuple[tuple[str, float, str], list[dict[str, Any]]]]:
    """Runs by network, target (0 for dense) and controller, in this order, the largest target first."""
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["recipe"], run["target"] or 0.0, run["controller"] or ""), []).append(run)
    return sorted(groups.items(), key=lambda item: (item[0][0], -(item[0][1] or 2), item[0][2]))


def in_order(widths: dict[str, int]) -> list[int]:
    """Widths as the data meet them: inputs first, flattened positions before the layer that reads them."""

    def place(name: str) -> tuple[int, bool]:
        reader = name.removesuffix(" inputs")
        return (-1 if name == "input" else list(widths).index(reader), name == reader)

    return [widths[name] for name in sorted(widths, key=place)]


def percent(values: list[float]) -> str:
    """Mean and standard deviation over seeds, in percent."""
    mean = f"{statistics.mean(values):.2%}"
    return mean if len(values) < 2 else f"{mean[:-1]} ± {statistics.stdev(values) * 100:.2f} %"


if __name__ == "__main__":
    main()
