"""What a dictionary refuses: names, functions, terms and samples with which it would be none."""

__all__ = ["check_functions", "check_inputs", "check_samples", "check_terms"]

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.inner import check_name
from ellzero.dictionary.terms.term import Term
from ellzero.errors import nearest


def check_inputs(inputs: Sequence[str]) -> None:
    """Refuse names of inputs that cannot be printed, or of which two are the same.

    Raises:
        ValueError: if there is none, or one of these.
    """
    if not inputs:
        raise ValueError("a dictionary needs at least one input; give names such as ('x', 'y')")
    for name in inputs:
        check_name(name)
        if inputs.count(name) > 1:
            raise ValueError(f"two inputs are called {name!r}; give each a name of its own")


def check_functions(functions: Mapping[str, Callable[..., Tensor]]) -> None:
    """Refuse functions of one's own that cannot be terms.

    Raises:
        TypeError: if one is not callable.
        ValueError: if a name is taken or cannot be printed, or a function has parameters.
    """
    for name, function in functions.items():
        check_name(name, "a function")
        if name in FUNCTIONS or name == "one":
            raise ValueError(f"the library has a function {name!r} already; call yours something else")
        if not callable(function):
            raise TypeError(f"the function {name!r} must be callable, got {type(function).__name__}")
        if isinstance(function, nn.Module) and any(True for _ in function.parameters()):
            raise ValueError(f"the function {name!r} has parameters of its own, which a fixed term cannot learn")


def check_terms(terms: Sequence[Term], inputs: Sequence[str], functions: Mapping[str, object]) -> None:
    """Refuse terms that cannot be computed from the inputs and the functions that there are.

    Raises:
        TypeError: if one is no term.
        ValueError: if there is none, one is given twice, or depends on what is not there.
    """
    if not terms:
        raise ValueError("a dictionary needs at least one term, got none")
    seen: set[Term] = set()
    for term in terms:
        if not isinstance(term, Term):
            raise TypeError(f"expected terms, got {type(term).__name__}; write Term.of('sin', x), or use a constructor")
        if term in seen:
            raise ValueError(f"the term {str(term)!r} is given twice; leave one out")
        seen.add(term)
        for name in sorted(term.inputs - set(inputs)):
            raise ValueError(f"the term {str(term)!r} depends on {name!r}, which is no input{nearest(name, inputs)}")
        for name in sorted(term.functions - FUNCTIONS.keys() - functions.keys()):
            known = [*FUNCTIONS, *functions]
            raise ValueError(f"the function {name!r} of the term {str(term)!r} is not known{nearest(name, known)}")


def check_samples(x: Tensor, inputs: Sequence[str]) -> None:
    """Refuse samples that are not those of the inputs.

    Args:
        x: expected to be floating, shape `(..., num_inputs)`.
        inputs: their names.

    Raises:
        TypeError: if they are no floating-point tensor.
        ValueError: if the last dimension does not hold the inputs.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"the inputs of a dictionary must be a floating-point tensor, got {found}")
    if x.dim() < 1 or x.shape[-1] != len(inputs):
        raise ValueError(
            f"the last dimension must hold the {len(inputs)} inputs {', '.join(inputs)}; got shape {tuple(x.shape)}"
        )
