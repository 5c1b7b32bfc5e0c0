"""The best subset for every budget at once, and the choice among them."""

__all__ = ["SubsetPath", "allocate", "subset_path"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from ellzero.dictionary.regression.allocation import allocate, best_sums, shares_of
from ellzero.dictionary.regression.criteria import criterion, joint_choices, knee
from ellzero.dictionary.regression.fits import Fits
from ellzero.dictionary.regression.gram import Gram
from ellzero.dictionary.regression.layout import Outputs, gram_of, refitted, search_of
from ellzero.dictionary.regression.options import check_effort, columns_named, whole
from ellzero.dictionary.regression.search import Search
from ellzero.dictionary.regression.subset import Optimality, Subset
from ellzero.dictionary.regression.swaps import empty_supports, grow, improve

_MOST = 32  # terms that a path goes up to, unless the caller says otherwise
_ROUNDS = 8
_NO_ENERGY = 1e-12  # of the largest eigenvalue


@final
@dataclass(frozen=True)
class SubsetPath:
    """Best subsets by number of terms, from the columns that are always in upwards."""

    gram: Gram
    """Statistics that the subsets were chosen on."""
    supports: Tensor
    """Indices, the number of columns where a slot is empty, shape `(roots, sizes, systems, slots)`."""
    residual: Tensor
    """Sum of squared errors, shape `(*batch, targets, sizes)`."""
    sizes: Tensor
    """Largest number of terms of each entry, shape `(sizes,)`."""
    is_shared: bool
    """Whether the targets share their support."""
    is_single: bool
    """Whether the targets had no dimension of their own."""

    def criterion(self, name: str) -> Tensor:
        """AIC, AICc, BIC, EBIC or EBICc of every subset, `(*batch, targets, sizes)`; one target if they share support.

        Raises:
            ValueError: if the name is unknown.
        """
        values = criterion(
            name, self.residual, self.gram.energy.unsqueeze(-1), self.sizes, num_samples=self.gram.num_samples,
            num_columns=self.gram.num_columns, has_intercept=self.gram.has_intercept,
        )  # fmt: skip
        return values.sum(-2, keepdim=True) if self.is_shared else values

    def knee(self) -> Tensor:
        """Number of terms where the residual bends most, shape `(*batch, targets)`, or one target if shared."""
        residual, energy = self.residual, self.gram.energy
        if self.is_shared:
            residual = (residual / energy.clamp_min(1e-300).unsqueeze(-1)).sum(-2, keepdim=True)
            energy = torch.full_like(residual[..., 0], float(self.gram.num_targets))
        return self.sizes[knee(residual, energy)]

    def num_terms(self, by: str = "ebicc") -> Tensor:
        """Number of terms that a criterion, or the "knee", chooses; shape `(*batch, targets)`, or one if shared.

        Raises:
            ValueError: if the name is unknown.
        """
        return self.knee() if by == "knee" else self.sizes[self.criterion(by).argmin(-1)]

    def total_criterion(self, by: str) -> tuple[Tensor, list[Tensor]]:
        """A criterion, or "knee" for the sum of residuals as parts of energies, by number of terms in total.

        The criteria of the targets add up; EBIC and EBICc count the supports of all targets together.

        Returns:
            From the smallest total upwards, shape `(*batch, totals)`, and what each target takes: see `best_sums`.

        Raises:
            ValueError: if the targets share their support, or the name is unknown.
        """
        self._check_apart()
        if by == "knee":
            return best_sums(self._parts())
        each, num_targets = self.criterion(by), self.gram.num_targets
        if by in ("ebic", "ebicc"):
            each = each - joint_choices(self.gram.num_columns, self.sizes)
        sums, takes = best_sums(each)
        if by in ("ebic", "ebicc"):
            totals = torch.arange(sums.shape[-1], device=sums.device) + self.sizes[0] * num_targets
            sums = sums + joint_choices(self.gram.num_columns * num_targets, totals)
        return sums, takes

    def total_terms(self, by: str = "ebicc") -> Tensor:
        """Numbers of terms of the targets that a criterion, or the "knee", chooses in total, `(*batch, targets)`.

        Raises:
            ValueError: as `total_criterion`.
        """
        sums, takes = self.total_criterion(by)
        best = knee(sums, torch.full_like(sums[..., 0], self.gram.num_targets)) if by == "knee" else sums.argmin(-1)
        return self.sizes[0] + shares_of(takes, best)

    def subset(self, terms: int | Tensor) -> Subset:
        """The best subset of at most so many terms.

        Args:
            terms: one number, or a tensor that broadcasts with `(*batch, targets)`.

        Raises:
            ValueError: if a number is not among `sizes`.
        """
        wanted = torch.as_tensor(terms, device=self.sizes.device)
        first, last = int(self.sizes[0]), int(self.sizes[-1])
        if int(wanted.min()) < first or int(wanted.max()) > last:
            raise ValueError(f"the path has {first} to {last} terms, {terms} were asked for; pass a larger max_terms")
        num_systems = self.supports.shape[2]
        shape = (*self.gram.batch_shape, num_systems)
        index = (wanted - first).expand(shape).reshape(-1, 1, num_systems, 1)
        chosen = self.supports.gather(1, index.expand(-1, 1, -1, self.supports.shape[-1])).squeeze(1)
        found = refitted(self.gram, chosen, (Optimality("local"),) * (chosen.shape[0] * num_systems))
        return found.without_targets() if self.is_single else found

    def total(self, terms: int) -> Subset:
        """Share one budget among the targets so that the sum of their residuals, as parts of their energies, is least.

        Args:
            terms: number of terms of all targets together.

        Raises:
            ValueError: if the targets share their support, or the path is too short for this budget.
        """
        self._check_apart()
        first, last = int(self.sizes[0]), int(self.sizes[-1])
        num = self.gram.num_targets
        reach = min(terms - first * (num - 1), self.gram.num_columns)
        if terms < first * num or (reach > last and terms < self.gram.num_columns * num):
            raise ValueError(
                f"{terms} terms for {num} targets cannot be shared on a path of {first} to {last} terms;"
                f" pass max_terms={max(reach, 1)}"
            )
        return self.subset(self.sizes[0] + allocate(self._parts(), terms - first * num))

    def _parts(self) -> Tensor:
        """Residuals as parts of the targets' energies."""
        return self.residual / self.gram.energy.clamp_min(1e-300).unsqueeze(-1)

    def _check_apart(self) -> None:
        if self.is_shared:
            raise ValueError("targets that share one support have no budgets to share; use outputs='separate'")


def subset_path(
    features: Any, targets: Any = None, *, max_terms: int | None = None, always: Sequence[int] = (),
    outputs: Outputs = "separate", weights: Any = None, intercept: bool = False, ridge: float = 0.0, depth: int = 1,
) -> SubsetPath:  # fmt: skip
    """Choose the best subsets of every size up to `max_terms`, all sizes, targets and systems together.

    Supports of neighbouring sizes are tried for one another, with one term more or less, until none gets better.

    Args:
        features: columns to choose from, shape `(*batch, samples, columns)`, or a `Gram`.
        targets: shape `(*batch, samples, targets)` or `(*batch, samples)`; None with a `Gram`.
        max_terms: largest size; if None, all columns, at most 32, half as many as there are samples, and
            n / (log log n log p) for n samples and p columns: of so many subsets some fit well by chance beyond, and no
            criterion sees it.
        always: indices of columns that are in every support; the path begins with them.
        outputs: `separate`: each target has supports of its own. `shared`: one for all targets.
        weights: weight of each sample, shape `(*batch, samples)`.
        intercept: whether a constant is fitted beside the columns, outside the budget.
        ridge: as for `best_subset`.
        depth: 1 to exchange one term at a time, 2 for two at once as well.

    Returns:
        The path.

    Raises:
        ValueError: as `best_subset`.
        TypeError: if the values are not real numbers.

    Source:
        Miller (2002), "Subset Selection in Regression", chapter 3; Zhu et al. (2020), "A polynomial algorithm for
        best-subset selection problem", PNAS, for the largest size.

    Example:
        >>> x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> path = subset_path(x, x[:, 1] - 2 * x[:, 4] + 0.01 * x[:, 0].sin())
        >>> path.num_terms("bic").tolist(), path.subset(2).support.tolist()
        ([3], [False, True, False, False, True])
    """
    gram, is_single = gram_of(features, targets, weights=weights, intercept=intercept)
    check_effort(depth=depth)
    num_fixed = len(columns_named(always, gram.num_columns, "always"))
    if max_terms is not None:
        max_terms = whole(max_terms, "max_terms", least=1)
    else:
        max_terms = max(1, num_fixed, min(gram.num_columns, _MOST, _told_by_samples(gram)))
    search, num_slots = search_of(gram, max_terms, always=always, outputs=outputs, ridge=ridge)
    sizes = torch.arange(num_fixed, num_slots + 1, device=gram.root.device)
    supports = _all_sizes(search, sizes, num_slots, depth)
    num_systems = search.budget.shape[1]
    supports = supports.view(len(search.root), len(sizes), num_systems, num_slots)
    stacked = [refitted(gram, supports[:, index], ()).residual for index in range(len(sizes))]
    return SubsetPath(gram, supports, torch.stack(stacked, -1), sizes, outputs == "shared", is_single)


def _told_by_samples(gram: Gram) -> int:
    """Sizes beyond which criteria mean nothing, because the data are fitted by chance."""
    most = gram.num_columns
    if gram.num_rows < 2 * most:  # half of the samples, repeated ones counted once
        root = gram.root.reshape(-1, *gram.root.shape[-2:])
        is_wide = root.shape[-1] > root.shape[-2]
        values = torch.linalg.eigvalsh(root @ root.mT if is_wide else root.mT @ root)
        rank = int((values > _NO_ENERGY * values[..., -1:]).sum(-1).min())
        most = min(gram.num_rows - gram.has_intercept, rank) // 2
    num = gram.num_samples - gram.has_intercept
    iterated = math.log(max(math.exp(math.e), num))
    return min(most, int(num / (math.log(iterated) * math.log(max(math.e, gram.num_columns)))))


def _all_sizes(search: Search, sizes: Tensor, num_slots: int, depth: int) -> Tensor:
    """Supports of all sizes as systems of one search, size by size, shape `(roots, sizes * systems, slots)`."""
    num_systems = search.budget.shape[1]
    budget = sizes.to(torch.float64).repeat_interleave(num_systems).expand(len(search.root), -1)
    wide = replace(search, target=search.target.repeat(1, len(sizes), 1, 1), budget=budget)
    fits = improve(wide, grow(wide, empty_supports(wide, num_slots)), depth=depth)
    has_changed = torch.ones_like(wide.budget, dtype=torch.bool)
    for _ in range(_ROUNDS):
        supports, loss = fits.supports, fits.loss
        candidates = ((_fewer(wide, fits, num_systems), -num_systems), (_more(wide, fits, num_systems), num_systems))
        for neighbour, shift in candidates:
            is_new = has_changed.roll(shift, 1) & (neighbour.sort(-1).values != supports.sort(-1).values).any(-1)
            if bool(is_new.any()):
                part = wide.of_systems(is_new)
                other = improve(part, neighbour[is_new].view(*part.budget.shape, -1), depth=depth)
                other_loss = torch.full_like(loss, torch.inf).masked_scatter(is_new, other.loss)
                is_better = other_loss < loss - wide.margin(loss)
                wider = torch.full_like(supports, wide.num_columns).masked_scatter(is_new.unsqueeze(-1), other.supports)
                supports = torch.where(is_better.unsqueeze(-1), wider, supports)
                loss = torch.where(is_better, other_loss, loss)
        has_changed = (supports != fits.supports).any(-1)
        if not bool(has_changed.any()):
            break
        fits = wide.fit(supports)
    return fits.supports


def _fewer(search: Search, fits: Fits, shift: int) -> Tensor:
    """For every size the support of the next larger one without the term that is missed least."""
    drops = torch.where(search.is_free(fits.supports), fits.drops, torch.inf)
    least = drops.argmin(-1, keepdim=True)
    smaller = fits.supports.scatter(-1, least, search.num_columns)
    smaller = torch.cat([smaller[:, shift:], fits.supports[:, -shift:]], 1)
    is_over = search.room(smaller) < 0  # where there was nothing to leave out
    return torch.where(is_over.unsqueeze(-1), fits.supports, smaller)


def _more(search: Search, fits: Fits, shift: int) -> Tensor:
    """For every size the support of the next smaller one with the best further term."""
    return grow(search, torch.cat([fits.supports[:, :shift], fits.supports[:, :-shift]], 1))
