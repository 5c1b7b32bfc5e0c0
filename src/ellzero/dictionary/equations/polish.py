"""`polish`: the exact stage after gates, which exchanges the terms that they left for better ones."""

__all__ = ["polish"]

import torch
from torch import Tensor
from torch.nn.functional import pad

from ellzero.dictionary.equations.refit import sums_before
from ellzero.dictionary.equations.sparse import SparseDictionary
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.layout import Outputs, put_together, refitted, search_of, taken_apart
from ellzero.dictionary.regression.rounding import rounding_of
from ellzero.dictionary.regression.swaps import grow, improve
from ellzero.dictionary.terms.dictionary import Dictionary


def polish(
    model: SparseDictionary, x: Tensor, y: Tensor, candidates: Dictionary, terms: int | None = None, *, depth: int = 2
) -> SparseDictionary:
    r"""Exchange one or two terms at a time for other candidates, as long as the squared error falls, and refit.

    .. math:: \min_S \min_{c_S} \sum_n w_n \Big|\sum_{j \in S} c_j \theta_j(x_n) - f^{-1}(y_n)\Big|^2, \quad |S| \le k

    with k the number of terms. Gates see all candidates at once and explore; where terms resemble each
    other, what they leave is near the best subset more often than it is the best. Starting from it, this stage is
    exact in every exchange. Errors of several outputs count as parts of the energies of their targets.

    Args:
        model: a dictionary that was pruned, or any other; it is left as it is.
        x: samples, shape `(num_samples, num_inputs)`.
        y: targets, shape `(num_samples, num_outputs)`.
        candidates: all terms, those of the model among them.
        terms: k, at least as many as the model has, which gates may have left below their budget; by default as many.
        depth: 1 to exchange one term at a time, 2 for two at once as well.

    Returns:
        A new model of at most k terms, of the dtype and on the device of the first; no term of it can be exchanged for
        another to lower the error. Samples where a `clip` holds a target at a limit are left out.

    Raises:
        ValueError: if a term of the model is not a candidate, the budget is smaller than the model, inputs or shapes do
            not fit, or an output function is neither linear nor `clip`.
        NonFiniteError: if a term overflows on the samples; it is named.

    Source:
        Zhu et al. (2020), "A polynomial algorithm for best-subset selection problem", PNAS, for exchanges.

    Example:
        >>> from ellzero.dictionary import polynomial
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> wrong = SparseDictionary(polynomial("x v", 2).select(["x^2"]), 1, targets=["v'"])
        >>> print(polish(wrong, x, -4 * x[:, :1], polynomial("x v", 2)).equations())
        v' = -4 x
    """
    places = _places(model, candidates)
    sums, is_used = sums_before(model.outputs, y, len(x))
    gram = Gram.of(candidates.evaluate(x)[is_used], sums[is_used], rounding=rounding_of(x))
    outputs: Outputs = "total" if model.per_output else "shared"
    budget = max(1, model.num_terms) if terms is None else terms
    if budget < model.num_terms:
        raise ValueError(f"the model has {model.num_terms} terms, the budget is {budget}; prune to the budget first")
    search, num_slots = search_of(gram, budget, outputs=outputs)
    num = len(candidates)
    start = put_together(places[None], num) if model.per_output else places[None, :1]
    start = pad(start, (0, num_slots), value=search.num_columns)[..., :num_slots].to(search.root.device)
    supports = improve(search, grow(search, start), depth=depth).supports
    supports = taken_apart(supports, num, model.num_outputs) if model.per_output else supports
    found = refitted(gram, supports, ())
    return _rebuilt(model, candidates, found.coefficients, found.support)


def _places(model: SparseDictionary, candidates: Dictionary) -> Tensor:
    """Numbers of the candidates that each output uses, padded by their number, shape `(num_outputs, num_terms)`."""
    if model.dictionary.inputs != candidates.inputs:
        raise ValueError(
            f"the candidates are functions of {', '.join(candidates.inputs)}, the model of "
            f"{', '.join(model.dictionary.inputs)}; make them for the same inputs"
        )
    missing = [name for name in model.dictionary.names if name not in candidates.names]
    if missing:
        raise ValueError(f"the terms {', '.join(missing)} of the model are not among the candidates; add them")
    numbers = torch.tensor([candidates.names.index(name) for name in model.dictionary.names])
    return torch.where(model.support, numbers, len(candidates)).sort(1).values


def _rebuilt(
    model: SparseDictionary, candidates: Dictionary, coefficients: Tensor, support: Tensor
) -> SparseDictionary:
    """A model of the chosen terms."""
    used = support.any(0).nonzero().squeeze(1).tolist() or [0]
    found = SparseDictionary(
        candidates.select(used), model.num_outputs, output=model.outputs, per_output=model.per_output,
        targets=model.targets,
    ).to(model.coefficients)  # fmt: skip
    chosen = support[:, used].cpu()
    values = coefficients[:, used].to(model.coefficients)
    with torch.no_grad():
        if model.per_output:
            kept = chosen.flatten().nonzero().squeeze(1).to(values.device)
            found.coefficients = torch.nn.Parameter(values.flatten()[kept])
            found.follow_cut({("coefficients", 0): kept})
        else:
            found.coefficients.copy_(values)
    return found
