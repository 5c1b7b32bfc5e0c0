"""Time of tracing and planning, against torch-pruning in the same run, and how it grows with depth and width.

    python benchmarks/trace_time.py

Both do the same job: find the groups, and choose a random half of every one. ellzero traces, shuts half of every group
and counts what is left; torch-pruning makes a pruner with a random importance and a ratio of one half, and lists what
it would prune (`step(interactive=True)`). How long its dependency graph and list of groups take, without choosing, is a
second figure. Each pair of tool and network has a process of its own, on one thread, in which PyTorch is imported and
the network has run. Cold is what the tool takes there from its import to the end of the first time; warm is the median
of the next three. PyTorch's compiler, which fake tensors load, and any optimizer too, is timed in a process of its own.
Times are those of the processor, so that other jobs of the machine count for less. Results go to
`benchmarks/results/trace_time.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from judge import peak
from peer import python_of_peer
from shapes import SHAPES

RESULTS = Path(__file__).parent / "results" / "trace_time.json"
SECONDS = 300
"""What a tool may take for one network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="NAME")
    parser.add_argument("--tools", nargs="+", choices=ACTIONS, default=list(ACTIONS))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--once", nargs=2, metavar=("TOOL", "NAME"), help="measure one pair in this process")
    parser.add_argument(
        "--compiler", action="store_true", help="how long an optimizer takes to load it, in this process"
    )
    options = parser.parse_args()
    if options.compiler:
        print(json.dumps(of_compiler()))
        return
    if options.once:
        tool, name = options.once
        print(json.dumps(ACTIONS[tool](*SHAPES[name]())))
        return
    found = json.loads(options.out.read_text())["networks"] if options.out.exists() else {}
    pythons = {tool: sys.executable if tool == "ellzero" else python_of_peer(options.cache) for tool in options.tools}
    for name in options.names:
        for tool in options.tools:
            found.setdefault(name, {})[tool] = result = asked(pythons[tool], "--once", tool, name)
            print(f"{name:20} {tool:14} {result}", flush=True)
    found = {name: found[name] for name in SHAPES if name in found}
    compiler = asked(sys.executable, "--compiler")["compiler_seconds"]
    setting = {"threads": 1, "clock": "processor", "limit_seconds": SECONDS, "torch": torch.__version__}
    setting |= {"compiler_seconds": compiler}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"setting": setting, "networks": found}, indent=1) + "\n")


def asked(python: Path | str, *words: str) -> dict[str, Any]:
    """What one tool takes for one network, in a process of its own; or why it does not."""
    command = [python, __file__, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return {"failure": f"does not end within {SECONDS} s"}
    if done.returncode:
        return {"failure": done.stderr.strip().splitlines()[-1][:200]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def of_compiler() -> dict[str, float]:
    """Seconds that the first optimizer of a process takes: PyTorch loads its compiler then, if nothing else has."""
    start = time.process_time()
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    return {"compiler_seconds": time.process_time() - start}


def run(model: nn.Module, example: Any) -> None:
    """Let it run once, so that neither tool pays for what PyTorch prepares."""
    torch.set_num_threads(1)
    model.eval()
    with torch.no_grad():
        model(**example) if isinstance(example, dict) else model(example)


def measure(
    action: Callable[[nn.Module, Any], int], model: nn.Module, example: Any, *, imported: float = 0.0
) -> dict[str, float]:
    """Seconds of an action on a network that has run before, and what memory it takes beyond that."""
    before, seconds = peak(), []
    for _ in range(4):
        start = time.process_time()
        groups = action(model, example)
        seconds.append(time.process_time() - start)
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "groups": groups,
        "cold_seconds": imported + seconds[0],
        "import_seconds": imported,
        "seconds": statistics.median(seconds[1:]),
        "memory_mb": (peak() - before) / 2**20,
    }


def of_ellzero(model: nn.Module, example: Any) -> dict[str, float]:
    """Trace, shut half of every group, count."""
    run(model, example)
    start = time.process_time()
    import ellzero as l0

    imported = time.process_time() - start
    from ellzero.graph import Costs, Layout, Target
    from judge_ellzero import half

    def action(model: nn.Module, example: Any) -> int:
        channels = l0.trace(model, example)
        layout = Layout.of(channels)
        Costs(layout, [Target("params"), Target("macs")]).exact(half(channels).open_gates(layout))
        return len(channels.gated)

    return measure(action, model, example, imported=imported)


def of_torch_pruning(model: nn.Module, example: Any) -> dict[str, float]:
    """List what a pruner of random importance would prune; and the graph and its groups alone."""
    run(model, example)
    start = time.process_time()
    import torch_pruning

    imported = time.process_time() - start
    warnings.simplefilter("ignore")

    def action(model: nn.Module, example: Any) -> int:
        importance = torch_pruning.importance.RandomImportance()
        pruner = torch_pruning.pruner.BasePruner(model, example, importance=importance, pruning_ratio=0.5)
        return len(list(pruner.step(interactive=True)))

    def graph_alone(model: nn.Module, example: Any) -> int:
        graph = torch_pruning.DependencyGraph().build_dependency(model, example)
        return len(list(graph.get_all_groups()))

    found = measure(action, model, example, imported=imported)
    return found | {"graph_seconds": measure(graph_alone, model, example)["seconds"]}


ACTIONS = {"ellzero": of_ellzero, "torch_pruning": of_torch_pruning}

if __name__ == "__main__":
    main()
