"""What the two recipes of the pendulum share: explore with gates, polish exactly, decide by validation, verify."""

__all__ = ["PendulumSettings", "answer"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ellzero.dictionary import Equations, verify
from ellzero.recipes.choose import Choice, Front, Question, exact_front, explore, least_squares
from ellzero.recipes.law import Found, LawSettings, Picture, check_most, check_positive
from ellzero.report import coefficient_path, pareto, support_map
from ellzero.report.table import table

Pictures = Mapping[str, Picture]

_POINTS = 2000
"""Test samples that the certificate is made on."""

_MORE = 6
"""How much further than the budget the front is computed."""


@dataclass(frozen=True)
class PendulumSettings(LawSettings):
    """The protocol of the tutorial, with a tenth as many validation and test episodes as training ones."""

    degree: int = 3
    """Largest degree of the candidate monomials."""

    episodes: int = 1000
    """Training episodes of 200 random steps."""

    steps: int = 5000
    """Optimizer steps of the gates."""

    batch_size: int = 256
    """Samples per optimizer step."""

    lr: float = 1e-2
    """Learning rate of the coefficients (Adam), down to zero along a half cosine."""

    gate_lr: float = 1e-2
    """Learning rate of the gates (Adam), constant."""

    data: str | None = None
    """Folder where the interaction is kept."""

    @property
    def parts(self) -> tuple[int, int, int]:
        """Episodes for training, validation and test."""
        rest = max(1, self.episodes // 10)
        return self.episodes, rest, rest

    def check(self) -> None:
        """Refuse what is wrong, before anything is computed.

        Raises:
            ValueError: if a number is out of range.
        """
        super().check()
        check_positive(self, "degree", "episodes", "steps", "batch_size", "lr", "gate_lr")
        check_most(self, degree=20, episodes=100_000, steps=10_000_000, batch_size=1_000_000, terms=1000)


def answer(
    question: Question, settings: PendulumSettings, *, more: Callable[[Equations], tuple[Mapping[str, Any], Pictures]]
) -> Found:
    """Find the terms with gates and exactly; the validation part decides which is taken.

    Args:
        question: dictionary and data.
        settings: budget and training.
        more: further facts and pictures of the equations.

    Returns:
        The equations, verified.

    Raises:
        ValueError: if the budget is smaller than the number of targets or larger than the dictionary.
    """
    most = len(question.targets) * len(question.dictionary)
    if settings.terms > most:
        raise ValueError(f"{settings.terms} terms are allowed, but there are {most} candidates; allow fewer")
    front = exact_front(question, (settings.terms or 12) + _MORE)
    exact = front.choose(settings.terms)
    trained, gates = explore(
        question, exact.num_terms, steps=settings.steps, batch_size=settings.batch_size, lr=settings.lr,
        gate_lr=settings.gate_lr, seed=settings.seed,
    )  # fmt: skip
    chosen = min(gates, exact, key=lambda one: one.validation)
    whole = least_squares(question)
    models = {"gates, as trained": trained, "gates, refitted": gates, "exact stage": exact}
    models["least squares"] = Choice(whole, whole.num_terms, question.error(whole, question.validation))
    inputs, targets = (part[:_POINTS] for part in question.test)
    certificate = verify(chosen.equations, points=inputs, targets=targets, precision=settings.precision)
    facts, pictures = more(chosen.equations)
    errors = {
        name: {
            "terms": one.num_terms,
            "validation": one.validation,
            "test": question.error(one.equations, question.test),
        }
        for name, one in models.items()
    }
    return Found(
        chosen.equations, certificate, _summary(errors, exact is chosen, facts), {"models": errors, **facts},
        {**_pictures(question, front, models, exact), **pictures},
    )  # fmt: skip


def _summary(errors: Mapping[str, Mapping[str, float]], is_exact: bool, facts: Mapping[str, Any]) -> str:
    rows = [("mean squared error", "terms", "validation", "test")]
    rows += [
        (name, f"{one['terms']}", f"{one['validation']:.3g}", f"{one['test']:.3g}") for name, one in errors.items()
    ]
    taken = f"the validation part takes {'the exact stage' if is_exact else 'the gates'}"
    notes = [f"{name}: {value:.3g}" for name, value in facts.items() if isinstance(value, float)]
    return "\n".join([table(rows), "", taken, *notes])


def _pictures(question: Question, front: Front, models: Mapping[str, Choice], exact: Choice) -> Pictures:
    points = [(one.num_terms, one.validation) for one in front.choices]
    tests = [(one.num_terms, question.error(one.equations, question.test)) for one in front.choices]
    gates, whole = models["gates, refitted"], models["least squares"]
    floor = np.finfo(float).tiny
    fronts = {"validation": [(n, max(e, floor)) for n, e in points], "test": [(n, max(e, floor)) for n, e in tests]}
    columns = {
        f"{target} {name}": dict(zip(one.equations.dictionary.names, row.tolist(), strict=True))
        for number, target in enumerate(question.targets)
        for name, one in (("gates", gates), ("exact", exact))
        for row in [one.equations.coefficients[number]]
    }
    return {
        "pareto.svg": partial(
            pareto, fronts, error="mean squared error", chosen={"validation": exact.num_terms},
            marks={"gates, refitted": (gates.num_terms, gates.validation)},
            limits={f"least squares, {whole.num_terms} terms": whole.validation},
        ),
        "support.svg": partial(support_map, columns, all_terms=question.dictionary.names),
        "path.svg": _path(question, front, exact),
    }  # fmt: skip


def _path(question: Question, front: Front, exact: Choice) -> Picture:
    names = question.dictionary.names
    last = int(front.paths[0].sizes[-1])
    sizes = list(range(1, last + 1))
    found: dict[str, dict[str, list[float]]] = {}
    for target, path in zip(question.targets, front.paths, strict=True):
        values = torch.stack([path.subset(size).coefficients for size in sizes]).T
        found[target] = {name: row for name, row in zip(names, values.tolist(), strict=True) if any(row)}
    counts = dict(zip(question.targets, exact.equations.support.sum(1).tolist(), strict=True))
    return partial(coefficient_path, sizes, found, chosen={name: count for name, count in counts.items() if count})
