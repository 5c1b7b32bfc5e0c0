"""What recipes that end in equations can be told, and what they hand over."""

__all__ = ["Found", "LawSettings", "Picture", "SystemSettings", "check_most", "check_noise", "check_positive"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ellzero.dictionary import Certificate, Equations
from ellzero.recipes.settings import Checked

MOST_NOISE = 10.0
"""Ten times the signal: nothing is found beyond."""

Picture = Callable[[Path], None]
"""Draws something to a path."""


@dataclass(frozen=True)
class LawSettings(Checked):
    """Settings of a recipe that looks for equations; every recipe has defaults of its own."""

    terms: int = 0
    """Most terms of all equations together; 0 lets the data decide."""

    precision: int = 4
    """Significant digits of the printed equations."""

    seed: int = 0
    """Of everything that is drawn at random."""

    def check(self) -> None:
        """Refuse what is wrong, before anything is computed.

        Raises:
            ValueError: if a number is out of range.
        """
        if self.terms < 0:
            raise ValueError(f"terms must be a whole number from 1 on, or 0 to let the data decide, got {self.terms}")
        if not 1 <= self.precision <= 17:
            raise ValueError(f"precision must be a number of digits from 1 to 17, got {self.precision}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, got {self.seed}")


@dataclass(frozen=True)
class SystemSettings(LawSettings):
    """Settings of a recipe that simulates a known system, adds noise, and looks for its equations."""

    degree: int = 3
    """Largest degree of the candidate monomials."""

    noise: float = 0.01
    """Standard deviation of the noise, as a share of that of each state."""

    duration: float = 10.0
    """Length of the measured trajectory, in units of time."""

    step: float = 0.01
    """Time between two samples."""

    draws: int = 100
    """Bootstrap draws for the inclusion probabilities."""

    def check(self) -> None:
        """Refuse what is wrong, before anything is computed.

        Raises:
            ValueError: if a number is out of range.
        """
        super().check()
        check_positive(self, "degree", "duration", "step", "draws")
        check_most(self, degree=10, draws=10_000, terms=1000)
        check_noise(self.noise)
        if self.duration < 40 * self.step:
            raise ValueError(
                f"{self.duration:g} time units at a step of {self.step:g} are too few samples; take a longer duration"
            )
        if self.duration > 100_000 * self.step:
            raise ValueError(
                f"{self.duration:g} time units at a step of {self.step:g} are more than 100,000 samples; take a longer "
                "step or a shorter duration"
            )


@dataclass(frozen=True)
class Found:
    """Equations with all that a recipe says about them.

    Attributes:
        equations: what was found.
        certificate: what was verified about them.
        summary: lines for the reader, printed after the certificate.
        facts: plain data for the report.
        pictures: by file name, what draws it to a path.
    """

    equations: Equations
    certificate: Certificate
    summary: str
    facts: Mapping[str, Any]
    pictures: Mapping[str, Picture]


def check_positive(settings: Checked, *names: str) -> None:
    """Refuse numbers that are zero, negative or not finite.

    Raises:
        ValueError: if one is; it is named.

    Example:
        >>> check_positive(SystemSettings(step=0.0), "step")
        Traceback (most recent call last):
        ...
        ValueError: step must be positive and finite, got 0.0
    """
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {getattr(settings, name)}")


def check_most(settings: Checked, **most: int) -> None:
    """Refuse numbers that would take hours or fill the memory.

    Raises:
        ValueError: if one is larger than its limit; it is named.

    Example:
        >>> check_most(SystemSettings(draws=10**9), draws=10_000)
        Traceback (most recent call last):
        ...
        ValueError: draws must be at most 10,000, got 1,000,000,000
    """
    for name, limit in most.items():
        if getattr(settings, name) > limit:
            raise ValueError(f"{name} must be at most {limit:,}, got {getattr(settings, name):,}")


def check_noise(noise: float) -> None:
    """Refuse noise that is negative, not a number, or hides everything.

    Raises:
        ValueError: if it does.
    """
    if not 0 <= noise <= MOST_NOISE:
        raise ValueError(
            f"noise must be a share of the signal from 0 to {MOST_NOISE:g}, got {noise:g}; 1 % is 0.01, and beyond ten "
            "times the signal nothing is found"
        )
