"""Time of a training step of the gated network against the plain one, interleaved in one run.

    taskset -c 1 python benchmarks/step_time.py

on an idle machine: another process on the same core, or on its sibling, makes the ratio up to 0.08 larger. (`taskset`
keeps the process on one core; leave it out where there is none.)

Both networks have the same weights, data, loss and Adam settings; the gated step includes penalty, dual step and
noise. One evaluation pass over 1000 samples is made before, as after every epoch of a real training. Blocks of 20 steps
of the one alternate with blocks of the other, and the ratio of neighbouring blocks is taken; all of it with fresh
networks five times over, because where the memory happens to lie matters. Printed are the median of the runs, the least
and the greatest. Results go to `benchmarks/results/step_time.json`.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import ellzero as l0
from ellzero.recipes import mnist_lenet5, mnist_mlp

STEPS = 20
RESULTS = Path(__file__).parent / "results" / "step_time.json"


def deep(width: int = 256) -> nn.Module:
    """A perceptron of 100 hidden layers."""
    layers = [layer for _ in range(100) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, bool], int]] = {
    "MLP 784-300-100": (mnist_mlp.build, (1, 28, 28), {"inputs": True}, 40),
    "LeNet-5-Caffe": (mnist_lenet5.build, (1, 28, 28), {"positions": True}, 12),
    "100 layers of 64": (lambda: deep(64), (64,), {}, 12),
    "100 layers of 256": (deep, (256,), {}, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for name, (build, shape, gating, blocks) in CASES.items():
        runs = []
        for seed in range(options.repeats):
            torch.manual_seed(seed)
            inputs = torch.randn(options.batch, *shape, device=options.device)
            targets = torch.randint(0, 10, (options.batch,), device=options.device)
            network = build().to(options.device)
            with torch.no_grad():
                network(torch.randn(1000, *shape, device=options.device))
            plain = plain_step(copy.deepcopy(network), inputs, targets)
            gated = gated_step(network, inputs, targets, gating)
            runs.append(compare(plain, gated, blocks, options.device))
        found[name] = summary(runs)
        print(name, found[name], flush=True)
    options.out.parent.mkdir(exist_ok=True)
    setting = {"batch": options.batch, "threads": options.threads, "device": options.device, "torch": torch.__version__}
    options.out.write_text(json.dumps({"setting": setting, "cases": found}, indent=1) + "\n")


def plain_step(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
    """A step of ordinary training."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        loss = F.cross_entropy(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def gated_step(
    network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, gating: dict[str, bool]
) -> Callable[[], None]:
    """A step of training under a budget."""
    gated = l0.Gated(network, inputs[:1], **gating)
    budget = l0.Budget(gated, params=0.3, steps=10_000)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3))

    def step() -> None:
        loss = F.cross_entropy(gated(inputs), targets) + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()

    return step


def compare(
    plain: Callable[[], None], gated: Callable[[], None], blocks: int, device: str
) -> tuple[float, float, float]:
    """Median milliseconds of a step of both, and median ratio of neighbouring blocks."""
    times: dict[Callable[[], None], list[float]] = {plain: [], gated: []}
    for step in (plain, gated):
        block(step, device)
    for number in range(blocks):
        for step in (plain, gated) if number % 2 else (gated, plain):
            times[step].append(block(step, device))
    ratio = statistics.median(after / before for before, after in zip(times[plain], times[gated], strict=True))
    return statistics.median(times[plain]) * 1e3, statistics.median(times[gated]) * 1e3, ratio


def summary(runs: list[tuple[float, float, float]]) -> dict[str, object]:
    plain, gated, ratios = zip(*runs, strict=True)
    return {
        "plain_ms": round(statistics.median(plain), 3),
        "gated_ms": round(statistics.median(gated), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "runs": len(runs),
    }


def block(step: Callable[[], None], device: str) -> float:
    """Mean seconds of a step among `STEPS` that follow each other, as they do in a training."""
    step()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / STEPS


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
