"""`Dynamics`: equations of motion from measured trajectories."""

__all__ = ["Dynamics"]

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ellzero.dictionary.dynamics.differences import differentiate
from ellzero.dictionary.dynamics.estimate import price
from ellzero.dictionary.dynamics.flow import rates
from ellzero.dictionary.dynamics.identify import DIFFERENTIATIONS, Fit, Settings, identify
from ellzero.dictionary.dynamics.inputs import check_limit, check_resolution, library_for, limit_of, measured_names
from ellzero.dictionary.dynamics.motion import follow
from ellzero.dictionary.dynamics.scores import r2_score
from ellzero.dictionary.dynamics.trajectories import Trajectory, read_trajectories
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.regression.bootstraps import bootstrap
from ellzero.dictionary.regression.options import check_flag, whole
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.libraries import names_of
from ellzero.dictionary.terms.pysindy_names import to_pysindy
from ellzero.errors import nearest

Array = NDArray[np.float64]

BLOCK = 8
"""Neighbouring windows or samples that a bootstrap draws together."""


@final
class Dynamics:
    r"""Sparse equations of motion, with as many terms as the data can prove or as a budget allows.

    .. math:: \dot x = \Xi\, \theta(x, u) \quad \text{or} \quad x_{k+1} = \Xi\, \theta(x_k, u_k)

    A linear regression finds a first support: by default on the weak form of the equations, with the covariance of
    overlapping windows. Then the likelihood of the trajectories themselves is maximised: the true states behind the
    noisy ones, the noise, the coefficients and the support are estimated together, and a term stays only if it
    improves the likelihood by more than its price.

    Args:
        terms: number of terms of all equations together, or one number for each equation, 0 for none at all; None lets
            the data decide.
        dictionary: candidate terms: a `Dictionary` of the states and then the controls, or a function that makes one
            from their names; None takes polynomials of degree two.
        differentiation: "weak", "finite", "smoothed" or "spectral": how the first regression avoids or takes
            derivatives. Irregular time stamps are refused by "spectral" and supported by the others.
        discrete: whether the samples follow each other as in a map; no derivatives are then taken.
        refine: whether to continue with the likelihood of the trajectories; otherwise the regression is the result.
        criterion: "ebic", "bic" or "aic": the price of a term when `terms` is None.
        resolution: error that the data are believed to have at least, as a share of the spread of each state; smaller
            effects are not explained. Simulations without noise have such errors, from their integrator.
        order: accuracy of "finite" or degree of the polynomials of "smoothed".
        feature_names: names of the states and then the controls, perhaps in one string with spaces between; by default
            those of the dictionary, or x0, x1, ...

    Raises:
        ValueError: if an option is not known or out of range.
        TypeError: if `terms` is no whole number and no list of them, or a flag is neither True nor False.

    Source:
        Brunton, Proctor & Kutz (2016), https://doi.org/10.1073/pnas.1517384113; Bock (1983); Bortz, Messenger & Dukic
        (2023), https://doi.org/10.1007/s11538-023-01208-6

    Example:
        >>> time = np.arange(0, 10, 0.05)
        >>> position = np.stack([np.cos(2 * time), -2 * np.sin(2 * time)], 1)
        >>> model = Dynamics(feature_names=["x", "v"]).fit(position, t=time)
        >>> model.print(precision=3)
        x' = v
        v' = -4 x
    """

    def __init__(
        self,
        terms: int | Sequence[int] | NDArray[np.int64] | None = None,
        dictionary: Dictionary | Callable[[Sequence[str]], Dictionary] | None = None,
        *,
        differentiation: str = "weak",
        discrete: bool = False,
        refine: bool = True,
        criterion: str = "ebic",
        resolution: float = 1e-4,
        order: int = 4,
        feature_names: str | Sequence[str] | None = None,
    ) -> None:
        if differentiation not in DIFFERENTIATIONS:
            hint = nearest(str(differentiation), DIFFERENTIATIONS)
            raise ValueError(f"the differentiation {differentiation!r} is not known{hint}")
        check_resolution(resolution)
        check_flag(discrete, "discrete")
        check_flag(refine, "refine")
        order = whole(order, "order", least=1)
        price(1, 1, criterion)  # refuses what is not known
        self.limit = limit_of(terms)
        self.candidates = dictionary
        self.settings = Settings(self.limit, differentiation, discrete, refine, criterion, resolution, order)
        self.feature_names = None if feature_names is None else names_of(feature_names)
        self._fit: tuple[Fit, Dictionary, int] | None = None

    def fit(self, x: Any, t: Any = None, x_dot: Any = None, u: Any = None, parameters: Any = None) -> Self:
        """Find the equations.

        Args:
            x: a trajectory of shape `(samples, states)`, or a list of them.
            t: time from sample to sample, or time stamps of shape `(samples,)`, or a list of such stamps; not needed
                for discrete maps.
            x_dot: measured derivatives (of a map: next states), of the shape of `x`; the regression then uses them.
            u: controls, shape `(samples, controls)`, or a list; linear in between, held in a map.
            parameters: numbers that do not change within a trajectory: one row for each; inputs after the controls.

        Returns:
            This model. `result.doubts` says what speaks against the equations, and each doubt is a warning: terms that
            depend on each other on the data or are tiny, trajectories that are not explained, outliers, motion taken
            for noise.

        Raises:
            ValueError: if shapes do not fit, trajectories are too short, or the budget is larger than the dictionary.
            NonFiniteError: if a value is NaN or a term overflows.
        """
        runs = read_trajectories(x, t, x_dot, u, parameters, need_time=not (self.settings.is_map or x_dot is not None))
        states, controls = runs[0].states.shape[1], runs[0].controls.shape[1]
        numbers = 0 if parameters is None else np.atleast_2d(np.asarray(parameters, dtype=float)).shape[-1]
        names = self.feature_names or measured_names(states, controls, min(numbers, controls))
        dictionary = library_for(self.candidates, names, states, controls, self.feature_names)
        check_limit(self.limit, states, len(dictionary))
        self._fit = identify(runs, dictionary, self.settings), dictionary, states
        for doubt in self.result.doubts:
            warnings.warn(doubt, UserWarning, stacklevel=2)
        return self

    @property
    def result(self) -> Fit:
        """Everything that the fit found.

        Raises:
            ValueError: if `fit` has not been called.
        """
        return self._fitted()[0]

    @property
    def dictionary(self) -> Dictionary:
        """The candidate terms."""
        return self._fitted()[1]

    def coefficients(self) -> Array:
        """Shape `(states, terms)`, zero for terms that are not there."""
        return self._fitted()[0].coefficients.numpy().copy()

    def standard_errors(self) -> Array:
        """Standard deviations of the coefficients given the support, shape `(states, terms)`; zero where none is."""
        support = self.result.coefficients.reshape(-1).nonzero()[:, 0]
        return self.result.evidence.standard_errors(support).reshape(self.result.coefficients.shape).numpy()

    def inclusion_probabilities(self, num_bootstraps: int = 100, *, seed: int = 0) -> Array:
        """How often each term is chosen when windows (or samples) are drawn anew, in blocks, with replacement.

        Args:
            num_bootstraps: draws.
            seed: of the draws.

        Returns:
            Shape `(states, terms)`, in [0, 1]; each equation keeps its number of terms.
        """
        found = torch.zeros_like(self.result.coefficients)
        for index, (features, target) in enumerate(self.result.rows):
            if count := int((self.result.coefficients[index] != 0).sum()):
                drawn = bootstrap(features, target, count, num=num_bootstraps, block=BLOCK, seed=seed + index)
                found[index] = drawn.inclusion_probability
        return found.numpy()

    def equations(self) -> Equations:
        """The equations as plain data: text, LaTeX, SymPy, Python, C."""
        fit, dictionary, states = self._fitted()
        mark = "(k + 1)" if self.settings.is_map else "'"
        targets = tuple(name + mark for name in dictionary.inputs[:states])
        return Equations(targets, dictionary, fit.coefficients.numpy())

    def print(self, precision: int = 3) -> None:
        """Print the equations with so many significant digits."""
        print(self.equations().text(precision))

    def get_feature_names(self) -> list[str]:
        """The candidate terms as pysindy writes them, such as `x0^2` and `sin(1 x0)`."""
        return to_pysindy(self.dictionary)

    @property
    def complexity(self) -> int:
        """Number of terms in all equations."""
        return int((self.result.coefficients != 0).sum())

    def predict(self, x: Any, u: Any = None, parameters: Any = None) -> Any:
        """Time derivatives at given states, or next states of a map.

        Args:
            x: shape `(samples, states)`, or a list.
            u: controls, if the model has any.
            parameters: constants, if the model has any.

        Returns:
            Of the shape of `x`; a list for a list.

        Raises:
            ValueError: if controls are forgotten or superfluous, or shapes do not fit.
        """
        runs = self._read(x, 1.0, None, u, parameters)
        found = [self._rates(run.inputs).numpy() for run in runs]
        return found if isinstance(x, list | tuple) and np.ndim(x[0]) > 1 else found[0]

    def differentiate(self, x: Any, t: Any) -> Array:
        """Derivatives of measured states, as the fit takes them; for "weak" by smoothed local polynomials."""
        (run,) = read_trajectories(x, t)
        method = self.settings.differentiation
        return differentiate(
            run.states, run.time, "smoothed" if method == "weak" else method, order=self.settings.order
        ).numpy()

    def simulate(
        self, x0: Any, t: Any, u: Any = None, parameters: Any = None, *, integrator: str | None = None, **options: Any
    ) -> Array:
        """Follow the equations from initial states.

        Args:
            x0: shape `(states,)`, or `(runs, states)` for many at once.
            t: time stamps of shape `(samples,)`; of a map the number of samples will do.
            u: controls at the time stamps, shape `(samples, controls)`, linear in between, or a function of time.
            parameters: constants of the simulated system, if the model has any.
            integrator: a method of SciPy's `solve_ivp`, or "dopri5" for the batched one in torch. By default LSODA for
                one start and dopri5 for many.
            options: of the integrator, such as `rtol` and `atol`.

        Returns:
            Shape `(samples, states)` or `(runs, samples, states)`.

        Raises:
            ValueError: if controls are forgotten, shapes do not fit, or the integrator is not known.
            NonFiniteError: if the solution leaves the finite numbers.
        """
        _, dictionary, states = self._fitted()
        return follow(
            self._rates, x0, t, (u, parameters), names=dictionary.inputs, states=states,
            is_map=self.settings.is_map, integrator=integrator, options=options,
        ).numpy()  # fmt: skip

    def score(
        self, x: Any, t: Any = None, x_dot: Any = None, u: Any = None, parameters: Any = None,
        *, metric: Callable[[Array, Array], float] | None = None,
    ) -> float:  # fmt: skip
        """Agreement of predicted and measured derivatives (of a map: next states).

        Args:
            x: one trajectory or a list.
            t: as in `fit`.
            x_dot: true derivatives; computed from `x` if they are not known.
            u: controls.
            parameters: constants.
            metric: of true and predicted values; by default R squared, the mean over states.

        Returns:
            The score.
        """
        timeless = t is None and (self.settings.is_map or x_dot is not None)
        runs = self._read(x, 1.0 if timeless else t, x_dot, u, parameters)
        pairs = [self._pair(run) for run in runs]
        truth, predicted = (torch.cat(side) for side in zip(*pairs, strict=True))
        return r2_score(truth, predicted) if metric is None else float(metric(truth.numpy(), predicted.numpy()))

    def _pair(self, run: Trajectory) -> tuple[Tensor, Tensor]:
        """Measured and predicted rates of a run."""
        predicted = self._rates(run.inputs)
        if run.rates is not None:
            return run.rates, predicted
        if self.settings.is_map:
            return run.states[1:], predicted[:-1]
        return torch.from_numpy(self.differentiate(run.states, run.time)), predicted

    def _rates(self, inputs: Tensor) -> Tensor:
        fit, dictionary, _ = self._fitted()
        return rates(dictionary, fit.coefficients, inputs)

    def _read(self, x: Any, t: Any, x_dot: Any, u: Any, parameters: Any) -> list[Trajectory]:
        _, dictionary, states = self._fitted()
        runs = read_trajectories(x, t, x_dot, u, parameters)
        found = (runs[0].states.shape[1], runs[0].controls.shape[1])
        expected = (states, len(dictionary.inputs) - states)
        if found != expected:
            raise ValueError(
                f"the model has {expected[0]} states and {expected[1]} controls and parameters "
                f"({', '.join(dictionary.inputs)}), got {found[0]} and {found[1]}; pass u= and parameters= as in fit"
            )
        return runs

    def _fitted(self) -> tuple[Fit, Dictionary, int]:
        if self._fit is None:
            raise ValueError("the model has no equations yet; call fit(x, t) first")
        return self._fit
