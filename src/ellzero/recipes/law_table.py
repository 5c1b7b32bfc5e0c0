"""The one table of recipes that end in equations."""

__all__ = ["LAWS", "Law"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ellzero.recipes import (
    burgers,
    kuramoto_sivashinsky,
    lorenz,
    lotka_volterra,
    pendulum_reward,
    pendulum_transition,
    rossler,
    van_der_pol,
)
from ellzero.recipes.law import Found, LawSettings


@dataclass(frozen=True)
class Law:
    """How to find one set of equations.

    Attributes:
        name: as on the command line.
        summary: one line.
        settings: class of its settings, with its defaults.
        run: finds the equations.
    """

    name: str
    summary: str
    settings: type[LawSettings]
    run: Callable[[Any], Found]


LAWS = {
    law.name: law
    for law in (
        Law("lorenz", "chaos in three equations", lorenz.LorenzSettings, lorenz.run),
        Law("rossler", "chaos with one product", rossler.RosslerSettings, rossler.run),
        Law("van-der-pol", "an oscillator with a limit cycle", van_der_pol.VanDerPolSettings, van_der_pol.run),
        Law("lotka-volterra", "prey and predators", lotka_volterra.LotkaVolterraSettings, lotka_volterra.run),
        Law("burgers", "a field that steepens and decays", burgers.BurgersSettings, burgers.run),
        Law(
            "kuramoto-sivashinsky", "a chaotic field", kuramoto_sivashinsky.KuramotoSivashinskySettings,
            kuramoto_sivashinsky.run,
        ),
        Law(
            "pendulum-transition", "next state of Gymnasium's pendulum", pendulum_transition.TransitionSettings,
            pendulum_transition.run,
        ),
        Law(
            "pendulum-reward", "reward of Gymnasium's pendulum", pendulum_reward.RewardSettings, pendulum_reward.run
        ),
    )
}  # fmt: skip
"""The recipes that end in equations."""
