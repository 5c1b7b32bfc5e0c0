"""Distributions of a gate, and norms: mathematics only, no modules and no training."""

__all__ = [
    "HIGH",
    "LOW",
    "TEMPERATURE",
    "BinaryConcrete",
    "HardConcrete",
    "check_shape",
    "lq_norm",
    "median",
    "prob_one",
    "prob_open",
    "sample",
    "sample_logistic",
    "thresholds",
]

from ellzero.distributions.concrete import BinaryConcrete
from ellzero.distributions.functional import (
    HIGH,
    LOW,
    TEMPERATURE,
    check_shape,
    median,
    prob_one,
    prob_open,
    sample,
    sample_logistic,
    thresholds,
)
from ellzero.distributions.hard_concrete import HardConcrete
from ellzero.distributions.norms import lq_norm
