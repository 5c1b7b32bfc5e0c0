"""The Lorenz system from one noisy trajectory.

Source: Lorenz (1963), https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2; as a test of sparse regression
Brunton, Proctor & Kutz (2016), https://doi.org/10.1073/pnas.1517384113.

Expected with the defaults, over seeds 0 to 4: the seven true terms and no other, relative error of the coefficients
0.04 to 0.12 %, motion from an unseen start close for 5.6 to 8.3 Lyapunov times. It took 4 seconds on one CPU thread.
"""

__all__ = ["SYSTEM", "LorenzSettings", "run"]

from dataclasses import dataclass
from functools import partial

from ellzero.dictionary import Equations, polynomial
from ellzero.recipes.law import SystemSettings
from ellzero.recipes.system import System, find_equations

SYSTEM = System(
    name="lorenz",
    law=Equations(
        ("x'", "y'", "z'"),
        polynomial("x y z", 2).select(["x", "y", "z", "x y", "x z"]),
        [[-10, 10, 0, 0, 0], [28, -1, 0, 0, -1], [0, 0, -8 / 3, 1, 0]],  # type: ignore[arg-type]
    ),
    start=(-8.0, 8.0, 27.0),
    unseen=(5.0, 2.0, 20.0),
    exponent=0.906,
)


@dataclass(frozen=True)
class LorenzSettings(SystemSettings):
    """Ten time units at 1 % noise, cubic candidates, seven terms."""

    terms: int = 7


run = partial(find_equations, SYSTEM)
"""Find its equations, with `LorenzSettings`."""
