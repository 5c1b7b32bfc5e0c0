"""The network that is checked: copies of it to work on, gated, with random plans, and cut."""

__all__ = ["Cut", "Rehearsed", "Skip", "Subject"]

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ellzero.conformance.agreement import said
from ellzero.gates import Gated
from ellzero.graph import Example, Plan, settle
from ellzero.graph.recording.example import is_floating
from ellzero.surgery import outputs_of, precisions, prune


class Skip(Exception):  # noqa: N818 - not an error
    """A check has nothing to say about this network; the message says why."""


class Rehearsed(NamedTuple):
    """A gated network with stirred weights, inputs for it, and whether all that it computes is float64."""

    gated: Gated
    example: Example
    is_exact: bool


class Cut(NamedTuple):
    """A plan, and the rehearsed network cut to it."""

    plan: Plan
    small: nn.Module


class Subject:
    """A gated network, of which every check gets its own copy.

    Args:
        gated: the network, gated; its gates get random values.
        example: its inputs.
        num_plans: how many random plans to cut it to.
        seed: of the plans, of the gates' values and of the random weights.
    """

    def __init__(self, gated: Gated, example: Example, *, num_plans: int, seed: int) -> None:
        self._gated, self.example = gated, example
        self._generator = torch.Generator().manual_seed(seed)
        self._plans = [self._random_plan(number) for number in range(num_plans)]
        values = torch.rand(gated.layout.num_gates, generator=self._generator) * 6 - 2
        with torch.no_grad():
            gated.log_odds.copy_(values)  # medians below one, so that there is something to fold
        self._cuts: list[Cut] | None = None

    def gated(self) -> Gated:
        """A copy of the gated network, in evaluation mode."""
        return copy.deepcopy(self._gated).eval()

    def dense(self) -> nn.Module:
        """A copy of the network without gates, with numbers of its own."""
        return copy.deepcopy(self._gated.bare())

    def small(self) -> nn.Module:
        """The network cut to the first plan, in evaluation mode.

        Raises:
            Skip: if the rehearsed network could not be cut; then that has been said.
        """
        self._check_cuttable()
        return prune(self.gated(), plan=self._plans[0]).eval()

    def cuts(self) -> list[Cut]:
        """The rehearsed network, cut to each plan.

        Raises:
            SurgeryError: if it cannot be cut.
            Skip: when that is asked again.
        """
        self._check_cuttable()
        if self._cuts is None:
            self._cuts = []  # what stays if it fails
            gated, example, _ = self.rehearsed
            self._cuts = [Cut(plan, prune(gated, plan=plan, example=example)) for plan in self._plans]
        return self._cuts

    @cached_property
    def rehearsed(self) -> Rehearsed:
        """The network in float64 if it runs like that, or else as it is.

        Its weights and inputs are random: one that starts at zero, or a blank example, would hide a difference.
        """
        twin = self._stirred(self.gated().double())
        example = self.varied(tree_map(_doubled, self.example))
        if _is_fine(twin, example) and _is_float64(twin, example):
            return Rehearsed(twin, example, True)
        twin, example = self._stirred(self.gated()), self.varied(self.example)
        return Rehearsed(*((twin, example) if _is_fine(twin, example) else (self.gated(), self.example)), False)

    def varied(self, example: Example) -> Example:
        """The example with random numbers in its floating tensors."""
        return tree_map(lambda leaf: self._noise(leaf) if is_floating(leaf) else leaf, example)

    def or_skip(self, action: Callable[[nn.Module], Any], network: nn.Module, what: str) -> Any:
        """Do something with a network.

        Raises:
            Skip: if it cannot be done with the network without gates either.
        """
        try:
            return action(network)
        except Skip:
            raise
        except Exception:
            dense = copy.deepcopy(network.bare()) if isinstance(network, Gated) else self.dense()
            try:
                action(dense.train(network.training))
            except Exception as own:
                raise Skip(f"the network itself {what}: {said(own)}") from own
            raise

    def _check_cuttable(self) -> None:
        if self._cuts is not None and not self._cuts:
            raise Skip("the network could not be cut")

    def _stirred(self, gated: Gated) -> Gated:
        for tensor in gated.model.parameters():
            if tensor.is_floating_point():
                scale = 0.3 * max(1, tensor[:1].numel()) ** -0.5 if tensor.dim() > 1 else 0.3
                tensor.data.add_(self._noise(tensor), alpha=scale)
        return gated

    def _random_plan(self, number: int) -> Plan:
        """Unequal shares of all groups at once; the second plan empties what may go, the third leaves little."""
        layout, generator = self._gated.layout, self._generator
        scores = torch.rand(layout.num_gates, generator=generator)
        is_open = torch.zeros(layout.num_gates, dtype=torch.bool)
        for group, place in layout.slices():
            share = float(torch.rand((), generator=generator)) if number % 3 != 2 else 0.02
            is_open[place] = scores[place] < (0.0 if group.removable and number % 3 == 1 else share)
        return Plan.of(layout, settle(layout, scores, is_open))

    def _noise(self, tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=self._generator).to(tensor.device, tensor.dtype)


def _is_fine(gated: Gated, example: Example) -> bool:
    """Whether it runs on the example, and nothing that it returns is infinite; a network may insist on its inputs."""
    try:
        return all(bool(one.isfinite().all()) for one in outputs_of(gated, example) if not one.is_meta)
    except Exception:  # whatever the user's forward raises
        return False


def _is_float64(gated: Gated, example: Example) -> bool:
    """A network may compute parts of it in another precision, whose rounding then is all that can be asked for."""
    return precisions(lambda: outputs_of(gated.bare(), example)) <= {torch.float64}


def _doubled(leaf: object) -> object:
    return leaf.double() if is_floating(leaf) else leaf
