"""Whether a pruned network is right: it computes what the dense one does with zeros in place of all that was removed.

The same judge for every tool. It needs weights whose entries are all different, as random ones are, and that pruning
does not change them: an entry is still there if its value is found in the pruned weight of the same name.
"""

__all__ = ["judge", "peak"]

import copy
import resource
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from networks.calls import call, turned

TOLERANCE = 1e-6
"""Of the largest entry of the answer; some architectures compute in float32 whatever they are given."""


def judge(original: nn.Module, pruned: nn.Module, example: Any) -> dict[str, Any]:
    """Judge a pruned network on its example, and on the example with all signs turned.

    Args:
        original: the dense network.
        pruned: what a tool made of it.
        example: its inputs.

    Returns:
        `verdict` ("right", "nothing removed", "wrong", "crash"), `why`, and `params_removed`, a share.
    """
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (original, pruned)]
    found = {"params_removed": 1 - sizes[1] / sizes[0], "verdict": "right", "why": ""}
    twin = zeroed(original, pruned)
    for inputs in (example, turned(example)):
        try:
            result = [tensor.detach() for tensor in call(pruned, inputs)]
        except Exception as error:  # whatever the pruned network raises is what its user would see
            return found | {"verdict": "crash", "why": message(error)}
        if why := difference(result, [tensor.detach() for tensor in call(twin, inputs)]):
            return found | {"verdict": "wrong", "why": why}
    return found | {"verdict": "right" if sizes[1] < sizes[0] else "nothing removed"}


def difference(found: list[Tensor], expected: list[Tensor]) -> str:
    """What is different about two answers; empty if nothing is."""
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (found, expected)]
    if shapes[0] != shapes[1]:
        return f"the answer has shape {shapes[0]} instead of {shapes[1]}"
    pairs = zip(found, expected, strict=True)
    largest = max(float((one - other).abs().max() / other.abs().max().clamp_min(1e-9)) for one, other in pairs)
    return "" if largest <= TOLERANCE else f"the answer differs by {largest:.1e} of its largest entry"


@torch.no_grad()
def zeroed(original: nn.Module, pruned: nn.Module) -> nn.Module:
    """The original with zeros where something was removed.

    Layer and group norms take their statistics over the channels that stay, where channels of theirs were removed.
    """
    twin = copy.deepcopy(original)
    kept: dict[str, Tensor] = {}
    left = dict(pruned.named_parameters(remove_duplicate=False))
    for name, parameter in original.named_parameters(remove_duplicate=False):
        kept[name] = (
            torch.isin(parameter, left[name]) if name in left else torch.zeros_like(parameter, dtype=torch.bool)
        )
        owner, _, short = name.rpartition(".")
        if short == "original1":  # the direction of a weight norm: its length is zero already, and 0 / 0 is no number
            continue
        setattr(twin.get_submodule(owner), short, nn.Parameter(parameter * kept[name]))  # ties may be cut, too
    for name, module in pruned.named_modules():
        kind = type(module).__name__
        if kind.endswith(("LayerNorm", "RMSNorm", "GroupNorm")):
            norm = twin.get_submodule(name)
            norm.forward = over_kept(norm.forward, module, kept.get(f"{name}.weight"))
    return twin


def over_kept(
    original: Callable[[Tensor], Tensor], pruned: nn.Module, kept: Tensor | None
) -> Callable[[Tensor], Tensor]:
    """A norm that is computed over the channels that stay, and is zero at the others."""
    is_first = isinstance(pruned, nn.GroupNorm) or getattr(pruned, "data_format", "") == "channels_first"

    def forward(x: Tensor) -> Tensor:
        present = (x != 0).any(tuple(range(x.dim() - 1))) if kept is None else kept
        if kept is None and int(present.sum()) != getattr(pruned, "normalized_shape", (0,))[-1]:
            return original(x)
        num = present.dim()
        dims = [1] if is_first else list(range(x.dim() - num, x.dim()))
        places = [torch.arange(size) for size in x.shape]
        for number, dim in enumerate(dims):
            others = tuple(other for other in range(num) if other != number)
            places[dim] = (present.any(others) if others else present).nonzero().squeeze(1)
        grid = torch.meshgrid(*places, indexing="ij")
        out = torch.zeros_like(x)
        out[grid] = pruned(x[grid]).to(out.dtype)
        return out

    return forward


def message(error: Exception) -> str:
    """The first line of what was raised."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def peak() -> int:
    """Largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
