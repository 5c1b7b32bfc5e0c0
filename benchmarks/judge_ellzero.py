"""Prune one network of the zoo with ellzero, without any configuration, and judge what comes out.

    python benchmarks/judge_ellzero.py NAME

Prints one JSON object. A random half of every group of channels goes.
"""

import copy
import json
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

import ellzero as l0
import networks
from ellzero.graph import Costs, Layout, Target, settle
from judge import judge, message, peak
from networks.calls import call


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model, example = networks.build(sys.argv[1])
    original = copy.deepcopy(model)
    call(model, example)
    l0.trace(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), torch.zeros(1, 2))  # what PyTorch loads on first use
    before = peak()
    found: dict[str, Any] = {"version": version("ellzero")}
    try:
        found |= measure(original, model, example, before)
    except Exception as error:  # whatever it raises is what its user would see
        found |= {"verdict": "crash", "why": message(error), "params_removed": 0.0}
    print(json.dumps(found))


def measure(original: nn.Module, model: nn.Module, example: Any, before: int) -> dict[str, Any]:
    """Trace, plan, prune and judge; or say why nothing can be pruned."""
    start = time.perf_counter()
    channels = l0.trace(model, example)
    plan = half(channels) if channels.gated else l0.Plan({})
    found: dict[str, Any] = {"seconds": time.perf_counter() - start, "memory_mb": (peak() - before) / 2**20}
    found |= {"gates": channels.num_gates, "groups": len(channels.gated)}
    if not channels.gated:
        reasons = sorted({group.reason for group in channels.kept})
        return found | {"verdict": "kept", "why": "; ".join(reasons), "params_removed": 0.0, "params_removable": 0.0}
    gated = l0.Gated(model, example).eval()
    with torch.no_grad():
        gated.log_odds.fill_(20.0)  # so far open that the gate is exactly one, and no weight changes
    small = l0.prune(gated, plan=plan)
    return found | judge(original, small, example) | {"params_removable": removable(channels)}


def half(channels: l0.Channels) -> l0.Plan:
    """Shut a random half of every group."""
    layout = Layout.of(channels)
    scores = torch.rand(layout.num_gates, generator=torch.Generator().manual_seed(0))
    is_open = torch.ones(layout.num_gates, dtype=torch.bool)
    for _, place in layout.slices():
        is_open[place] = scores[place] > scores[place].median()
    return l0.Plan.of(layout, settle(layout, scores, is_open))


def removable(channels: l0.Channels) -> float:
    """The share of the parameters that goes when everything is shut that may be."""
    layout = Layout.of(channels)
    costs = Costs(layout, [Target("params")])
    scores = torch.zeros(layout.num_gates)
    return 1 - costs.exact(settle(layout, scores, scores > 0))[0] / costs.full[0]


if __name__ == "__main__":
    main()
