"""Ensembles: how often terms are chosen when the rows of the regression are drawn anew."""

__all__ = ["block_weights", "inclusion_probabilities"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.dictionary.gram import Gram
from ellzero.dictionary.regress import Rows
from ellzero.dictionary.subsets import best_subset


def block_weights(rows: int, draws: int, *, block: int, seed: int) -> Tensor:
    """How often each row is drawn when blocks of neighbouring rows are drawn with replacement.

    Args:
        rows: how many rows there are.
        draws: how many samples to draw.
        block: rows in a block, so that neighbours, which are alike, stay together.
        seed: of the draws.

    Returns:
        Whole numbers, shape `(draws, rows)`; each sample has about as many rows as the data.

    Example:
        >>> int(block_weights(10, 3, block=2, seed=0).sum())
        30
    """
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(rows, (draws, -(-rows // block)), generator=generator)
    drawn = (starts[:, :, None] + torch.arange(block)).flatten(1) % rows
    return torch.zeros(draws, rows, dtype=torch.float64).scatter_add_(
        1, drawn[:, :rows], torch.ones(draws, rows, dtype=torch.float64)
    )


def inclusion_probabilities(
    systems: Rows, counts: Sequence[int], draws: int, *, block: int = 8, seed: int = 0
) -> Tensor:
    """Share of the samples in which the best subset of each equation holds each term.

    Args:
        systems: features and target of each equation.
        counts: how many terms each equation keeps.
        draws: bootstrap samples.
        block: rows that are drawn together.
        seed: of the draws.

    Returns:
        Shape `(equations, terms)`.

    Raises:
        ValueError: if there is not at least one draw.
    """
    if draws < 1:
        raise ValueError(f"at least one bootstrap is needed, got {draws}; try 100")
    found = []
    for equation, ((features, target), count) in enumerate(zip(systems, counts, strict=True)):
        if count == 0:
            found.append(torch.zeros(features.shape[1], dtype=features.dtype))
            continue
        weights = block_weights(len(target), draws, block=block, seed=seed + equation)
        gram = Gram.of(features.expand(draws, -1, -1), target.expand(draws, -1)[..., None], weights=weights)
        found.append(best_subset(gram, terms=count).support[:, 0].double().mean(0))
    return torch.stack(found)
