"""The one owner of all gate state: a flat vector of log-odds, and the counters of the noise."""

__all__ = ["GateVector"]

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ellzero.distributions import median, prob_open, sample_logistic
from ellzero.graph import Layout, settle, tensors_in
from ellzero.noise import Lookahead, advance, counters

Slot = tuple[str, int]


@dataclass
class _Draw:
    """What one forward drew; if it can be recomputed, alive as long as its outputs can be differentiated."""

    counters: Tensor
    masks: tuple[Tensor, ...]
    is_packed: bool = False


class _Moment:
    """What passes within a step. On a module these would be attributes too, and cost a search at each assignment."""

    drawn: _Draw | None = None
    planned: Tensor | None = None
    replayed: weakref.ref[_Draw] | None = None


class GateVector(nn.Module):
    """All gates of a network; every value is a pure function of `log_odds` and `counters`.

    Args:
        layout: the order of the gates.
        log_odds: where they start, float32, shape `(gates,)`.
        slots: the stored dimensions that are masked, in the order of `masks`.
        seed: of the noise.
    """

    counters: Tensor
    gate_of: Tensor

    def __init__(self, layout: Layout, log_odds: Tensor, slots: list[Slot], *, seed: int) -> None:
        super().__init__()
        self.layout = layout
        self.log_odds = nn.Parameter(log_odds)
        self.register_buffer("counters", counters(seed, device=log_odds.device))
        gates_of = layout.gates_of_slots()
        self.sizes = [len(gates_of[slot]) for slot in slots]
        gate_of = torch.cat([gates_of[slot] for slot in slots])
        self.register_buffer("gate_of", gate_of.to(log_odds.device), persistent=False)
        in_order = torch.arange(layout.num_gates)
        self._in_order = not layout.has_parents and torch.equal(gate_of, in_order)
        self._noise = Lookahead(layout.num_gates)
        self._now = _Moment()

    def prob_open(self) -> Tensor:
        """Probability that each gate is open, differentiable, shape `(gates,)`."""
        return prob_open(self.log_odds)

    def is_open(self) -> Tensor:
        """The settled set of gates whose median is not zero, bool, shape `(gates,)`."""
        log_odds = self.log_odds.detach()
        return settle(self.layout, log_odds, median(log_odds) > 0)

    def values(self) -> Tensor:
        """The gates of this training step, or in evaluation their medians, shape `(gates,)`.

        In evaluation a gate that is shut by the median but must stay open is one.

        Raises:
            ValueError: if the network is exported in training mode.
        """
        planned = self._now.planned
        if self.training and planned is None:
            if _is_exporting():
                raise ValueError(
                    "the gated network is exported in training mode, which would make one draw of its random gates a "
                    "constant of the graph; call gated.eval() first, or export what prune(gated) returns"
                )
            draw = self._replay()
            return sample_logistic(self.log_odds, self._noise.logistic(draw.counters if draw else self.counters))
        log_odds = self.log_odds.detach() if planned is not None else self.log_odds
        is_open = self.is_open() if planned is None else planned.to(log_odds.device)
        middle = median(log_odds)
        return torch.where(is_open, torch.where(middle > 0, middle, 1.0), 0.0)

    def masks(self) -> tuple[Tensor, ...]:
        """What multiplies each masked dimension: one vector per slot, ones where nothing is gated."""
        draw = self._now.drawn or self._replay()
        if draw is None:
            return self._masks()
        draw.is_packed = draw.is_packed or _is_packing()
        return draw.masks

    def _masks(self) -> tuple[Tensor, ...]:
        values = self.values()
        if self._in_order:
            return values.split(self.sizes)
        extended = torch.cat([self.layout.effective(values), values.new_ones(1)])
        return extended.index_select(0, self.gate_of).split(self.sizes)

    def draw(self, network: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call the network with one evaluation of the gates: new noise in training, unless it is a recomputation.

        Activation checkpointing runs parts of the network again during the backward pass. They must meet the gates of
        their own forward, and not those of the latest: the gradient of its output, which arrives first, says which.
        """
        if self.training and self._replay() is None:
            self.advance(step=False)
        self._now.drawn = draw = _Draw(self.counters, self._masks())
        try:
            output = network(*args, **kwargs)
        finally:
            self._now.drawn = None
        if draw.is_packed and torch.is_grad_enabled() and not _is_backward():
            draw.counters = self.counters.clone()
            self._announce(output, draw)
        return output

    def _announce(self, output: Any, draw: _Draw) -> None:
        """Replay this draw once the backward pass reaches the output."""
        now = self._now

        def arrive(_: Tensor) -> None:
            now.replayed = weakref.ref(draw)

        for tensor in tensors_in(output):
            if tensor.grad_fn is not None:
                tensor.register_hook(arrive)

    def _replay(self) -> _Draw | None:
        """The draw that a recomputation must use; none outside of a backward pass."""
        replayed = self._now.replayed
        return replayed() if replayed is not None and _is_backward() else None

    @contextmanager
    def planned(self, is_open: Tensor) -> Iterator[None]:
        """Within it, exactly these gates are open, bool, shape `(gates,)`; nothing is random."""
        before, self._now.planned = self._now.planned, is_open
        try:
            yield
        finally:
            self._now.planned = before

    def advance(self, *, step: bool) -> None:
        """Move to the noise of the next step, or of the next micro-batch within it."""
        advance(self.counters, step=step)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "GateVector":
        """Gates move between devices with the network but stay float32: half precision freezes them."""

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(move, recurse)  # type: ignore[no-untyped-call]
        return self


def _is_exporting() -> bool:
    """Whether a graph is made that outlives this step; in torch 2.9 the public question also says so of compiling."""
    return torch.compiler._is_exporting_flag or torch._C._get_tracing_state() is not None


def _is_packing() -> bool:
    """Whether what is needed for the backward pass is not kept as it is: checkpointing recomputes it."""
    return not torch.compiler.is_compiling() and torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _is_backward() -> bool:
    """Whether a backward pass is running in this thread: what is computed now is a recomputation."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
