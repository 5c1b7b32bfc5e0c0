"""MNIST to a budget: last-epoch test error and true size of delivered networks, over targets and seeds.

    python benchmarks/mnist.py --recipe mnist-lenet5 --targets 0.1 0.02 --seeds 0 1 2 --data DIR

Results are added to `benchmarks/results/mnist.json`, one entry per run; `python benchmarks/tables.py` puts them into
the documentation. `--dense` also trains the same network without gates, for comparison.
"""

import argparse
import json
import math
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import ellzero as l0
from ellzero.budgets import CONTROLLERS
from ellzero.recipes import mnist_lenet5, mnist_mlp
from ellzero.recipes.classify import error_of
from ellzero.recipes.data import load_mnist
from ellzero.recipes.settings import Settings
from ellzero.training import Batches

RESULTS = Path(__file__).parent / "results" / "mnist.json"
RECIPES = {
    "mnist-mlp": (mnist_mlp, mnist_mlp.MlpSettings),
    "mnist-lenet5": (mnist_lenet5, mnist_lenet5.Lenet5Settings),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--targets", type=float, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="the recipe's own number by default")
    parser.add_argument("--controller", choices=CONTROLLERS, help="law of the multipliers; the recipe's own by default")
    parser.add_argument("--dense", action="store_true", help="also train the dense network without gates")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    module, kind = RECIPES[options.recipe]
    for seed in options.seeds:
        settings = kind(seed=seed, data=options.data)
        chosen = {"epochs": options.epochs, "controller": options.controller}
        settings = replace(settings, **{name: value for name, value in chosen.items() if value})
        for target in options.targets:
            save(options.recipe, gated_run(module, replace(settings, budget={"params": target}), target))
        if options.dense:
            save(options.recipe, dense_run(module.build, settings))


def gated_run(module: Any, settings: Settings, target: float) -> dict[str, Any]:
    """Train to a target, prune, and measure what would be shipped."""
    trained = module.run(settings, None)
    small = l0.prune(trained.gated, trained.sizer).eval()
    images = load_mnist(settings.data)
    example = images.test_x[:1]
    epochs = trained.history.epochs
    before, after = l0.count(trained.gated.bare(), example), l0.count(small, example)
    widths = l0.structure_of(small).plan.widths(trained.gated.channels)
    return {
        "target": target,
        "seed": settings.seed,
        "epochs": settings.epochs,
        "controller": settings.controller,
        "error": error_of(small, images.test_x, images.test_y),
        "best_error": min(epoch.error for epoch in epochs),
        "params": after.params / before.params,
        "macs": after.macs / before.macs,
        "widths": {name: stay for name, (_, stay) in widths.items()},
        "num_shut": l0.structure_of(small).num_shut,
        "expected_at_two_thirds": epochs[math.ceil(len(epochs) * 2 / 3) - 1].expected["params"],
        "expected_at_end": epochs[-1].expected["params"],
        "undecided": epochs[-1].undecided,
        "seconds": epochs[-1].seconds,
    }


def dense_run(build: Any, settings: Settings) -> dict[str, Any]:
    """Train the same network with the same schedule, without gates."""
    torch.manual_seed(settings.seed)
    network, images = build(), load_mnist(settings.data)
    loader = Batches(images.train_x, images.train_y, size=settings.batch_size, seed=settings.seed)
    steps = settings.epochs * len(loader)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for _ in range(settings.epochs):
        for inputs, targets in loader:
            loss = F.cross_entropy(network(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    error = error_of(network, images.test_x, images.test_y)
    run = {"target": None, "seed": settings.seed, "epochs": settings.epochs, "controller": None}
    return {**run, "error": error, "params": 1.0, "macs": 1.0}


def save(recipe: str, entry: dict[str, Any]) -> None:
    """Add one run; a run with the same settings is replaced."""
    RESULTS.parent.mkdir(exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    entry = {"recipe": recipe, **entry, "torch": torch.__version__, "machine": platform.machine()}
    same = ("recipe", "target", "seed", "epochs", "controller")
    known = [other for other in known if any(other[key] != entry[key] for key in same)]
    known = sorted([*known, entry], key=lambda one: [str(one[key]) for key in same])
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(entry), flush=True)


if __name__ == "__main__":
    main()
