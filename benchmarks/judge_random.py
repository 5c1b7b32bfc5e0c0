"""Judge one random network: traced, gated, cut to three random plans, and held against all that is promised."""

__all__ = ["Found", "judge_program"]

import copy
import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import ellzero as l0
from ellzero.errors import SurgeryError, TraceError
from ellzero.graph import Costs, Example, Layout, Plan, Target, forward, settle, tensors_in
from judge import message, over_kept
from networks.random_networks import Program

TOLERANCE = 1e-9
"""Of the largest entry of each answer, in float64."""


@dataclass(frozen=True)
class Found:
    """What became of a network.

    Attributes:
        verdict: "right"; "kept", where nothing can be gated; "refused", where a clear error is raised; "wrong";
            "crash"; "unfit", where the network itself does not run on other batches, or blows rounding up.
        why: what was raised, or is different.
        reasons: why groups are kept.
    """

    verdict: str
    why: str = ""
    reasons: tuple[str, ...] = ()


class Wrong(Exception):  # noqa: N818 - a verdict, no error
    """Something else than promised, and nothing was raised."""


class Off(Wrong):
    """Numbers differ."""


def judge_program(program: Program, seed: int, *, exported: bool = False) -> Found:
    """Judge a random network with random options, on inputs of another batch size than it is traced with.

    Args:
        program: how to build it.
        seed: of its numbers, the options and the plans.
        exported: whether it is cut as an exported graph, which takes seconds.
    """
    rng = random.Random(seed)
    options = {name: rng.random() < 0.3 for name in ("inputs", "positions", "width")} | {"exported": exported}
    batch = rng.choice([1, 2, 3])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = program.build()
        randomise(model)
        example, other = program.example(batch), program.example(5)
        try:
            dense = [*outputs(model, example), *outputs(model, other)]
        except Exception as error:  # whatever PyTorch says
            return Found("unfit", message(error))
        if not all(bool(one.isfinite().all()) for one in dense):
            return Found("unfit", "it is not finite")
        return judged(model, example, other, options, rng)


def judged(model: nn.Module, example: Example, other: Example, options: dict[str, bool], rng: random.Random) -> Found:
    """Judge a network in float64."""
    reasons: tuple[str, ...] = ()
    try:
        channels = l0.trace(model, example, **options)
        reasons = tuple(group.reason for group in channels.kept)
        if not channels.gated:
            return Found("kept", "", reasons)
        gated = l0.Gated(copy.deepcopy(model), example, channels=channels).eval()
        for number in range(3):
            with torch.no_grad():  # so far open that the gate is exactly one; or such that there is something to fold
                gated.log_odds.fill_(20.0) if number else gated.log_odds.uniform_(0.5, 4.0)
            check(model, gated, random_plan(gated.layout, rng, number), example, other)
    except Wrong as why:
        return Found("unfit" if isinstance(why, Off) and amplifies(model, other) else "wrong", str(why), reasons)
    except (TraceError, SurgeryError) as error:
        return Found("refused", message(error), reasons)
    except Exception as error:  # whatever is raised is what a user would see
        return Found("crash", message(error), reasons)
    return Found("right", "", reasons)


def check(model: nn.Module, gated: l0.Gated, plan: Plan, example: Example, other: Example) -> None:
    """Hold one cut against the gated network, the dense one with zeros, the costs, and a step of training.

    Raises:
        Wrong: if something differs.
    """
    small = l0.prune(gated, plan=plan)
    found = outputs(small, other)
    with gated.planned(plan):
        compare(found, outputs(gated, other), "the gated network")
    if by_hand := zeros_by_hand(model, gated, small, plan):
        compare(found, outputs(by_hand, other), "the dense network with zeros")
    if not gated.channels.exported and trains(copy.deepcopy(model), other) and not trains(copy.deepcopy(small), other):
        raise Wrong("the gradients of the cut network are not finite")
    params, macs = Costs(gated.layout, [Target("params"), Target("macs")]).exact(plan.open_gates(gated.layout))
    counted = l0.count(small, example)
    is_single = any(width < 2 for _, width in plan.widths(gated.channels).values())
    if params != sum(parameter.numel() for parameter in small.parameters()):
        raise Wrong(f"{counted.params} parameters were counted, but {params} announced")
    if macs != counted.macs and not (is_single and macs > counted.macs):  # over one channel, einsum does not contract
        raise Wrong(f"{counted.macs} multiply-adds were counted, but {macs} announced")


def trains(model: nn.Module, inputs: Example) -> bool:
    """Whether a step of training gives finite gradients; a network that does not run in training does not."""
    results = [one for one in tensors_in(forward(model.train(), inputs)) if one.requires_grad]
    if results:
        sum(one.square().mean() for one in results).backward()
    return all(bool(one.grad.isfinite().all()) for one in model.parameters() if one.grad is not None)


def compare(found: list[Tensor], expected: list[Tensor], what: str, *, tolerance: float = TOLERANCE) -> None:
    """Refuse answers that differ by more than rounding.

    Raises:
        Wrong: if they do.
    """
    shapes = [[tuple(one.shape) for one in tensors] for tensors in (found, expected)]
    if shapes[0] != shapes[1]:
        raise Wrong(f"{what} returns shapes {shapes[1]}, the cut network {shapes[0]}")
    for one, want in zip(found, expected, strict=True):
        worst = float((one - want).abs().max() / want.abs().max().clamp_min(1e-3))
        if not worst <= tolerance:
            raise Off(f"it differs from {what} by {worst:.1e} of its largest entry")


def amplifies(model: nn.Module, inputs: Example) -> bool:
    """Whether the dense network itself turns a change in the last places of its inputs into much more."""
    moved = tree_map(lambda leaf: leaf * (1 + 4e-16) if leaf.is_floating_point() else leaf, inputs)
    try:
        compare(outputs(model, moved), outputs(model, inputs), "itself", tolerance=TOLERANCE / 100)
    except Off:
        return True
    return False


def zeros_by_hand(model: nn.Module, gated: l0.Gated, small: nn.Module, plan: Plan) -> nn.Module | None:
    """The dense network with zeros, if no gate scales its weights and its norms can be told what stays."""
    norms = gated.channels.norms
    if bool((gated.log_odds != 20.0).any()) or (norms and gated.channels.exported):
        return None
    twin = shut(model, gated.channels, plan)
    for norm in norms:
        whole, cut = twin.get_submodule(norm.module), small.get_submodule(norm.module)
        whole.forward = over_kept(whole.forward, cut, torch.isin(whole.weight, cut.weight))
    return twin


@torch.no_grad()
def shut(model: nn.Module, channels: l0.Channels, plan: Plan) -> nn.Module:
    """The dense network with zeros where a shut channel is read."""
    twin = copy.deepcopy(model)
    tensors = dict(twin.named_parameters(remove_duplicate=False))
    for group in channels.gated:
        for member in group.members if group.name in plan.shut else ():
            each = len(member.index) // group.size
            places = [member.index[each * channel + one] for channel in plan.shut[group.name] for one in range(each)]
            if member.role == "reader":
                tensors[member.tensor].index_fill_(member.dim, torch.tensor(places), 0)
    return twin


def random_plan(layout: Layout, rng: random.Random, number: int) -> Plan:
    """About half of every group; nearly everything; or, beside half of the rest, whatever may go entirely."""
    scores = torch.tensor([rng.random() for _ in range(layout.num_gates)])
    is_open = torch.zeros(layout.num_gates, dtype=torch.bool)
    for group, place in layout.slices():
        is_open[place] = scores[place] < (0.5, 0.05, 0.0 if group.removable and rng.random() < 0.6 else 0.5)[number]
    return Plan.of(layout, settle(layout, scores, is_open))


@torch.no_grad()
def outputs(model: nn.Module, inputs: Example) -> list[Tensor]:
    """All tensors that a network returns."""
    return [one.detach().clone() for one in tensors_in(forward(model, inputs))]


@torch.no_grad()
def randomise(model: nn.Module) -> None:
    """Also what starts at zero or one becomes random, so that nothing is hidden by it."""
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.2)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
