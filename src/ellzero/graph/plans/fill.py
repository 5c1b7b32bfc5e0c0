"""Open the best gates of each group up to a given width."""

__all__ = ["Filling"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ellzero.graph.plans.widths import Widths


class Filling:
    """The best gates of every group for any widths; they can be delivered as they are (`settle` changes nothing).

    Positions are taken from the channels that are open, and each open channel that is read by positions only gets one.

    Args:
        widths: what is allowed.
        is_open: a settled set of gates; these are better than all others, bool, shape `(gates,)`.
        log_odds: all gates, shape `(gates,)`.
    """

    def __init__(self, widths: Widths, is_open: Tensor, log_odds: Tensor) -> None:
        self.widths, self.is_open = widths, is_open
        self.layout = widths.layout
        self.slices = [place for _, place in self.layout.slices()]
        by_log_odds = torch.argsort(log_odds, descending=True, stable=True)
        best_first = by_log_odds[torch.argsort(is_open[by_log_odds].int(), descending=True, stable=True)]
        ranked = best_first[torch.argsort(self.layout.group[best_first], stable=True)]
        self.order = list(ranked.split([place.stop - place.start for place in self.slices]))
        groups = self.layout.channels.gated
        numbers = {group.name: number for number, group in enumerate(groups)}
        self._parents = [numbers.get(group.parent) for group in groups]
        self._first = [
            parent is not None and parent not in self._parents[:number] for number, parent in enumerate(self._parents)
        ]

    def least(self) -> list[int]:
        """The narrowest allowed width of each bundle."""
        return [allowed[0] for allowed in self.widths.allowed]

    def covering(self) -> list[int]:
        """The narrowest allowed width of each bundle at which everything that is open stays open."""
        levels = [allowed[-1] for allowed in self.widths.allowed]
        for pass_over_positions in (False, True):
            filled = self.open(levels) if pass_over_positions else self.is_open
            for number, bundle in enumerate(self.widths.bundles):
                if (self._parents[bundle[0]] is not None) is pass_over_positions:
                    needed = max(self._needed(group, filled) for group in bundle)
                    levels[number] = next(width for width in self.widths.allowed[number] if width >= needed)
        return levels

    def open(self, levels: Sequence[int]) -> Tensor:
        """The gates that are open at these widths, bool, shape `(gates,)`.

        Args:
            levels: an allowed width for each bundle. A group of positions gets less where its channels do not have so
                many, and more where each of them needs one.
        """
        is_open = torch.zeros(self.layout.num_gates, dtype=torch.bool)
        of_group = {group: level for bundle, level in zip(self.widths.bundles, levels, strict=True) for group in bundle}
        bundle_of = {group: number for number, bundle in enumerate(self.widths.bundles) for group in bundle}
        for group, order in enumerate(self.order):
            if self._parents[group] is None:
                is_open[order[: of_group[group]]] = True
        for group, order in enumerate(self.order):
            if self._parents[group] is not None:
                inside = order[is_open[self.layout.parent[order]]]
                reserved = self._reserved(group, inside)
                rest = inside[~torch.isin(inside, reserved)]
                width = _fitting(self.widths.allowed[bundle_of[group]], of_group[group], len(reserved), len(inside))
                is_open[torch.cat([reserved, rest])[:width]] = True
        return is_open

    def _needed(self, group: int, filled: Tensor) -> int:
        """How many gates of a group must be open for those that are open already, and for channels beside them."""
        own = self.is_open[self.slices[group]]
        if self._parents[group] is None:
            return int(own.sum())
        order = self.order[group]
        inside = order[filled[self.layout.parent[order]]]
        return int(own.sum()) + int((~self.is_open[self._reserved(group, inside)]).sum())

    def _reserved(self, group: int, inside: Tensor) -> Tensor:
        """The best position of each open channel that only positions read; of the first such layer alone."""
        if not self._first[group]:
            return inside[:0]
        parents = self.layout.parent[inside]
        chosen = self.layout.is_read_by_position[parents]
        inside, parents = inside[chosen], parents[chosen]
        first = torch.full((self.layout.num_gates,), len(inside))
        first = first.scatter_reduce(0, parents, torch.arange(len(inside)), "amin")
        return inside[first[first < len(inside)].sort().values]


def _fitting(allowed: Sequence[int], level: int, least: int, most: int) -> int:
    """The largest allowed width up to the level and the number there is, or else the smallest that is enough."""
    least = max(least, min(1, most))
    below = [width for width in allowed if least <= width <= min(level, most)]
    above = [width for width in allowed if least <= width <= most]
    return below[-1] if below else above[0] if above else most
