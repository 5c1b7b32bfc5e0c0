"""What the recipes of partial differential equations share: simulate, add noise, find the equation, verify, draw."""

__all__ = ["Field", "FieldSettings", "find_field_equation"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ellzero.dictionary import Equations, FieldDynamics, evolve, space_derivatives, verify
from ellzero.errors import NonFiniteError
from ellzero.recipes.law import Found, LawSettings, Picture, check_most, check_noise, check_positive
from ellzero.report import coefficient_path, support_map, trajectories
from ellzero.report.table import percent, table

Array = NDArray[np.float64]

LONGEST_PATH = 6
_POINTS = 2000


@dataclass(frozen=True)
class FieldSettings(LawSettings):
    """Settings of a recipe that simulates a field on a periodic line, adds noise, and looks for its equation."""

    noise: float = 0.01
    """Standard deviation of the noise, as a share of that of each state."""

    points: int = 128
    """Places at which the field is measured."""

    samples: int = 251
    """Times at which the field is measured."""

    def check(self) -> None:
        """Refuse what is wrong, before anything is computed.

        Raises:
            ValueError: if a number is out of range.
        """
        super().check()
        check_positive(self, "points", "samples")
        check_most(self, points=4096, samples=10_000, terms=1000)
        check_noise(self.noise)


@dataclass(frozen=True)
class Field:
    """A field whose equation is known.

    Attributes:
        name: as on the command line.
        law: the true equation, of u, u_x, u_xx, ...
        length: of the period.
        duration: of the measurement.
        start: the field at the beginning, of places.
        unseen: another beginning, which nothing is fitted to.
    """

    name: str
    law: Equations
    length: float
    duration: float
    start: Callable[[Tensor], Tensor]
    unseen: Callable[[Tensor], Tensor]


def find_field_equation(field: Field, settings: FieldSettings) -> Found:
    """Find the equation of a field from one noisy movie, and hold it against the true one.

    Args:
        field: what is simulated.
        settings: budget, noise, grid.

    Returns:
        The equation, verified, with pictures.

    Raises:
        ValueError: if the budget is larger than the dictionary, or the grid too small.
    """
    places = torch.arange(settings.points, dtype=torch.float64) * (field.length / settings.points)
    times = torch.linspace(0, field.duration, settings.samples, dtype=torch.float64)
    true = _follow(field, field.start(places), times)
    noise = np.random.default_rng(settings.seed).standard_normal(true.shape)
    measured = true + settings.noise * true.std() * noise
    model = FieldDynamics(settings.terms or None).fit(measured, times.numpy(), places.numpy())
    equations = model.equations()
    inputs = space_derivatives(torch.from_numpy(true), field.length, len(equations.inputs) - 1).flatten(0, 1)
    points = inputs[:: max(1, len(inputs) // _POINTS)]
    law = _on(field.law, equations)
    certificate = verify(equations, points=points, targets=law.numpy()(points), precision=settings.precision)
    error = float(np.linalg.norm(equations.coefficients - law.coefficients) / np.linalg.norm(law.coefficients))
    is_true, is_found = law.support, equations.support
    facts = {
        "num_terms": equations.num_terms,
        "missing": int((is_true & ~is_found).sum()),
        "superfluous": int((is_found & ~is_true).sum()),
        "coefficient_error": error,
    }
    begin = field.unseen(places)
    pictures: dict[str, Picture] = {
        "support.svg": partial(support_map, {"u_t true": _named(law), "u_t found": _named(equations)}),
        "path.svg": _path(measured, times, places, equations),
        "trajectories.svg": _motion(field, model, begin, times),
    }
    return Found(equations, certificate, _summary(equations, law, model.standard_errors(), facts), facts, pictures)


def _follow(field: Field, start: Tensor, times: Tensor) -> Array:
    coefficients = torch.tensor(field.law.coefficients[0])
    step = float(times.diff().min()) / 5
    return np.asarray(evolve(field.law.dictionary, coefficients, start, times, field.length, step=step).numpy())


def _on(law: Equations, equations: Equations) -> Equations:
    """The law with the candidate terms of what was found."""
    known = dict(zip(law.dictionary.terms, law.coefficients[0].tolist(), strict=True))
    values = [known.get(term, 0.0) for term in equations.dictionary.terms]
    return Equations(equations.targets, equations.dictionary, np.array([values]))


def _named(equations: Equations) -> dict[str, float]:
    return dict(zip(equations.dictionary.names, equations.coefficients[0].tolist(), strict=True))


def _summary(equations: Equations, law: Equations, errors: Array, facts: dict[str, float]) -> str:
    rows: list[tuple[str, ...]] = [("term", "found", "standard error", "true")]
    for column in np.flatnonzero(equations.support[0] | law.support[0]):
        numbers = (equations.coefficients[0, column], errors[0, column], law.coefficients[0, column])
        rows.append((equations.dictionary.names[column], *(f"{number:.4g}" for number in numbers)))
    exactly = "the true terms, no other"
    if facts["missing"] + facts["superfluous"]:
        exactly = f"{facts['missing']} true terms missing, {facts['superfluous']} superfluous"
    error = percent(facts["coefficient_error"])
    size = equations.coefficients.size
    return "\n\n".join(
        [table(rows), f"{equations.num_terms} terms of {size}: {exactly}; relative error of the coefficients {error}"]
    )


def _path(measured: Array, times: Tensor, places: Tensor, equations: Equations) -> Picture:
    """The coefficients for each budget."""
    sizes = list(range(1, LONGEST_PATH + 1))
    fits = [FieldDynamics(size).fit(measured, times.numpy(), places.numpy()).coefficients()[0] for size in sizes]
    columns = np.stack(fits).T
    found = {name: row.tolist() for name, row in zip(equations.dictionary.names, columns, strict=True) if row.any()}
    chosen = {"u_t": equations.num_terms} if equations.num_terms <= LONGEST_PATH else {}
    return partial(coefficient_path, sizes, {"u_t": found}, chosen=chosen)


def _motion(field: Field, model: FieldDynamics, start: Tensor, times: Tensor) -> Picture:
    """The field over time at some places, from a beginning that nothing was fitted to."""
    true = _follow(field, start, times)
    try:
        simulated = model.simulate(start.numpy(), times.numpy())
    except NonFiniteError:  # equations that are wrong may be unstable; the picture then shows the truth alone
        simulated = np.full_like(true, np.nan)
    num = true.shape[1]
    shown = [(f"u at {place * field.length / num:.3g}", place) for place in (0, num // 3, 2 * num // 3)]
    was, is_now = ({name: states[:, place].tolist() for name, place in shown} for states in (true, simulated))
    return partial(trajectories, times.tolist(), was, is_now, title="From a field that nothing was fitted to")
