"""Time and peak memory of tracing, gating and pruning a network of ResNet-50's size.

    python benchmarks/surgery.py

Each repetition runs in a process of its own. Memory is the largest resident size beyond what the process held before
(the network itself included there), as a multiple of the weights. Results go to `benchmarks/results/surgery.json`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import ellzero as l0
from resnet50 import ResNet50

RESULTS = Path(__file__).parent / "results" / "surgery.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--once", action="store_true", help="one repetition, in this process")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.threads)))
        return
    command = [sys.executable, __file__, "--once", "--threads", str(options.threads)]
    runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeat)]
    summary = {key: [min(v), statistics.median(v), max(v)] for key in runs[0] if (v := [run[key] for run in runs])}
    RESULTS.parent.mkdir(exist_ok=True)
    setting = {"threads": options.threads, "repeat": options.repeat, "torch": torch.__version__}
    RESULTS.write_text(json.dumps({"setting": setting, "min_median_max": summary}, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


def measure(threads: int) -> dict[str, float]:
    """Seconds of each stage, from a cold start of the library, and memory in multiples of the weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network, example = ResNet50().eval(), torch.randn(1, 3, 224, 224)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    with torch.no_grad():
        network(example)
    before = peak()
    seconds = {}
    start = time.perf_counter()
    l0.trace(network, example)
    seconds["trace_seconds"] = time.perf_counter() - start
    gated = l0.Gated(network, example)
    with torch.no_grad():
        gated.log_odds.normal_(0, 4)
    budget = l0.Budget(gated, params=0.5)
    start = time.perf_counter()
    small = l0.prune(gated, budget)
    seconds["prune_seconds"] = time.perf_counter() - start
    share = sum(parameter.numel() for parameter in small.parameters()) * 4 / weights
    return {**seconds, "extra_memory_over_weights": (peak() - before) / weights, "params_kept": share}


def peak() -> int:
    """Largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
