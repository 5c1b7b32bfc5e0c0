"""Costs as polynomials in expected open counts, of the network that will really be delivered."""

__all__ = ["COUNTED", "KINDS", "Costs", "Target"]

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import reduce
from itertools import combinations
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ellzero.errors import nearest
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.layout import Layout

KINDS = ("params", "macs", "units")
"""Stored numbers, multiply-adds of one forward pass on the example, and open gates."""

COUNTED = ("terms",)
"""Costs that are limited by a number and not by a share: channels that no parameter writes, such as candidate terms."""

_Slot = tuple[str, int]


@dataclass(frozen=True)
class Target:
    """A cost of one kind, over everything whose name matches the pattern."""

    kind: str
    pattern: str = "*"

    def __str__(self) -> str:
        return self.kind if self.pattern == "*" else f"{self.kind} of {self.pattern!r}"


@dataclass(frozen=True)
class _Term:
    """`coefficient` times the product of the open counts of its slots."""

    name: str
    coefficient: int
    slots: tuple[_Slot, ...]


class _Shared(NamedTuple):
    """Terms some of whose slots have channels in common: which, their multiples per group, and the other columns."""

    rows: Tensor
    multiples: Tensor
    others: tuple[int, ...]


class Costs:
    r"""Several costs of one network, evaluated together in a dozen kernels, whatever the depth.

    .. math:: C_t = \sum_i c_{ti} \prod_{s \in i} n_s, \qquad n_s = b_s + \sum_g m_{sg} \sum_{j \in g} p_j

    where a tensor with the same channels along two dimensions keeps
    :math:`E[n_r n_s] = E[n_r] E[n_s] + \sum_g m_{rg} m_{sg} \sum_{j \in g} p_j (1 - p_j)` entries, gates being
    independent; along three, the third cumulant :math:`p_j (1 - p_j) (1 - 2 p_j)` is added in the same way. For
    probabilities 0 and 1 this is the exact count.

    Args:
        layout: the order of the gates.
        targets: what to count.

    Raises:
        ValueError: if a kind or a pattern is unknown, or nothing was recorded to count; the nearest name is offered.
    """

    def __init__(self, layout: Layout, targets: Sequence[Target]) -> None:
        self.layout = layout
        self.targets = tuple(targets)
        chosen = [_terms(layout, target) for target in targets]
        terms = [term for part in chosen for term in part]
        slots = sorted({slot for term in terms for slot in term.slots})
        width = max([1, *(len(term.slots) for term in terms)])
        number = {slot: index for index, slot in enumerate(slots)}
        self._factors = torch.tensor(
            [[number[s] for s in term.slots] + [len(slots)] * (width - len(term.slots)) for term in terms],
            dtype=torch.int64,
        ).reshape(-1, width)
        self._base, self._multiples = _open_counts(layout, slots)
        self._coefficients = torch.zeros(len(targets), len(terms), dtype=torch.int64)
        start = 0
        for row, part in enumerate(chosen):
            self._coefficients[row, start : start + len(part)] = torch.tensor([term.coefficient for term in part])
            start += len(part)
        self._shared = self._shared_terms()
        everything = torch.ones(layout.num_gates, dtype=torch.bool)
        self.full: list[int] = self.exact(everything)
        self._on: dict[torch.device, tuple[Tensor, ...]] = {}
        self._shared_by_device: dict[torch.device, list[tuple[int, _Shared]]] = {}

    def exact(self, is_open: Tensor) -> list[int]:
        """The cost of each target when exactly these gates are open.

        Args:
            is_open: bool, shape `(gates,)`.
        """
        effective = self.layout.effective(is_open.cpu().to(torch.int64))
        sums = torch.zeros(len(self.layout.must_stay), dtype=torch.int64).index_add(0, self.layout.group, effective)
        counts = torch.cat([self._base + self._multiples @ sums, torch.ones(1, dtype=torch.int64)])
        result: list[int] = (self._coefficients @ counts[self._factors].prod(1)).tolist()
        return result

    def real(self, is_open: Tensor) -> dict[str, float]:
        """The share of each target, by name, that stays when exactly these gates are open."""
        return self.named([size / full for size, full in zip(self.exact(is_open), self.full, strict=True)])

    def named(self, values: Sequence[float]) -> dict[str, float]:
        """One value per target, by name."""
        return {str(target): value for target, value in zip(self.targets, values, strict=True)}

    def expected(self, prob_open: Tensor) -> Tensor:
        """The expected share of each target that stays, differentiable.

        Args:
            prob_open: probability that each gate is open, float32, shape `(gates,)`.

        Returns:
            Shares of the full cost in [0, 1], shape `(targets,)`.
        """
        base, multiples, shares, group, nothing = self._constants(prob_open.device)
        effective = self.layout.effective(prob_open)
        sums = nothing.index_add(0, group, effective)
        counts = torch.addmv(base, multiples, sums).split(shares.shape[1])
        terms = reduce(torch.mul, counts)
        for order, shared in self._shared_on(prob_open.device):
            moment = effective * (1 - effective) * (1 if order == 2 else 1 - 2 * effective)
            spread = nothing.index_add(0, group, moment)
            others = [counts[column].index_select(0, shared.rows) for column in shared.others]
            terms = terms.index_add(0, shared.rows, reduce(torch.mul, others, shared.multiples @ spread))
        return shares @ terms

    def _shared_terms(self) -> list[tuple[int, _Shared]]:
        """For every two, and every three, slots of a term: the terms in which they have channels in common."""
        multiples = torch.cat([self._multiples, self._multiples.new_zeros(1, self._multiples.shape[1])])
        width = self._factors.shape[1]
        found = []
        for order in (2, 3):
            for columns in combinations(range(width), order):
                products = multiples[self._factors[:, list(columns)]].prod(1)
                rows = products.any(1).nonzero().squeeze(1)
                if len(rows):
                    others = tuple(column for column in range(width) if column not in columns)
                    found.append((order, _Shared(rows, products[rows].float(), others)))
        return found

    def _shared_on(self, device: torch.device) -> list[tuple[int, _Shared]]:
        if device not in self._shared_by_device:
            self._shared_by_device[device] = [
                (order, _Shared(shared.rows.to(device), shared.multiples.to(device), shared.others))
                for order, shared in self._shared
            ]
        return self._shared_by_device[device]

    def _constants(self, device: torch.device) -> tuple[Tensor, ...]:
        if device not in self._on:
            full = torch.tensor(self.full, dtype=torch.float64)[:, None]
            factors = self._factors.T.flatten()  # one column of all terms after the other
            ones = torch.ones(1, dtype=torch.int64)
            tensors = (
                torch.cat([self._base, ones])[factors].float(),
                torch.cat([self._multiples, self._multiples.new_zeros(1, self._multiples.shape[1])])[factors].float(),
                (self._coefficients / full).float(),
                self.layout.group,
                torch.zeros(self._multiples.shape[1], dtype=torch.float32),
            )
            self._on[device] = tuple(tensor.to(device) for tensor in tensors)
        return self._on[device]


def _terms(layout: Layout, target: Target) -> list[_Term]:
    if target.kind not in (*KINDS, *COUNTED):
        raise ValueError(f"unknown cost {target.kind!r}{nearest(target.kind, [*KINDS, *COUNTED])}")
    terms = _all_terms(layout, target.kind)
    found = [term for term in terms if term.coefficient and _matches(term.name, target.pattern)]
    if not terms and target.kind == "terms":
        raise ValueError(
            "no channel of this network is a candidate term: all are written by parameters, or kept; give it a "
            "SparseDictionary, or limit units"
        )
    if not terms:
        raise ValueError(f"no {target.kind} are known: these channels were written by hand; trace(model, example) them")
    if not found:
        names = {name for term in terms for name in (term.name, term.name.rpartition(".")[0]) if name}
        raise ValueError(f"no {target.kind} belong to {target.pattern!r}{nearest(target.pattern, names)}")
    return found


def _all_terms(layout: Layout, kind: str) -> list[_Term]:
    channels = layout.channels
    if kind == "units":
        return [_Term(group.name, 1, ((group.name, -1),)) for group in channels.gated]
    if kind == "terms":
        fixed = [g for g in channels.gated if g.writers and not channels.shapes.keys() & set(g.writers)]
        return [_Term(group.name, 1, ((group.name, -1),)) for group in fixed if channels.shapes]
    gated = set(layout.gates_of_slots())
    if kind == "params":
        return [_term(name, 1, _dimensions(channels, name), channels, gated) for name in channels.shapes]
    return [
        _term(
            work.tensor or work.module, work.count, (*_dimensions(channels, work.tensor), *work.rows), channels, gated
        )
        for work in channels.work
    ]


def _dimensions(channels: Channels, tensor: str | None) -> tuple[_Slot, ...]:
    return tuple((tensor, dim) for dim in range(len(channels.shapes[tensor]))) if tensor else ()


def _term(name: str, count: int, slots: Sequence[_Slot], channels: Channels, gated: set[_Slot]) -> _Term:
    fixed = prod(channels.shapes[tensor][dim] for tensor, dim in slots if (tensor, dim) not in gated)
    return _Term(name, count * fixed, tuple(slot for slot in slots if slot in gated))


def _matches(name: str, pattern: str) -> bool:
    """A pattern names a tensor, a module, or a module that contains it; `*` stands for anything."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def _open_counts(layout: Layout, slots: list[_Slot]) -> tuple[Tensor, Tensor]:
    """For each slot what is always open, and how many of its indices each channel of a group opens."""
    base = torch.zeros(len(slots), dtype=torch.int64)
    multiples = torch.zeros(len(slots), len(layout.must_stay), dtype=torch.int64)
    gates_of = layout.gates_of_slots()
    numbers = {group.name: number for number, group in enumerate(layout.channels.gated)}
    sizes = torch.bincount(layout.group, minlength=len(layout.must_stay))
    for row, slot in enumerate(slots):
        if slot[1] < 0:
            multiples[row, numbers[slot[0]]] = 1
            continue
        gates = gates_of[slot]
        base[row] = int((gates == layout.num_gates).sum())
        of_group = torch.bincount(layout.group[gates[gates < layout.num_gates]], minlength=len(sizes))
        multiples[row] = of_group // sizes
    return base, multiples
