"""Equations of motion and of fields from data: derivatives, weak form, likelihood of trajectories, simulation."""

__all__ = [
    "Dynamics",
    "FieldDynamics",
    "evolve",
    "r2_score",
    "space_derivatives",
    "valid_prediction_time",
]

from ellzero.dictionary.dynamics.fields import evolve, space_derivatives
from ellzero.dictionary.dynamics.ordinary import Dynamics
from ellzero.dictionary.dynamics.partial import FieldDynamics
from ellzero.dictionary.dynamics.scores import r2_score, valid_prediction_time
