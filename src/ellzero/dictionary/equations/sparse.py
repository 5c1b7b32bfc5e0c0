"""`SparseDictionary`: a linear combination of candidate terms as a layer, whose terms can be gated and pruned."""

__all__ = ["SparseDictionary"]

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.refit import least_squares
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.graph import FollowsCut


@final
class SparseDictionary(FollowsCut):
    r"""Sums of candidate terms with coefficients that are learned, each perhaps under an output function.

    .. math:: y_i = f_i\Big(\sum_j C_{ij} \, s_j \theta_j(x)\Big)

    A term is a channel: `Gated(model, example)` puts one gate before all coefficients of a term, or, with
    `per_output=True`, one before each coefficient. `Budget(gated, terms=7)` limits how many stay, and `prune` gives a
    model with a smaller dictionary. The coefficients start at zero. With `per_output=True` multiply-adds are
    counted as if every term stayed, which is an upper bound.

    Args:
        dictionary: the candidate terms; the layer keeps a copy.
        num_outputs: how many sums.
        output: an output function, by its name or with its scale, or one for each output.
        per_output: whether every output chooses its own terms.
        targets: names of the outputs, for the equations; by default y0, y1, ...

    Raises:
        ValueError: if there is no output, or not one name or output function for each.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> model = SparseDictionary(polynomial("x v", 1, bias=False), 1, targets=["v'"])
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> model.refit(x, -4 * x[:, :1] - 0.5 * x[:, 1:])
        >>> print(model.equations())
        v' = -4 x - 0.5 v
    """

    places: Tensor
    scales: Tensor

    def __init__(
        self,
        dictionary: Dictionary,
        num_outputs: int,
        *,
        output: str | Output | Sequence[str | Output] | None = None,
        per_output: bool = False,
        targets: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(num_outputs, bool) or not isinstance(num_outputs, int) or num_outputs < 1:
            raise ValueError(f"num_outputs must be a whole number from 1 on, got {num_outputs!r}")
        self.dictionary = dictionary.select(range(len(dictionary)))  # one of its own, which may move to other devices
        self.outputs = _outputs(output, num_outputs)
        self.targets = tuple(targets) if targets is not None else tuple(f"y{number}" for number in range(num_outputs))
        if len(self.targets) != num_outputs:
            raise ValueError(f"there are {len(self.targets)} names for {num_outputs} outputs; give one for each")
        self.per_output = per_output
        num_terms = len(dictionary)
        self.entries = tuple((i, j) for i in range(num_outputs) for j in range(num_terms)) if per_output else ()
        shape = (len(self.entries),) if per_output else (num_outputs, num_terms)
        self.coefficients = nn.Parameter(torch.zeros(shape))
        self.register_buffer("scales", torch.ones(num_terms))
        if per_output:
            self.register_buffer("places", self._places(), persistent=False)

    @property
    def num_outputs(self) -> int:
        """How many sums there are."""
        return len(self.targets)

    @property
    def num_terms(self) -> int:
        """How many terms there are; with `per_output`, how many coefficients."""
        return len(self.entries) if self.per_output else len(self.dictionary)

    def forward(self, x: Tensor) -> Tensor:
        """The sums, of the dtype of the coefficients.

        Args:
            x: inputs, shape `(..., num_inputs)`.

        Returns:
            Outputs, shape `(..., num_outputs)`.
        """
        sums = F.linear(self.dictionary(x) * self.scales, self.matrix())
        first, *others = self.outputs
        if all(one == first for one in others):
            return first(sums)
        columns = zip(self.outputs, sums.unbind(-1), strict=True)
        return torch.stack([function(column) for function, column in columns], -1)

    def matrix(self) -> Tensor:
        """The coefficients of the scaled terms, shape `(num_outputs, num_terms)`, differentiable."""
        if not self.per_output:
            return self.coefficients
        shape = (self.num_outputs, len(self.dictionary))
        empty = torch.zeros(shape[0] * shape[1], dtype=self.coefficients.dtype, device=self.coefficients.device)
        return empty.index_add(0, self.places, self.coefficients).view(shape)

    @property
    def support(self) -> Tensor:
        """Which terms each output may use, bool, shape `(num_outputs, num_terms)`."""
        is_used = torch.ones(self.num_outputs, len(self.dictionary), dtype=torch.bool)
        if self.per_output:
            is_used.zero_()
            is_used[tuple(zip(*self.entries, strict=True))] = True
        return is_used

    @torch.no_grad()
    def normalise(self, x: Tensor) -> None:
        """Scale the terms to a root mean square of one on samples, so that their coefficients learn equally fast.

        What the model computes does not change. Call it before the model is gated.

        Args:
            x: samples, shape `(num_samples, num_inputs)`.

        Raises:
            NonFiniteError: if a term is not finite on a sample; it is named.
        """
        sizes = self.dictionary.evaluate(x).reshape(-1, len(self.dictionary)).square().mean(0).sqrt()
        scales = torch.where(sizes > 0, 1 / sizes, 1.0).to(self.scales)
        self._fill(self.matrix() * (self.scales / scales))
        self.scales.copy_(scales)

    @torch.no_grad()
    def refit(self, x: Tensor, y: Tensor) -> None:
        """Give the coefficients the values of least squares, on the terms that there are.

        Targets that a `clip` holds at a limit are left out; other output functions are refused.

        Args:
            x: samples, shape `(num_samples, num_inputs)`. In single precision terms count as dependent sooner: c^2 +
                s^2 is 1 but for rounding errors, which are nothing to fit coefficients to.
            y: targets, shape `(num_samples, num_outputs)`.

        Raises:
            ValueError: if the shapes do not fit, there are too few samples, the terms cannot be told apart on them, or
                an output function is neither linear nor `clip`.
            NonFiniteError: if a term or a target is not finite.
        """
        found = least_squares(
            self.dictionary.evaluate(x), y, self.support, self.outputs, self.dictionary.names, width=x.element_size()
        )
        self._fill(found.to(self.scales) / self.scales)

    def equations(self) -> Equations:
        """The closed form: every term with its coefficient, scales folded in."""
        matrix = self.matrix().detach().double() * self.scales.double()
        return Equations(self.targets, self.dictionary, matrix.cpu().numpy(), self.outputs)

    def follow_cut(self, kept: Mapping[tuple[str, int], Tensor]) -> None:
        """Keep the books of outputs and of single coefficients after they were cut."""
        if ("coefficients", 0) not in kept:
            return
        indices = kept["coefficients", 0].tolist()
        if not self.per_output:
            self.targets = tuple(self.targets[number] for number in indices)
            self.outputs = tuple(self.outputs[number] for number in indices)
            return
        entries = [self.entries[number] for number in indices]
        used = sorted({term for _, term in entries}) or [0]  # a dictionary has at least one term
        number_of = {term: number for number, term in enumerate(used)}
        self.entries = tuple((output, number_of[term]) for output, term in entries)
        self.dictionary = self.dictionary.select(used)
        self.register_buffer("scales", self.scales[used])
        self.register_buffer("places", self._places().to(self.places.device), persistent=False)

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        functions = dict.fromkeys(one.text("sum") for one in self.outputs if not one.is_plain)
        return ", ".join([f"num_terms={self.num_terms}, num_outputs={self.num_outputs}", *functions])

    def _places(self) -> Tensor:
        places = [output * len(self.dictionary) + term for output, term in self.entries]
        return torch.tensor(places, dtype=torch.int64)

    def _fill(self, matrix: Tensor) -> None:
        if is_parametrized(self):
            raise ValueError("the coefficients are gated and cannot be set; do it before Gated or after prune")
        values = matrix.reshape(-1)[self.places] if self.per_output else matrix
        self.coefficients.copy_(values)


def _outputs(given: str | Output | Sequence[str | Output] | None, num_outputs: int) -> tuple[Output, ...]:
    if given is None or isinstance(given, (str, Output)):
        return (Output.of(given),) * num_outputs
    found = tuple(Output.of(one) for one in given)
    if len(found) != num_outputs:
        raise ValueError(
            f"there are {len(found)} output functions for {num_outputs} outputs; give one, or one for each"
        )
    return found
