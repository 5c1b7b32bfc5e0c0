"""Burgers' equation with viscosity from one noisy movie.

Source: Burgers (1948), https://doi.org/10.1016/S0065-2156(08)70100-5; as a test of sparse regression Rudy, Brunton,
Proctor & Kutz (2017), https://doi.org/10.1126/sciadv.1602614.

Expected with the defaults, over seeds 0 to 4: the two true terms and no other, relative error of the coefficients
0.005 to 0.028 %. It took 2 seconds on one CPU thread.
"""

__all__ = ["FIELD", "BurgersSettings", "run"]

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ellzero.dictionary import Equations, identity, polynomial
from ellzero.recipes.field import Field, FieldSettings, find_field_equation

_INPUTS = "u u_x u_xx"

FIELD = Field(
    name="burgers",
    law=Equations(
        ("u_t",),
        polynomial(_INPUTS, 2).select(["u u_x"]) + identity(_INPUTS).select(["u_xx"]),
        np.array([[-1.0, 0.1]]),
    ),
    length=16.0,
    duration=10.0,
    start=lambda x: torch.exp(-((x - 6) ** 2)),
    unseen=lambda x: torch.exp(-((x - 4) ** 2)) - 0.6 * torch.exp(-((x - 11) ** 2) / 2),
)


@dataclass(frozen=True)
class BurgersSettings(FieldSettings):
    """Two terms at 1 % noise; a bump that steepens into a front."""

    terms: int = 2
    points: int = 256
    samples: int = 101


run = partial(find_field_equation, FIELD)
"""Find its equation, with `BurgersSettings`."""
