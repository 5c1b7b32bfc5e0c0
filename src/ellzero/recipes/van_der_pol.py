"""The oscillator of van der Pol from one noisy trajectory.

Source: van der Pol (1926), https://doi.org/10.1080/14786442608564127

Expected with the defaults, over seeds 0 to 4: the four true terms and no other, relative error of the coefficients
0.03 to 0.11 %, motion from an unseen start close for all of 20 time units. It took 4 seconds on one CPU thread.
"""

__all__ = ["SYSTEM", "VanDerPolSettings", "run"]

from dataclasses import dataclass
from functools import partial

from ellzero.dictionary import Equations, polynomial
from ellzero.recipes.law import SystemSettings
from ellzero.recipes.system import System, find_equations

SYSTEM = System(
    name="van-der-pol",
    law=Equations(
        ("x'", "v'"),
        polynomial("x v", 3).select(["x", "v", "x^2 v"]),
        [[0, 1, 0], [-1, 2, -2]],  # type: ignore[arg-type]
    ),
    start=(0.5, 0.0),
    unseen=(-1.0, 3.0),
)


@dataclass(frozen=True)
class VanDerPolSettings(SystemSettings):
    """About three periods at 1 % noise, cubic candidates, four terms."""

    terms: int = 4
    duration: float = 20.0


run = partial(find_equations, SYSTEM)
"""Find its equations, with `VanDerPolSettings`."""
