"""The scoreboard: every network of the zoo, pruned by ellzero and by torch-pruning without configuration, in one run.

    python benchmarks/zoo.py
    python benchmarks/zoo.py --names LSTM ViT --tools ellzero

Each network is pruned in a process of its own, on one thread, with limits on time and memory. torch-pruning has an
environment of its own, made on first use under `--cache`. Results go to `benchmarks/results/zoo.json`;
`python benchmarks/tables.py` puts them into the documentation. Verdicts:

- right: it runs and computes what the dense network does with zeros in place of all that was removed, on the example
  and on another input;
- kept: nothing can be pruned, and the reasons are given;
- nothing removed: the tool reports success and has removed nothing;
- wrong: it computes something else, or another shape; nothing is raised;
- crash: the tool, or the network that it returns, raises an error or does not end.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from networks import NETWORKS
from peer import python_of_peer

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "zoo.json"
TOOLS = ("ellzero", "torch_pruning")
SECONDS, GIGABYTES = 120, 8
"""What a tool may take for one of these small networks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ellzero-benchmarks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = json.loads(options.out.read_text())["networks"] if options.out.exists() else {}
    for tool in options.tools:
        python = Path(sys.executable) if tool == "ellzero" else python_of_peer(options.cache)
        for name in options.names:
            found.setdefault(name, {})[tool] = verdict = judged(python, tool, name)
            print(f"{tool:14} {name:36} {verdict['verdict']:16} {verdict['why'][:90]}", flush=True)
    found = {name: found[name] for name in NETWORKS if name in found}
    limits = {"limit_seconds": SECONDS, "limit_gigabytes": GIGABYTES, "threads": 1}
    setting = {"torch": torch.__version__, "machine": platform.machine(), **limits}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"setting": setting, "networks": found}, indent=1) + "\n")
    for tool in options.tools:
        print(tool, dict(Counter(found[name][tool]["verdict"] for name in options.names)))


def judged(python: Path, tool: str, name: str) -> dict[str, Any]:
    """What one tool makes of one network, in a process of its own."""
    command = [python, HERE / f"judge_{tool}.py", name]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            preexec_fn=_limit_memory,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return {"verdict": "crash", "why": f"does not end within {SECONDS} s", "params_removed": 0.0}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"verdict": "crash", "why": lines[-1][:200], "params_removed": 0.0}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30, GIGABYTES * 2**30))


if __name__ == "__main__":
    main()
