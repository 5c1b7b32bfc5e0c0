"""The reward of Gymnasium's pendulum from random interaction, as an equation within a budget of terms.

The reward holds the square of an angle of which only cosine and sine are seen, so that no polynomial is exact; powers
of the cosine come close. The protocol is that of `pendulum_transition`.

Source: Botteghi & Fasel (2024), https://arxiv.org/abs/2409.03489, section 5.

Expected with the defaults, over seeds 0 to 2: ten terms, test error 3.5e-3 to 3.9e-3; all 25 candidates by least
squares 2.5e-3 to 2.6e-3. It took 8 seconds on one CPU thread, and 6 more to drive the pendulum.
"""

__all__ = ["RewardSettings", "ask", "candidates", "run"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ellzero.dictionary import Dictionary, Equations, Output, polynomial
from ellzero.recipes.choose import Question
from ellzero.recipes.interaction import INPUTS, Split, load_pendulum
from ellzero.recipes.law import Found
from ellzero.recipes.pendulum import PendulumSettings, Pictures, answer


@dataclass(frozen=True)
class RewardSettings(PendulumSettings):
    """Ten terms: powers of the cosine up to twelve, which nearly cancel, and all monomials up to degree two."""

    terms: int = 10
    degree: int = 12
    precision: int = 6


def candidates(degree: int) -> Dictionary:
    """Powers of the cosine up to a degree, and all monomials up to degree two."""
    return polynomial(INPUTS, degree, only=["c"]) + polynomial(INPUTS, 2)


def ask(split: Split, dictionary: Dictionary) -> Question:
    """Which terms of a dictionary give the reward."""
    parts = [(part.inputs, part.reward) for part in (split.train, split.validation, split.test)]
    return Question(dictionary, ("r",), (Output(),), *parts)


def run(settings: RewardSettings) -> Found:
    """Find its equation."""
    split = load_pendulum(settings.seed, episodes=settings.parts, folder=settings.data)
    return answer(ask(split, candidates(settings.degree)), settings, more=_more)


def _more(equations: Equations) -> tuple[Mapping[str, Any], Pictures]:
    """The true coefficient of the squared velocity is -0.1."""
    names = equations.dictionary.names
    return {"coefficient of w^2": float(equations.coefficients[0, names.index("w^2")]) if "w^2" in names else 0.0}, {}
