"""CPU latency of delivered networks: dense, zeroed weights, run-time masks, pruned, pruned to multiples of 8.

    python benchmarks/latency.py

About half of the channels of each network are shut at random, and the rest brought within a budget of multiply-adds.
The five variants of a network take turns in one run, in rotating order; ratios are those of neighbouring measurements.
On one thread the processor's time is measured, which other jobs on the machine do not lengthen. Nothing is trained:
latency does not depend on what the numbers are. Results go to `benchmarks/results/latency.json`.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import ellzero as l0
from ellzero.recipes import mnist_lenet5
from ellzero.report.latency import in_turns

RESULTS = Path(__file__).parent / "results" / "latency.json"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, wide: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, narrow, 3, stride, 1, bias=False), nn.BatchNorm2d(narrow)
        self.conv2, self.bn2 = nn.Conv2d(narrow, narrow, 3, 1, 1, bias=False), nn.BatchNorm2d(narrow)
        self.shortcut = nn.Conv2d(wide, narrow, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(images)).relu()))
        return (inner + self.shortcut(images)).relu()


class ResNet(nn.Module):
    """A residual network for images of 32 x 32: widths 64, 128, 256."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
        self.blocks = nn.Sequential(*(BasicBlock(*size) for size in sizes))
        self.head = nn.Linear(256, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.blocks(self.norm(self.stem(images)).relu()).mean((2, 3)))


class FeedForward(nn.Module):
    """The residual perceptron of a transformer layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, stream: Tensor) -> Tensor:
        return stream + self.down(nn.functional.gelu(self.up(self.norm(stream))))


def feed_forwards() -> nn.Module:
    """Six of them, of width 256 and 1024."""
    return nn.Sequential(*(FeedForward(256, 1024) for _ in range(6)), nn.Linear(256, 10))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5-Caffe": (mnist_lenet5.build, (1, 28, 28)),
    "ResNet 64-128-256": (ResNet, (3, 32, 32)),
    "6 feed-forwards 256-1024": (feed_forwards, (64, 256)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--budget", type=float, default=0.3, help="share of the multiply-adds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for name, (build, shape) in NETWORKS.items():
        torch.manual_seed(0)
        example = torch.randn(options.batch, *shape)
        found[name] = compare(build().eval(), example, options.budget, options.rounds)
        print(name, json.dumps(found[name], indent=1), flush=True)
    setting = {"batch": options.batch, "threads": options.threads, "budget": options.budget, "rounds": options.rounds,
               "torch": torch.__version__}  # fmt: skip
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"setting": setting, "networks": found}, indent=1) + "\n")


def compare(network: nn.Module, example: Tensor, share: float, rounds: int) -> dict[str, dict[str, object]]:
    """Milliseconds, multiply-adds and speed-up of every variant."""
    networks = variants(network, example, share)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times = in_turns(networks, example, rounds=rounds, clock=clock)
    found = {}
    for name, variant in networks.items():
        ratios = [dense / own for dense, own in zip(times["dense"], times[name], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        found[name] = {
            "milliseconds": round(1e3 * statistics.median(times[name]), 4),
            "faster": [round(low, 3), round(median, 3), round(high, 3)],
            "macs": l0.count(variant, example).macs,
            "widths": widths(variant),
        }
    return found


def variants(network: nn.Module, example: Tensor, share: float) -> dict[str, nn.Module]:
    """The same gates in five forms; the first four compute the same, but for the dense network itself."""
    gated = l0.Gated(network, example).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        gated.log_odds.copy_(-1.6 + 3 * torch.randn(gated.log_odds.shape, generator=generator))
    budget = l0.Budget(gated, macs=share)
    pruned = l0.prune(gated, budget)
    rounded = l0.prune(gated, budget, multiple_of=8)
    plan = l0.structure_of(pruned).plan
    with torch.no_grad():
        for group, place in gated.layout.slices():  # what the budget shut is shut in the gates, too
            gated.log_odds[place][list(plan.shut.get(group.name, ()))] = -9.0
    dense = copy.deepcopy(gated.bare())
    zeroed = copy.deepcopy(dense)
    with torch.no_grad():
        for (name, dim), factor in gated.factors(plan).items():
            weight = zeroed.get_parameter(name)
            weight.mul_(factor.view(-1, *[1] * (weight.dim() - dim - 1)))
    return {"dense": dense, "zeroed": zeroed, "masked": gated, "pruned": pruned, "rounded": rounded}


def widths(network: nn.Module) -> list[int]:
    """What the layers write, in order."""
    return [module.weight.shape[0] for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


if __name__ == "__main__":
    main()
