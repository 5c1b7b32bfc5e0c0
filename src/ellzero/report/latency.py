"""How long networks take, measured in turns so that a busy machine slows all of them alike."""

__all__ = ["Latency", "Spread", "in_turns", "measure"]

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ellzero.graph import Example, forward
from ellzero.surgery import evaluating

_ROUNDS = 31
_SECONDS = 2e-2
_MOST_CALLS = 1000


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of two values or more."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(low, median, high)


@dataclass(frozen=True)
class Latency:
    """Time of a forward pass on the example before and after, and how much faster it became.

    Attributes:
        before: milliseconds of the network without gates.
        after: milliseconds of the pruned one.
        measured: ratio of the two, of neighbouring measurements.
        predicted: ratio of the multiply-adds, or None if nothing is left of them.
        rounds: how many measurements of each.
        threads: of the CPU, in a single operation.
        device: where the networks were.
    """

    before: Spread
    after: Spread
    measured: Spread
    predicted: float | None
    rounds: int
    threads: int
    device: str


def measure(before: nn.Module, after: nn.Module, example: Example, *, predicted: float | None) -> Latency:
    """Measure two networks in turns.

    Args:
        before: one network.
        after: the other.
        example: what both are called with.
        predicted: the speed-up that the multiply-adds let expect.
    """
    times = in_turns({"before": before, "after": after}, example, rounds=_ROUNDS)
    ratios = [slow / fast for slow, fast in zip(times["before"], times["after"], strict=True)]
    return Latency(
        Spread.of([1e3 * seconds for seconds in times["before"]]),
        Spread.of([1e3 * seconds for seconds in times["after"]]),
        Spread.of(ratios),
        predicted,
        _ROUNDS,
        torch.get_num_threads(),
        str(_device(example)),
    )


def in_turns(
    networks: Mapping[str, nn.Module], example: Example, *, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of a forward pass in evaluation mode: in every round each network has its turn, in rotating order.

    A turn is a block of calls that lasts some milliseconds; its mean counts. Each turn begins with a call that does
    not, because the others have emptied the caches.

    Args:
        networks: what to measure, by name.
        example: what all are called with.
        rounds: how many turns each has.
        clock: seconds; on one thread of a busy machine `time.process_time` counts the network's own only.

    Returns:
        For each network one number per round.
    """
    names = list(networks)
    device = _device(example)
    with evaluating(*networks.values()), torch.no_grad():
        calls = {name: _num_calls(networks[name], example, device, clock) for name in names}
        times: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds):
            start = turn % len(names)
            for name in names[start:] + names[:start]:
                forward(networks[name], example)
                times[name].append(_block(networks[name], example, calls[name], device, clock))
    return times


def _num_calls(network: nn.Module, example: Example, device: torch.device, clock: Callable[[], float]) -> int:
    once = min(_block(network, example, 2, device, clock) for _ in range(3))
    return max(1, min(_MOST_CALLS, round(_SECONDS / max(once, 1e-9))))


def _block(network: nn.Module, example: Example, calls: int, device: torch.device, clock: Callable[[], float]) -> float:
    _synchronize(device)
    start = clock()
    for _ in range(calls):
        forward(network, example)
    _synchronize(device)
    return (clock() - start) / calls


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _device(example: Example) -> torch.device:
    tensors = [leaf for leaf in tree_leaves(example) if isinstance(leaf, Tensor)]
    return tensors[0].device if tensors else torch.device("cpu")
