"""`Dictionary`: named candidate terms, computed together."""

__all__ = ["Dictionary"]

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor

from ellzero.dictionary.terms.checks import check_functions, check_inputs, check_samples, check_terms
from ellzero.dictionary.terms.choice import Chosen, indices_of
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.limits import check_count
from ellzero.dictionary.terms.tables import Atom, tabulate
from ellzero.dictionary.terms.term import Term
from ellzero.dictionary.terms.units import Unit, units_of
from ellzero.errors import NonFiniteError
from ellzero.graph import FollowsCut


@final
class Dictionary(FollowsCut):
    r"""Candidate terms :math:`\theta_1(x), \ldots, \theta_p(x)` of named inputs.

    Every function is evaluated once, and products are made of shorter products. A network that reads the terms with a
    weight has one channel per term, so that they can be gated and pruned like any others.

    Args:
        inputs: names of the inputs, in the order of the last dimension of `x`.
        terms: what is computed, each once.
        functions: functions of your own by the names that terms use: of one tensor per argument, element by element.
        units: of the inputs by name, such as `"m/s^2"`.

    Raises:
        ValueError: if there is no term, a term is given twice or depends on something that is no input, a function is
            not known, or two names clash.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> dictionary = polynomial("x y", 2)
        >>> dictionary.names
        ('1', 'x', 'y', 'x^2', 'x y', 'y^2')
        >>> dictionary(torch.tensor([[2.0, 3.0]]))
        tensor([[1., 2., 3., 4., 6., 9.]])
    """

    products: Tensor
    order: Tensor

    def __init__(
        self,
        inputs: Sequence[str],
        terms: Sequence[Term],
        *,
        functions: Mapping[str, Callable[..., Tensor]] = MappingProxyType({}),
        units: Mapping[str, str | Unit] | None = None,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        self.functions = {name: function for name, function in functions.items() if _uses(terms, name)}
        check_inputs(self.inputs)
        check_functions(functions)
        self.units = units_of(self.inputs, units)
        self._become(tuple(terms))

    def _become(self, terms: tuple[Term, ...]) -> None:
        check_terms(terms, self.inputs, self.functions)
        self.terms = terms
        self.names = tuple(term.text(self.inputs) for term in terms)
        tables = tabulate(terms)
        device = self.order.device if "order" in self._buffers else None
        self._atoms, self._levels = tables.atoms, tables.levels
        products = torch.tensor([tables.first, tables.second], dtype=torch.int64, device=device)
        self.register_buffer("products", products, persistent=False)
        self.register_buffer("order", torch.tensor(tables.order, device=device), persistent=False)

    def __len__(self) -> int:
        return len(self.terms)

    def forward(self, x: Tensor) -> Tensor:
        """All terms, of the dtype of `x`.

        Args:
            x: inputs, floating, shape `(..., num_inputs)`.

        Returns:
            Terms, shape `(..., num_terms)`.

        Raises:
            ValueError: if the last dimension does not hold the inputs.
            TypeError: if the inputs are no floating-point tensor.
        """
        check_samples(x, self.inputs)
        columns = dict(zip(self.inputs, x.unbind(-1), strict=True))
        inner: dict[Inner, Tensor] = {}
        row = torch.stack([self._atom(atom, columns, inner, x) for atom in self._atoms])
        atoms, rows, start = row, [row], 0
        for num in self._levels:
            first, second = self.products[:, start : start + num]
            row = row[first] * atoms[second]
            rows.append(row)
            start += num
        pool = torch.cat(rows) if len(rows) > 1 else row
        return pool.index_select(0, self.order).movedim(0, -1)

    def _atom(self, atom: Atom, columns: Mapping[str, Tensor], inner: dict[Inner, Tensor], x: Tensor) -> Tensor:
        if atom.function == "one":
            return torch.ones_like(x[..., 0])
        for argument in atom.arguments:
            if argument not in inner:
                inner[argument] = _evaluate(argument, columns, x)
        function = self.functions.get(atom.function) or FUNCTIONS[atom.function].torch
        value = function(*[inner[argument] for argument in atom.arguments])
        return value.reciprocal() if atom.is_reciprocal else value

    def evaluate(self, x: Tensor) -> Tensor:
        """All terms in float64, refused if one is not finite; the term is named.

        Args:
            x: inputs, shape `(..., num_inputs)`.

        Returns:
            Terms, float64, shape `(..., num_terms)`.

        Raises:
            NonFiniteError: if an input or a term is NaN or infinite.
        """
        x = x.to(torch.float64)
        check_samples(x, self.inputs)
        for name, column in zip(self.inputs, x.unbind(-1), strict=True):
            if not bool(column.isfinite().all()):
                bad = int((~column.isfinite()).sum())
                raise NonFiniteError(f"the input {name!r} is NaN or infinite in {bad} of {column.numel()} samples")
        values: Tensor = self(x)
        finite = values.isfinite().reshape(-1, len(self))
        if not bool(finite.all()):
            counts = (~finite).sum(0).tolist()
            bad_terms = [f"{name!r} ({num})" for name, num in zip(self.names, counts, strict=True) if num]
            shown = ", ".join(bad_terms[:8]) + (", ..." if len(bad_terms) > 8 else "")
            raise NonFiniteError(
                f"terms overflow or are not defined on some of the {len(finite)} samples: {shown}; leave them out with "
                "dictionary.without(...), or scale the inputs"
            )
        return values

    def __add__(self, other: "Dictionary") -> "Dictionary":
        """All terms of both; one that both have is kept once."""
        return self._joined(other, tuple(dict.fromkeys((*self.terms, *other.terms))))

    def __mul__(self, other: "Dictionary") -> "Dictionary":
        """All products of a term of one with a term of the other, each once."""
        check_count(len(self) * len(other), "the number of products")
        return self._joined(other, tuple(dict.fromkeys(one * two for one in self.terms for two in other.terms)))

    def _joined(self, other: "Dictionary", terms: tuple[Term, ...]) -> "Dictionary":
        for name in self.functions.keys() & other.functions.keys():
            if self.functions[name] is not other.functions[name]:
                raise ValueError(f"both dictionaries have a function {name!r}, but not the same; rename one of them")
        units = {**other._unit_names(), **self._unit_names()}
        for name, unit in other._unit_names().items():
            if units[name] != unit:
                raise ValueError(f"the input {name!r} is in {units[name]} in one and in {unit} in the other; give one")
        inputs = tuple(dict.fromkeys((*self.inputs, *other.inputs)))
        return Dictionary(inputs, terms, functions=self.functions | other.functions, units=units or None)

    def _unit_names(self) -> dict[str, Unit]:
        return dict(zip(self.inputs, self.units, strict=True)) if self.units is not None else {}

    def select(self, chosen: Chosen) -> "Dictionary":
        """Only these terms, in the order of the dictionary.

        Args:
            chosen: numbers or names of terms, or a mask of shape `(num_terms,)`.

        Raises:
            ValueError: if a name or a number is unknown, or nothing is chosen.
        """
        kept = set(self.indices(chosen))
        return self._with([term for number, term in enumerate(self.terms) if number in kept])

    def without(self, chosen: Chosen) -> "Dictionary":
        """All terms but these.

        Args:
            chosen: numbers or names of terms, or a mask of shape `(num_terms,)`.
        """
        gone = set(self.indices(chosen))
        return self._with([term for number, term in enumerate(self.terms) if number not in gone])

    def indices(self, chosen: Chosen) -> list[int]:
        """The numbers of terms that are given by name, by number or by a mask.

        Raises:
            ValueError: if a name or a number is unknown, or a mask has another length.
        """
        return indices_of(chosen, self.names)

    def _with(self, terms: Sequence[Term]) -> "Dictionary":
        units = self._unit_names() or None
        return Dictionary(self.inputs, terms, functions=self.functions, units=units).to(self.order.device)

    @property
    def term_units(self) -> tuple[Unit, ...] | None:
        """The unit of each term, if the inputs have units.

        Raises:
            ValueError: if a term adds quantities of different units, or takes a function of one that has a unit.
        """
        if self.units is None:
            return None
        of_inputs = self._unit_names()
        return tuple(Unit.of_term(term, of_inputs) for term in self.terms)

    def follow_cut(self, kept: Mapping[tuple[str, int], Tensor]) -> None:
        """Compute only the terms that stay, after `order` was cut."""
        if ("order", 0) in kept:
            self._become(tuple(self.terms[number] for number in kept["order", 0].tolist()))

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        shown = ", ".join(self.names[:6]) + (", ..." if len(self) > 6 else "")
        return f"{' '.join(self.inputs)}; {len(self)} terms: {shown}"


def _evaluate(inner: Inner, columns: Mapping[str, Tensor], x: Tensor) -> Tensor:
    if inner.name:
        return columns[inner.name]
    total: Tensor | None = None
    for powers, coefficient in inner.parts:
        value: Tensor | None = None
        for name, power in powers:
            for _ in range(power):
                value = columns[name] if value is None else value * columns[name]
        part = torch.full_like(x[..., 0], coefficient) if value is None else value * coefficient
        total = part if total is None else total + part
    return torch.zeros_like(x[..., 0]) if total is None else total


def _uses(terms: Sequence[Term], name: str) -> bool:
    return any(name in term.functions for term in terms)
