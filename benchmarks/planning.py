"""Processor time and peak memory of tracing and planning networks of Llama's shape that have no weights.

    python benchmarks/planning.py

Needs transformers. Each measurement is made in a process of its own, from a cold start of the library. Memory is the
largest resident size of the process; that of the process before tracing, with everything imported and the network built
on the meta device, is given beside it. Results go to `benchmarks/results/planning.json`.
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

RESULTS = Path(__file__).parent / "results" / "planning.json"
LAYERS, WIDTH = 32, 4096
CASES = {
    "layers": [(num, WIDTH) for num in (8, 16, 32, 64)],
    "width": [(LAYERS, width) for width in (1024, 2048, 8192)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--once", type=int, nargs=2, metavar=("LAYERS", "WIDTH"), help="one case, in this process")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(*options.once, threads=options.threads)))
        return
    cases = []
    for num_layers, width in [case for group in CASES.values() for case in group]:
        command = [sys.executable, __file__, "--threads", str(options.threads), "--once", str(num_layers), str(width)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeat)]
        cases.append({key: statistics.median(run[key] for run in runs) for key in runs[0]})
        print(json.dumps(cases[-1]))
    setting = {"threads": options.threads, "repeat": options.repeat, "torch": torch.__version__, "share": 0.5}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"setting": setting, "cases": cases}, indent=1) + "\n")


def measure(num_layers: int, width: int, *, threads: int) -> dict[str, float]:
    """Seconds and memory; at 32 layers of width 4096 the shape is that of Llama 3 8B."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=width,
        intermediate_size=width * 7 // 2,
        num_hidden_layers=num_layers,
        num_attention_heads=width // 128,
        num_key_value_heads=width // 512,
    )
    with torch.device("meta"):
        network = LlamaForCausalLM(config)
    example = {"input_ids": torch.zeros(1, 16, dtype=torch.long), "use_cache": False}
    before = peak()
    start = time.process_time()
    channels = l0.trace(network, example)
    traced = time.process_time()
    plan = l0.make_plan(channels, params=0.5)
    planned = time.process_time()
    small = l0.cut_module(network, channels, plan)
    return {
        "layers": num_layers,
        "width": width,
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "params_kept": sum(parameter.numel() for parameter in small.parameters()),
        "channels": channels.num_gates,
        "trace_seconds": traced - start,
        "plan_seconds": planned - traced,
        "before_mb": before / 2**20,
        "peak_mb": peak() / 2**20,
    }


def peak() -> int:
    """Largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
