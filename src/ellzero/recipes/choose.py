"""Terms for several targets within one budget: gates explore, the exact stage polishes, validation decides."""

__all__ = ["Choice", "Front", "Question", "exact_front", "explore", "least_squares", "train_to_budget"]

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ellzero.budgets import Budget
from ellzero.dictionary import (
    Dictionary,
    Equations,
    Output,
    SparseDictionary,
    SubsetPath,
    identifiability,
    subset_path,
)
from ellzero.dictionary.regression.path import allocate
from ellzero.gates import Gated
from ellzero.surgery import prune

Array = NDArray[np.float64]
Part = tuple[Tensor, Tensor]
"""Inputs of shape `(samples, inputs)` and targets of shape `(samples, targets)`, float64."""

_CHECKED = 5000
"""Samples on which a dictionary is looked at."""


@dataclass(frozen=True)
class Question:
    """What is asked of a dictionary.

    Attributes:
        dictionary: candidate terms.
        targets: names.
        outputs: output function of each target: `clip`, or none.
        train: fitted to.
        validation: decides.
        test: looked at in the end.
    """

    dictionary: Dictionary
    targets: tuple[str, ...]
    outputs: tuple[Output, ...]
    train: Part
    validation: Part
    test: Part

    def error(self, equations: Equations, part: Part) -> float:
        """Mean squared error, averaged over samples and targets."""
        found = equations.numpy()(part[0].numpy())
        return float(((found - part[1].numpy()) ** 2).mean())

    def equations(self, coefficients: Tensor | Array) -> Equations:
        """The closed form of some coefficients, shape `(targets, terms)`."""
        return Equations(self.targets, self.dictionary, np.asarray(coefficients, dtype=np.float64), self.outputs)

    def rows(self, target: int) -> Tensor:
        """The training samples whose target is no limit of its output function: there the sum itself is seen."""
        values, output = self.train[1][:, target], self.outputs[target]
        return (values > output.low) & (values < output.high)


@dataclass(frozen=True)
class Choice:
    """Equations and what they are worth.

    Attributes:
        equations: the closed form.
        num_terms: in all targets together.
        validation: mean squared error on the validation part.
    """

    equations: Equations
    num_terms: int
    validation: float


@dataclass(frozen=True)
class Front:
    """The best equations for every budget.

    Attributes:
        choices: by number of terms, increasing.
        paths: of each target by itself.
    """

    choices: tuple[Choice, ...]
    paths: tuple[SubsetPath, ...]

    def choose(self, terms: int, *, slack: float = 1.05) -> Choice:
        """The equations with at most so many terms that are best on the validation part.

        Args:
            terms: the budget; 0 takes the fewest terms whose error is within `slack` of the least of all.
            slack: how much larger the error may be.

        Raises:
            ValueError: if the budget is below the smallest of the front.
        """
        allowed = [one for one in self.choices if not terms or one.num_terms <= terms]
        if not allowed:
            raise ValueError(
                f"a budget of {terms} is too small for {len(self.paths)} targets; allow {self.choices[0].num_terms}"
            )
        least = min(one.validation for one in allowed)
        return next(one for one in allowed if one.validation <= (least if terms else slack * least))


def exact_front(question: Question, max_terms: int, *, each: int | None = None) -> Front:
    """Best subsets of every size for each target, and the best division of every budget among the targets.

    Where a budget is best spent is read off the validation part.

    Args:
        question: dictionary and data.
        max_terms: largest budget of all targets together.
        each: most terms of one target; by default a share of the budget and a few more.

    Returns:
        The front, one choice for every budget from one term per target on.
    """
    num_targets = len(question.targets)
    most = min(len(question.dictionary), each or max_terms // num_targets + 4, max_terms)
    x, y = question.train
    values, seen = question.dictionary.evaluate(x), question.dictionary.evaluate(question.validation[0])
    paths, errors, coefficients = [], [], []
    for target, output in enumerate(question.outputs):
        rows = question.rows(target)
        sums = (y[rows, target] - output.offset) / output.scale
        path = subset_path(values[rows], sums, max_terms=most)
        found = torch.stack([path.subset(size).coefficients for size in range(most + 1)])
        wrong = output(seen @ found.T) - question.validation[1][:, target, None]
        paths.append(path)
        coefficients.append(found)
        errors.append(wrong.square().mean(0))
    choices = []
    for total in range(num_targets, max_terms + 1):
        sizes = allocate(torch.stack(errors), total).tolist()
        equations = question.equations(torch.stack([one[size] for one, size in zip(coefficients, sizes, strict=True)]))
        choices.append(Choice(equations, equations.num_terms, question.error(equations, question.validation)))
    return Front(tuple({one.num_terms: one for one in choices}.values()), tuple(paths))


def least_squares(question: Question) -> Equations:
    """All terms of the dictionary at once: what no subset of them can do better."""
    x, y = question.train
    values, sizes = question.dictionary.evaluate(x), None
    found = []
    for target, output in enumerate(question.outputs):
        rows = question.rows(target)
        sizes = values[rows].square().mean(0).sqrt().clamp_min(1e-300)
        sums = ((y[rows, target] - output.offset) / output.scale)[:, None]
        solved = torch.linalg.lstsq(values[rows] / sizes, sums, rcond=1e-12, driver="gelsd").solution[:, 0]
        found.append(solved / sizes)
    return question.equations(torch.stack(found))


def explore(
    question: Question, terms: int, *, steps: int, batch_size: int, lr: float, gate_lr: float, seed: int
) -> tuple[Choice, Choice]:
    """Train coefficients with a gate before each under a budget, prune, and refit what stays by least squares.

    Terms that the data cannot tell apart are left out beforehand, and the others have a root mean square of one while
    they are trained, so that no learning rate depends on their units.

    Args:
        question: dictionary and data.
        terms: budget of all targets together.
        steps: of Adam.
        batch_size: samples per step.
        lr: learning rate of the coefficients, down to zero along a half cosine.
        gate_lr: of the gates.
        seed: of batches and gates.

    Returns:
        The equations as trained, and refitted.
    """
    x, y = question.train
    report = identifiability(question.dictionary, x[:_CHECKED].float())
    model = SparseDictionary(
        report.canonical, len(question.targets), output=question.outputs, per_output=True, targets=question.targets
    )
    model.normalise(x)
    small = train_to_budget(
        model, x.float(), y.float(), {"terms": terms}, steps=steps, batch_size=batch_size, lr=lr, gate_lr=gate_lr,
        seed=seed, is_open=True,
    ).double()  # fmt: skip
    assert isinstance(small, SparseDictionary)
    found = [small.equations()]
    small.refit(x, y)
    found.append(small.equations())
    trained, refitted = (Choice(one, one.num_terms, question.error(one, question.validation)) for one in found)
    return trained, refitted


def train_to_budget(
    model: nn.Module, x: Tensor, y: Tensor, budget: Mapping[str, float], *, steps: int, batch_size: int, lr: float,
    gate_lr: float, seed: int, is_open: bool = False,
) -> nn.Module:  # fmt: skip
    """Gate a model, train it on the mean squared error over all targets, and prune it to a budget.

    Args:
        model: fresh.
        x: inputs, shape `(samples, inputs)`.
        y: targets, shape `(samples, targets)`.
        budget: by kind of cost; none trains the model as it is.
        steps: of Adam.
        batch_size: samples per step, drawn with replacement.
        lr: learning rate of the weights, down to zero along a half cosine.
        gate_lr: of the gates.
        seed: of batches and gates.
        is_open: whether gates start nearly open, so that the noise of the large terms does not drown the small ones.

    Returns:
        The pruned model in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    gated = Gated(model, x[:4], seed=seed, pretrained=is_open) if budget else None
    sizer = Budget(gated, steps=steps, **budget) if gated else None  # type: ignore[arg-type]
    groups = gated.parameter_groups(lr=lr, gate_lr=gate_lr) if gated else [{"params": model.parameters(), "lr": lr}]
    optimizer, net = torch.optim.Adam(groups), gated or model
    scale = float(y.var(0).mean())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.5 * lr * (1 + math.cos(math.pi * step / steps))
        chosen = torch.randint(len(x), (batch_size,), generator=generator)
        loss = (net(x[chosen]) - y[chosen]).square().mean() / scale
        loss = loss + sizer.penalty() if sizer else loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if sizer:
            sizer.step()
    return (prune(gated, sizer) if gated else model).eval()
