"""The next state of Gymnasium's pendulum from random interaction, as equations within a budget of terms.

Source: Botteghi & Fasel (2024), https://arxiv.org/abs/2409.03489, section 5: the same protocol (1000 training and 100
test episodes of 200 random steps, g = 9.81, mean squared error over the three outputs), with validation episodes that
decide everything. The angular velocity is clipped by the environment; its bounds are those of the observation space.

Expected with the defaults, over seeds 0 to 2: nine terms, test error 1.36e-4 to 1.45e-4, the velocity within 2e-9 of
the true law; an episode is lost after 1 to 4 seconds. It took 9 seconds on one CPU thread, and 6 more to drive the
pendulum.
"""

__all__ = ["LAW", "TransitionSettings", "ask", "run"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ellzero.dictionary import Dictionary, Equations, Output, polynomial, valid_prediction_time
from ellzero.recipes.choose import Question
from ellzero.recipes.interaction import INPUTS, LIMIT, NEXT, STEPS, Split, load_pendulum
from ellzero.recipes.law import Found
from ellzero.recipes.pendulum import PendulumSettings, Pictures, answer
from ellzero.report import trajectories

SECONDS = 0.05
"""Length of a step."""

LAW = Equations(
    NEXT[2:], polynomial(INPUTS, 1).select(["s", "w", "u"]), [[0.73575, 1.0, 0.15]],  # type: ignore[arg-type]
    (Output("clip", low=-LIMIT, high=LIMIT),),
)  # fmt: skip
"""The true law of the angular velocity."""


@dataclass(frozen=True)
class TransitionSettings(PendulumSettings):
    """Nine terms of a cubic polynomial, the angular velocity within its bounds."""

    terms: int = 9


def ask(split: Split, dictionary: Dictionary, *, clip: bool = True) -> Question:
    """Which terms of a dictionary give the next state.

    Args:
        split: of the interaction.
        dictionary: candidate terms.
        clip: whether the angular velocity is kept within its bounds.
    """
    last = Output("clip", low=-LIMIT, high=LIMIT) if clip else Output()
    parts = [(part.inputs, part.next) for part in (split.train, split.validation, split.test)]
    return Question(dictionary, NEXT, (Output(), Output(), last), *parts)


def run(settings: TransitionSettings) -> Found:
    """Find its equations."""
    split = load_pendulum(settings.seed, episodes=settings.parts, folder=settings.data)
    question = ask(split, polynomial(INPUTS, settings.degree))
    return answer(question, settings, more=partial(_more, split=split))


def _more(equations: Equations, *, split: Split) -> tuple[Mapping[str, Any], Pictures]:
    """How far the velocity is from the true law, and how the equations follow the first test episode from its start."""
    inputs, following = split.test.inputs.numpy(), split.test.next.numpy()
    law = LAW.numpy()(inputs)[:, 0]
    away = float(np.abs(equations.numpy()(inputs)[:, 2] - law).max())
    true, state = following[:STEPS], inputs[0, :3]
    compute, states = equations.numpy(), []
    with np.errstate(over="ignore", invalid="ignore"):  # equations of a high degree may run away
        for torque in inputs[:STEPS, 3:]:
            state = compute(np.concatenate([state, torque]))
            states.append(state)
    time, simulated = SECONDS * np.arange(1, STEPS + 1), np.asarray(states)
    until = valid_prediction_time(*(torch.from_numpy(one) for one in (true, simulated, time)))
    facts = {f"largest difference of {NEXT[2]} from the true law": away, "seconds until a test episode is lost": until}
    was, is_now = (dict(zip(NEXT, one.T.tolist(), strict=True)) for one in (true, simulated))
    title = "A test episode from its start, with the same torques"
    return facts, {"trajectories.svg": partial(trajectories, time.tolist(), was, is_now, until=until, title=title)}
