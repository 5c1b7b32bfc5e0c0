"""The pendulum's transition and reward: networks, gated dictionaries and best subsets, with the terms of each.

    python benchmarks/pendulum.py --seeds 0 1 2 --data DIR

The protocol is the tutorial's (Botteghi & Fasel 2024): 1000 training and 100 test episodes of 200 random steps, g =
9.81, mean squared error over the outputs. 100 validation episodes decide everything; the seed is that of the episodes,
too.
Results are added to `benchmarks/results/pendulum.json`; `python benchmarks/tables.py` puts them into the documentation.
The tutorial's own figures, read off its plots, are its best epochs on the test episodes after 390,500 steps.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.dictionary import Dictionary, custom, fourier, polynomial
from ellzero.recipes import pendulum_reward, pendulum_transition
from ellzero.recipes.choose import Question, exact_front, explore, least_squares, train_to_budget
from ellzero.recipes.interaction import INPUTS, Split, load_pendulum

RESULTS = Path(__file__).parent / "results" / "pendulum.json"
HIDDEN = 128
BUDGETS = {"transition": (9, 11, 12, 15), "reward": (6, 8, 10, 12, 15)}
GATED = {"transition": 11, "reward": 12}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=5_000, help="of the gated dictionaries")
    parser.add_argument("--network-steps", type=int, default=40_000)
    parser.add_argument("--share", type=float, default=0.1, help="of the parameters that the gated network may keep")
    parser.add_argument("--only", choices=("exact", "gates", "networks"), help="part of the models")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds:
        split = load_pendulum(seed, folder=options.data)
        parts = {"exact": exact_models, "gates": gated_models, "networks": networks}
        for name, part in parts.items():
            if options.only in (None, name):
                for row in part(split, seed, options):
                    save(row | {"seed": seed})


def dictionaries(task: str) -> dict[str, Dictionary]:
    """Candidate terms by name."""
    cubic, waves = polynomial(INPUTS, 3), fourier(INPUTS, 1)
    found = {"polynomial": cubic, "Fourier": waves, "both": cubic + waves}
    found |= {"Fourier of the tutorial": published(), "both of the tutorial": cubic + published()}
    if task == "reward":
        angle = custom(INPUTS, {"angle": lambda c, s: torch.atan2(s, c)}, of=[("c", "s")])
        found["powers of the cosine"] = pendulum_reward.candidates(12)
        found["angle of one's own"] = angle * angle + polynomial(INPUTS, 2)
    return found


def published() -> Dictionary:
    """The Fourier terms that the tutorial's code makes: 12 products of two are missing, three squares are there."""
    waves = fourier(INPUTS, 1, products=False).terms
    num = len(waves)
    pairs = [waves[i] * waves[j + 1] for i in range(num) for j in range(num - i - 1)]
    return Dictionary(INPUTS, list(dict.fromkeys([*waves, *pairs])))


def questions(split: Split) -> Iterator[tuple[str, str, Question]]:
    """Task, name and question."""
    for name, dictionary in dictionaries("transition").items():
        yield "transition", name, pendulum_transition.ask(split, dictionary, clip=False)
        yield "transition", f"{name}, clipped", pendulum_transition.ask(split, dictionary)
    for name, dictionary in dictionaries("reward").items():
        yield "reward", name, pendulum_reward.ask(split, dictionary)


def exact_models(split: Split, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Least squares on whole dictionaries, and best subsets."""
    for task, name, question in questions(split):
        start = time.perf_counter()
        whole = least_squares(question)
        row = {"task": task, "dictionary": name, "candidates": len(question.dictionary)}
        yield row | {"model": "least squares", **facts(question, whole, start)}
        start = time.perf_counter()
        front = exact_front(question, max(BUDGETS[task]) if task == "transition" else min(15, len(question.dictionary)))
        for budget in BUDGETS[task] if name != "angle of one's own" else (3,):
            chosen = front.choose(budget)
            yield row | {"model": "best subset", "budget": budget, **facts(question, chosen.equations, start)}


def gated_models(split: Split, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A hard-concrete gate before every coefficient, Adam, a budget; as trained, and refitted."""
    for task, name, question in questions(split):
        if "tutorial" in name or "own" in name or name in ("Fourier, clipped", "both, clipped"):
            continue
        start = time.perf_counter()
        found = explore(question, GATED[task], steps=options.steps, batch_size=256, lr=1e-2, gate_lr=1e-2, seed=seed)
        row = {"task": task, "dictionary": name, "candidates": len(question.dictionary), "budget": GATED[task]}
        for model, one in zip(("gates, as trained", "gates, refitted"), found, strict=True):
            yield row | {"model": model, **facts(question, one.equations, start)}


def networks(split: Split, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The tutorial's network, dense and with gates before its hidden units."""
    ask: dict[str, Callable[[Split, Dictionary], Question]] = {
        "transition": pendulum_transition.ask, "reward": pendulum_reward.ask,
    }  # fmt: skip
    for task, one in ask.items():
        question = one(split, polynomial(INPUTS, 1))
        x, y = question.train
        for model, budget in (("dense network", {}), ("gated network", {"params": options.share})):
            start = time.perf_counter()
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Linear(4, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, y.shape[1])
            )
            small = train_to_budget(
                net, x.float(), y.float(), budget, steps=options.network_steps, batch_size=256, lr=1e-3, gate_lr=1e-2,
                seed=seed,
            )  # fmt: skip
            terms = sum(parameter.numel() for parameter in small.parameters())
            errors = {name: wrong(small, *getattr(question, name)) for name in ("validation", "test")}
            yield {"task": task, "model": model, "terms": terms, **errors, "seconds": time.perf_counter() - start}


@torch.no_grad()
def wrong(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean squared error."""
    return float((net(x.float()) - y.float()).square().mean())


def facts(question: Question, equations: Any, start: float) -> dict[str, Any]:
    """Terms and errors."""
    errors = {name: question.error(equations, getattr(question, name)) for name in ("validation", "test")}
    return {"terms": equations.num_terms, **errors, "seconds": time.perf_counter() - start}


def save(row: dict[str, Any]) -> None:
    """Add a result; one of the same model and seed is replaced."""
    row["machine"] = {"python": platform.python_version(), "torch": torch.__version__}
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    key = ("task", "dictionary", "model", "budget", "seed")
    rows = [one for one in rows if any(one.get(name) != row.get(name) for name in key)]
    RESULTS.write_text(json.dumps([*rows, row], indent=1) + "\n")
    print({name: value for name, value in row.items() if name != "machine"}, flush=True)


if __name__ == "__main__":
    main()
