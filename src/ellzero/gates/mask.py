"""Masks: parametrizations that multiply a reader's weight by the gates in front of it."""

__all__ = ["IsOpen", "Mask", "attach", "detach_all"]

from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ellzero.errors import TraceError
from ellzero.gates.recurrent import follow_masks
from ellzero.gates.vector import GateVector
from ellzero.graph import normalise_all


class Mask(nn.Module):
    """Multiply a weight by gates along one of its dimensions: `conv(x * z, W) = conv(x, W * z)`.

    The gates belong to the network, not to the mask: they are no submodule of it and appear once in a `state_dict`.

    Args:
        gates: the owner of all gates.
        number: which of its masks.
        dim: along which dimension.
    """

    def __init__(self, gates: GateVector, number: int, dim: int) -> None:
        super().__init__()
        self._gates = (gates,)
        self.number = number
        self.dim = dim

    def forward(self, weight: Tensor) -> Tensor:
        """The masked weight, of the same shape and dtype."""
        mask = self._gates[0].masks()[self.number]
        if mask.dtype != weight.dtype:
            mask = mask.to(weight.dtype)
        if self.dim < weight.dim() - 1:
            mask = mask.view(-1, *[1] * (weight.dim() - self.dim - 1))
        return weight * mask

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        return f"dim={self.dim}"


class IsOpen:
    """Which channels of a dimension are open in this forward, for modules that normalise across them.

    Args:
        gates: the owner of all gates.
        number: which of its masks.
    """

    def __init__(self, gates: GateVector, number: int) -> None:
        self.gates = gates
        self.number = number

    def __call__(self) -> Tensor:
        """Bool, shape `(channels,)`; not differentiable."""
        return self.gates.masks()[self.number] > 0


def attach(model: nn.Module, name: str, mask: Mask) -> None:
    """Put a mask on a tensor, wherever it is registered; a shared tensor stays shared.

    Raises:
        TraceError: if the tensor is missing or parametrized by somebody else.
    """
    parameters = dict(model.named_parameters())
    prefix, _, attribute = name.rpartition(".")
    masked = f"{prefix}.parametrizations.{attribute}.original".lstrip(".")  # along another of its dimensions
    tensor = parameters.get(name, parameters.get(masked))
    if tensor is None:
        raise TraceError(f"the network has no parameter {name!r}; is it the one that was traced?")
    places = [
        (module, own)
        for module in model.modules()
        if not isinstance(module, parametrize.ParametrizationList)
        for own in [*module._parameters, *getattr(module, "parametrizations", {})]
        if _stored(module, own) is tensor
    ]
    if not places:
        raise TraceError(f"{name!r} is parametrized already; remove that first, or keep it: keep=[{name!r}]")
    for module, own in places:
        parametrize.register_parametrization(module, own, mask, unsafe=True)
        follow_masks(module)


def _stored(module: nn.Module, attribute: str) -> Tensor | None:
    """The parameter itself, under nothing but masks."""
    if attribute in module._parameters:
        return module._parameters[attribute]
    chain = cast(nn.ModuleDict, module.parametrizations)[attribute]
    only_masks = all(isinstance(one, Mask) for one in cast(list[Any], chain))
    return cast(Tensor, chain.original) if only_masks else None


def detach_all(model: nn.Module) -> None:
    """Take all masks off a network; its original tensors are its own again.

    `parametrize.remove_parametrizations` deletes the property from the class, which a deep copy shares with the
    original and so would break it. Here the copy gets another class.
    """
    normalise_all(model)
    for module in list(model.modules()):
        if not parametrize.is_parametrized(module):
            continue
        chains = cast(nn.ModuleDict, module.parametrizations)
        masked = [
            name for name, chain in chains.items() if any(isinstance(one, Mask) for one in cast(list[Any], chain))
        ]
        originals = {name: cast(nn.Parameter, chains[name].original) for name in masked}
        for name in masked:
            del chains[name]
        parametrized = type(module)
        if len(chains):
            kept = {key: value for key, value in vars(parametrized).items() if key not in masked}
            module.__class__ = type(parametrized.__name__, parametrized.__bases__, kept)
        else:
            del module.parametrizations
            module.__class__ = parametrized.__bases__[0]
        others = dict(module._parameters)
        module._parameters.clear()
        for name, parameter in {**originals, **others}.items():
            module.register_parameter(name, parameter)
