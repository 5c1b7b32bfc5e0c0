"""What has become of each parameter of a gated network, and how a tensor that belongs to it is cut like it."""

__all__ = ["Heir", "heirs"]

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ellzero.errors import SurgeryError
from ellzero.graph import Layout, Select, Structure, kept_indices
from ellzero.graph.cutting.memory_format import laid_out_like

Slot = tuple[str, int]


@dataclass(frozen=True)
class Heir:
    """What is left of one parameter.

    Attributes:
        name: in the gated network, without gates.
        small_name: in the pruned network; empty if the parameter went with an emptied layer, or is not used by
            an exported graph.
        parameter: in the pruned network, or None.
        shape: before.
        kept: for each dimension that was cut, the indices that stayed.
        factors: for each dimension that was multiplied by gates, the factors of what stayed; never zero.
    """

    name: str
    small_name: str
    parameter: nn.Parameter | None
    shape: torch.Size
    kept: Mapping[int, Tensor]
    factors: Mapping[int, Tensor]

    @property
    def is_scaled(self) -> bool:
        """Whether a gate other than one was folded in."""
        return any(bool((factor != 1).any()) for factor in self.factors.values())

    def cut(self, value: Tensor, power: int) -> Tensor:
        r"""Cut a tensor of the parameter's old shape like it, and divide it by the factors to a power.

        Args:
            value: shape as the parameter had before.
            power: k if the value scales like the k-th power of a gradient.
        """
        small = value.detach()
        for dim, index in self.kept.items():
            small = small.index_select(dim, index.to(small.device))
        for dim, factor in self.factors.items() if power else ():
            shaped = factor.to(small.device, small.dtype).view(-1, *[1] * (small.dim() - dim - 1))
            small = small / shaped**power
        small = laid_out_like(value, small)
        return small.clone() if small.data_ptr() == value.data_ptr() else small


def heirs(
    before: Mapping[str, nn.Parameter], small: nn.Module, structure: Structure, factors: Mapping[Slot, Tensor]
) -> dict[str, Heir]:
    """Follow every parameter from the gated network to the pruned one.

    Args:
        before: parameters of the gated network, by the name that they have without gates.
        small: the pruned network.
        structure: how it was cut.
        factors: for each stored dimension that is read, what its indices were multiplied by.

    Raises:
        SurgeryError: if a parameter is not in the pruned network, or with another shape than the plan gives it.
    """
    layout = Layout.of(structure.channels)
    kept = kept_indices(layout, structure.plan.open_gates(layout))
    is_graph = structure.channels.exported  # which leaves out what evaluation does not use
    return {name: _heir(name, parameter, small, kept, factors, may_miss=is_graph) for name, parameter in before.items()}


def _heir(
    name: str, parameter: nn.Parameter, small: nn.Module, kept: Mapping[Slot, Tensor], factors: Mapping[Slot, Tensor],
    *, may_miss: bool,
) -> Heir:  # fmt: skip
    shape = parameter.shape
    own = {dim: kept[name, dim] for dim in range(len(shape)) if (name, dim) in kept}
    expected = torch.Size(len(own[dim]) if dim in own else size for dim, size in enumerate(shape))
    small_name, found = _find(small, name)
    is_right = may_miss if found is None else found.shape == expected
    if expected.numel() and not is_right:
        state = "is not there" if found is None else f"has shape {tuple(found.shape)}"
        raise SurgeryError(
            f"the plan leaves {tuple(expected)} of {name!r}, but in the pruned {type(small).__name__} it {state}; "
            "transfer the optimizer before you change the network that prune(...) returned"
        )
    folded = {
        dim: factors[name, dim][index.to(factors[name, dim].device)]
        for dim, index in own.items()
        if (name, dim) in factors
    }
    # A gate that only fills a width up is zero: its weights start again at zero, there is no scale to speak of.
    safe = {dim: torch.where(factor == 0, 1.0, factor) for dim, factor in folded.items()}
    cut = {dim: index for dim, index in own.items() if len(index) < shape[dim]}
    return Heir(name, small_name, found, shape, cut, safe)


def _find(small: nn.Module, name: str) -> tuple[str, nn.Parameter | None]:
    """A parameter by its name before surgery: readers may have a selection in front of them now."""
    *path, last = name.split(".")
    names, module = _reader([], small)
    for part in path:
        child = module._modules.get(part)
        if child is None:
            return "", None
        names, module = _reader([*names, part], child)
    found = module._parameters.get(last)
    return ".".join([*names, last]) if found is not None else "", found


def _reader(names: list[str], module: nn.Module) -> tuple[list[str], nn.Module]:
    """Step over what surgery put around a layer."""
    children = module._modules
    if list(children) == ["select", "reader"] and isinstance(children["select"], Select):
        reader = children["reader"]
        assert reader is not None
        return [*names, "reader"], reader
    return names, module
