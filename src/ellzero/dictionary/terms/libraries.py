"""Constructors: the usual dictionaries of candidate terms."""

__all__ = ["Inputs", "Units", "as_polynomial", "chosen_of", "custom", "identity", "names_of", "polynomial", "rational"]

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, combinations_with_replacement

from torch import Tensor

from ellzero.dictionary.terms.checks import check_functions
from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.inner import Inner
from ellzero.dictionary.terms.limits import check_count, check_degree
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.dictionary.terms.units import Unit
from ellzero.errors import nearest

Inputs = int | str | Sequence[str]
"""How many inputs (they are called x0, x1, ...), or their names, perhaps in one string with spaces between."""

Units = Mapping[str, str | Unit] | None


def identity(inputs: Inputs, *, units: Units = None) -> Dictionary:
    """The inputs themselves.

    Args:
        inputs: how many, or their names.
        units: of the inputs by name.

    Example:
        >>> identity(3).names
        ('x0', 'x1', 'x2')
    """
    names = names_of(inputs)
    return Dictionary(names, [Term.variable(name) for name in names], units=units)


def polynomial(
    inputs: Inputs,
    degree: int,
    *,
    bias: bool = True,
    interactions: bool = True,
    only: Sequence[str] | None = None,
    units: Units = None,
) -> Dictionary:
    r"""All monomials up to a degree, the lowest first.

    .. math:: \prod_j x_j^{k_j}, \qquad \sum_j k_j \le d

    Args:
        inputs: how many, or their names.
        degree: d.
        bias: whether the constant term is among them.
        interactions: whether inputs are multiplied with others; otherwise each has powers of its own only.
        only: the inputs that are used, if not all.
        units: of the inputs by name.

    Raises:
        ValueError: if the degree is negative or far too large, or nothing is left.

    Example:
        >>> polynomial("x y", 2).names
        ('1', 'x', 'y', 'x^2', 'x y', 'y^2')
        >>> polynomial("x y", 3, bias=False, interactions=False).names
        ('x', 'y', 'x^2', 'y^2', 'x^3', 'y^3')
    """
    names = names_of(inputs)
    _whole("degree", degree, least=0)
    check_degree(degree, "the degree")
    used = chosen_of(names, only)
    many = math.comb(len(used) + degree, degree) if interactions else len(used) * degree
    check_count(many, f"the number of monomials of degree {degree} in {len(used)} inputs")
    terms = [Term()] if bias else []
    for power in range(1, degree + 1):
        if interactions:
            terms += [_product(one) for one in combinations_with_replacement(used, power)]
        else:
            terms += [Term.variable(name, power) for name in used]
    return Dictionary(names, terms, units=units)


def rational(
    inputs: Inputs,
    degree: int,
    denominators: Sequence[Inner] | None = None,
    *,
    bias: bool = True,
    units: Units = None,
) -> Dictionary:
    r"""All monomials up to a degree over each of some polynomials.

    .. math:: \frac{\prod_j x_j^{k_j}}{q_i(x)}, \qquad \sum_j k_j \le d

    Args:
        inputs: how many, or their names.
        degree: d, of the numerators.
        denominators: polynomials made with `variables`; by default 1 + x^2 for each input.
        bias: whether 1 is among the numerators.
        units: of the inputs by name.

    Raises:
        ValueError: if a denominator is a number, or nothing is left.

    Example:
        >>> from ellzero.dictionary import variables
        >>> s, = variables("s")
        >>> rational("s", 1, [0.5 + s]).names
        ('1/(0.5 + s)', 's/(0.5 + s)')
    """
    names = names_of(inputs)
    below = list(denominators) if denominators is not None else [1 + Inner.of(name) ** 2 for name in names]
    for one in below:
        if not isinstance(one, Inner) or not one.inputs:
            raise ValueError(
                f"a denominator must depend on an input, got {str(one)!r}; write 1 + x**2 with variables('x')"
            )
    above = polynomial(names, degree, bias=bias).terms
    terms = dict.fromkeys(term * Term.of("identity", one, -1) for one in below for term in above)
    return Dictionary(names, list(terms), units=units)


def custom(
    inputs: Inputs,
    functions: Mapping[str, Callable[..., Tensor]],
    of: Sequence[str | Inner | Sequence[str | Inner]] | None = None,
    *,
    units: Units = None,
) -> Dictionary:
    """Functions of your own, of every input, or of every combination of as many inputs as they take.

    Args:
        inputs: how many, or their names.
        functions: by name. They are given one tensor per argument and work element by element, with PyTorch's
            operations, so that they can be differentiated and compiled.
        of: what they are applied to, if not to all inputs: names or polynomials made with `variables`, in tuples for
            functions of several arguments.
        units: of the inputs by name.

    Raises:
        ValueError: if a name is taken, or the number of arguments cannot be told.

    Example:
        >>> import torch
        >>> custom("x y", {"bump": lambda a: torch.exp(-a**2), "gap": lambda a, b: (a - b).abs()}).names
        ('bump(x)', 'bump(y)', 'gap(x, y)')
    """
    names = names_of(inputs)
    check_functions(functions)
    terms: dict[Term, None] = {}
    for name, function in functions.items():
        arity = _arity(name, function) if of is None else 0
        check_count(math.comb(len(names), arity), f"the number of terms of {name!r}")
        listed = combinations(names, arity) if of is None else map(_as_tuple, of)
        for arguments in listed:
            first, *more = [as_polynomial(argument, names) for argument in arguments]
            terms[Term((Factor(name, first, 1, tuple(more)),))] = None
    return Dictionary(names, list(terms), functions=functions, units=units)


def names_of(inputs: Inputs) -> tuple[str, ...]:
    """The names of the inputs.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(inputs, str):
        return tuple(re.split(r"[\s,]+", inputs.strip()))
    if isinstance(inputs, int):
        _whole("the number of inputs", inputs, least=1)
        check_count(inputs, "the number of inputs")
        return tuple(f"x{number}" for number in range(inputs))
    return tuple(inputs)


def chosen_of(names: tuple[str, ...], only: Sequence[str] | None) -> tuple[str, ...]:
    """Those of the names that are chosen, in their order; all if nothing is said."""
    if only is None:
        return names
    if isinstance(only, str):
        raise ValueError(f"inputs are chosen by a list of names, got the string {only!r}; write [{only!r}]")
    for name in only:
        if name not in names:
            raise ValueError(f"{name!r} is chosen, which is no input{nearest(name, names)}")
    return tuple(name for name in names if name in only)


def _product(names: Sequence[str]) -> Term:
    return Term(tuple(Factor("identity", Inner.of(name)) for name in names))


def _whole(what: str, number: object, *, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ValueError(f"{what} must be a whole number from {least} on, got {number!r}")


def _arity(name: str, function: Callable[..., Tensor]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"how many arguments {name!r} takes cannot be told; wrap it: lambda a: function(a), or give of=[...]"
        ) from error
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not needed:
        raise ValueError(f"the function {name!r} takes no argument; a term is a function of one input or more")
    return len(needed)


def _as_tuple(arguments: str | Inner | Sequence[str | Inner]) -> Sequence[str | Inner]:
    return (arguments,) if isinstance(arguments, (str, Inner)) else arguments


def as_polynomial(argument: str | Inner, names: tuple[str, ...]) -> Inner:
    """An argument that may be given by the name of an input."""
    if isinstance(argument, str):
        chosen_of(names, [argument])
        return Inner.of(argument)
    return argument
