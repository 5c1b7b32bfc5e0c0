"""Prune one network of the zoo with torch-pruning, as its documentation tells, and judge what comes out.

    python benchmarks/judge_torch_pruning.py NAME

Runs in an environment of its own (`peer.py`), without ellzero, and prints one JSON object. Half of the channels go, by
magnitude; no head counts or groups are given, and the layers that make the answer are ignored.
"""

import copy
import json
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

import networks
from judge import judge, message, peak
from networks.calls import answers, call


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model, example = networks.build(sys.argv[1])
    original = copy.deepcopy(model)
    call(model, example)
    prune(nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 2)), torch.zeros(1, 2))  # what is loaded on first use
    before = peak()
    found: dict[str, Any] = {"version": version("torch-pruning")}
    start = time.perf_counter()
    try:
        prune(model, example)
        found |= {"seconds": time.perf_counter() - start, "memory_mb": (peak() - before) / 2**20}
        found |= judge(original, model, example)
    except Exception as error:  # whatever it raises is what its user would see
        found |= {"verdict": "crash", "why": message(error), "params_removed": 0.0}
    print(json.dumps(found))


def prune(model: nn.Module, example: Any) -> None:
    """As in the documentation's first example."""
    pruner = torch_pruning.pruner.BasePruner(
        model,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=output_layers(model, example),
        output_transform=answers,
    )
    pruner.step()


def output_layers(model: nn.Module, example: Any) -> list[nn.Module | nn.Parameter]:
    """The layers, or bare parameters, that come last before each answer, found by walking back from it."""
    owners = {id(parameter): owner for owner in model.modules() for parameter in owner.parameters(recurse=False)}
    last: dict[int, Any] = {}
    waiting = [tensor.grad_fn for tensor in call(model, example)]
    seen = {None}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        weights = [weight for weight in _weights(node) if weight.dim() > 1]
        last |= {id(weight): weight for weight in weights}
        waiting += [] if weights else [following for following, _ in node.next_functions]
    layers = (nn.Linear, nn.modules.conv._ConvNd)
    return [owners[key] if isinstance(owners.get(key), layers) else weight for key, weight in last.items()]


def _weights(node: Any) -> list[Tensor]:
    """The parameters that an operation reads directly, or through one transposition."""
    nodes = [following for following, _ in node.next_functions if following is not None]
    turns = [one for one in nodes if one.name() in ("TBackward0", "TransposeBackward0", "PermuteBackward0")]
    nodes += [further for one in turns for further, _ in one.next_functions if further is not None]
    return [one.variable for one in nodes if hasattr(one, "variable")]


if __name__ == "__main__":
    main()
