"""`check_model`: whether a network can be gated, cut, trained, saved, exported and compiled, with the same outputs."""

__all__ = ["CHECKS", "check_model"]

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ellzero.conformance import exactness, graphs, life
from ellzero.conformance.agreement import said
from ellzero.conformance.result import Check, Conformance, Outcome
from ellzero.conformance.subject import Skip, Subject
from ellzero.errors import SurgeryError, TraceError, nearest
from ellzero.gates import Gated
from ellzero.graph import Channels, Example, place_of, trace
from ellzero.graph.recording.copies import not_copied
from ellzero.surgery import outputs_of

CHECKS: Mapping[str, Callable[[Subject], str]] = MappingProxyType({
    "open gates": exactness.check_open,
    "pruning": exactness.check_pruning,
    "parameters": exactness.check_params,
    "multiply-adds": exactness.check_macs,
    "save and load": life.check_round_trip,
    "gated training step": life.check_gated_step,
    "pruned training step": life.check_small_step,
    "export gated": graphs.check_export_gated,
    "export pruned": graphs.check_export_small,
    "compile gated": graphs.check_compile_gated,
    "compile pruned": graphs.check_compile_small,
})  # fmt: skip
"""What is checked once a network is traced, in this order."""


def check_model(
    model: nn.Module,
    example: Example,
    *,
    inputs: bool = False,
    positions: bool = False,
    keep: Sequence[str] = (),
    exported: bool = False,
    plans: int = 3,
    seed: int = 0,
    skip: Sequence[str] = (),
) -> Conformance:
    """Check that what the library promises holds for a network.

    It is traced; then copies of it are gated, cut to random plans that remove from all groups at once, and held
    against the gated network (in float64, where it runs in float64), against the costs, and against themselves after a
    training step, saving and loading, `torch.export` and `torch.compile`. What the network cannot do without gates is
    skipped, with the reason. Graphs that `torch.compile` made before are dropped.

    Args:
        model: any module; it is not changed.
        example: what it is called with: a tensor (batch first), a tuple of positional or a mapping of keyword
            arguments.
        inputs: whether input features can be gated.
        positions: whether flattened positions can be gated one by one.
        keep: names of modules or tensors whose channels are kept whole; `*` stands for anything.
        exported: whether cut networks are exported graphs, in which sizes that the forward pass fixes are corrected;
            every check of a cut network is then one of its graph, which is saved as PyTorch saves it.
        plans: how many random plans; the second empties every branch that may go entirely, the third leaves a fiftieth.
        seed: of the plans.
        skip: names of checks to leave out.

    Returns:
        What was found: print it, ask for `.ok`, or call `.raise_if_failed()` in a test.

    Raises:
        TypeError: if the model is no module.
        ValueError: if `skip` or `keep` name something unknown, or `plans` is not positive.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> found = check_model(net, torch.zeros(1, 4), skip=["compile gated", "compile pruned"])
        >>> found.ok, found["parameters"].outcome
        (True, 'passed')
    """
    _refuse(model, plans, skip)
    options = {"inputs": inputs, "positions": positions, "keep": keep, "exported": exported}
    with torch.random.fork_rng(devices=[]):
        first, found = _trace(model, example, options)
        why = _nothing_to_check(found)
        subject = Subject(found, example, num_plans=plans, seed=seed) if isinstance(found, Gated) and not why else None
        seen = [first]
        for name, check in CHECKS.items():
            if subject is None:
                seen.append(Check(name, "skipped", why, 0.0))
            elif name in skip:
                seen.append(Check(name, "skipped", "you asked to leave it out", 0.0))
            else:
                seen.append(_run(name, check, subject))
    return Conformance(type(model).__name__, found.channels if isinstance(found, Gated) else found, tuple(seen))


def _refuse(model: nn.Module, plans: int, skip: Sequence[str]) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a network to check, an nn.Module, got {type(model).__name__}")
    if plans < 1:
        raise ValueError(f"at least one random plan is needed, got plans={plans}")
    if isinstance(skip, str):
        raise ValueError(f"skip is a list of names, got the string {skip!r}; write skip=[{skip!r}]")
    for name in skip:
        if name not in CHECKS:
            raise ValueError(f"skip names {name!r}, which is no check{nearest(name, CHECKS)}")


def _trace(model: nn.Module, example: Example, options: dict[str, Any]) -> tuple[Check, Gated | Channels | None]:
    """The first check: gate a copy of the network, or, if nothing in it can be gated, say why."""
    start = time.perf_counter()
    found: Gated | Channels | None = None
    try:
        found = _gate(model, example, options)
        channels = found.channels if isinstance(found, Gated) else found
        outcome: Outcome = "passed"
        detail = f"{channels.num_gates:,} gates; groups: {len(channels.gated)} gated, {len(channels.kept)} kept"
        detail += "; cut as exported graphs" if channels.exported else ""
    except (ValueError, TypeError):
        raise
    except Exception as error:  # whatever the user's network raises
        outcome, detail = "failed", said(error)
    return Check("trace", outcome, detail, time.perf_counter() - start), found


def _gate(model: nn.Module, example: Example, options: dict[str, Any]) -> Gated | Channels:
    try:
        twin = copy.deepcopy(model)
    except Exception as error:
        raise not_copied(model, error) from error
    try:
        gated = Gated(twin, example, **options)
        _check_runs(gated, example)
        return gated
    except TraceError:
        channels = trace(model, example, **options)
        if channels.gated:
            raise
        return channels


def _check_runs(gated: Gated, example: Example) -> None:
    """Shapes may agree where dtypes or devices do not."""
    if any(tensor.is_meta for tensor in gated.parameters()):
        return
    try:
        outputs_of(gated.model, example)
    except Exception as error:  # whatever the user's forward raises
        place = place_of(gated.model, error)
        raise SurgeryError(
            f"the network does not run on the example: {error} ({place}); give one that it accepts"
        ) from error


def _nothing_to_check(found: Gated | Channels | None) -> str:
    if found is None:
        return "the network was not traced"
    if isinstance(found, Channels):
        return "there is nothing to gate"
    on_meta = any(tensor.is_meta for tensor in found.parameters())
    return "the network is on the meta device and so has no numbers" if on_meta else ""


def _run(name: str, check: Callable[[Subject], str], subject: Subject) -> Check:
    start = time.perf_counter()
    outcome: Outcome = "passed"
    try:
        detail = check(subject)
    except Skip as reason:
        outcome, detail = "skipped", str(reason)
    except Exception as error:  # whatever the user's network, or PyTorch, raises
        outcome, detail = "failed", said(error)
    return Check(name, outcome, detail, time.perf_counter() - start)
