"""What a pruned network knows of the tensors that it came from, without keeping them alive."""

__all__ = ["Origin", "example_of", "origin_of"]

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ellzero.graph import Example

_ATTRIBUTE = "_ellzero_origin"

Slot = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Origin:
    """The parameters of a gated network at the moment of surgery; it is empty after pickling, and never saved.

    Attributes:
        parameters: the network's own, by the name that they have without gates.
        gates: the log-odds, or nothing.
        factors: what each stored dimension that is read was multiplied by.
        example: what the network was gated with.
    """

    parameters: Mapping[str, "weakref.ref[nn.Parameter]"] = field(default_factory=dict)
    gates: "weakref.ref[nn.Parameter] | None" = None
    factors: Mapping[Slot, Tensor] = field(default_factory=dict)
    example: Example = None

    @classmethod
    def of(
        cls, bare: nn.Module, log_odds: nn.Parameter, factors: Mapping[Slot, Tensor], example: Example = None
    ) -> "Origin":
        """Remember a gated network.

        Args:
            bare: the network without gates, sharing its tensors.
            log_odds: its gates.
            factors: what its weights were multiplied by.
            example: what it was gated with.
        """
        parameters = {name: weakref.ref(parameter) for name, parameter in bare.named_parameters()}
        return cls(parameters, weakref.ref(log_odds), factors, example)

    def attach(self, small: nn.Module) -> None:
        """Leave it on the pruned network."""
        setattr(small, _ATTRIBUTE, self)

    def names(self) -> dict[int, str]:
        """For the identity of each parameter that is still alive, its name."""
        alive = {name: reference() for name, reference in self.parameters.items()}
        return {id(parameter): name for name, parameter in alive.items() if parameter is not None}

    def is_gates(self, parameter: object) -> bool:
        """Whether these are the gates."""
        return self.gates is not None and self.gates() is parameter

    def __deepcopy__(self, memo: dict[int, Any]) -> "Origin":
        return self

    def __reduce__(self) -> tuple[type["Origin"], tuple[()]]:
        return Origin, ()


def origin_of(small: nn.Module) -> Origin:
    """What `prune` left on a network; empty if it was loaded from a file."""
    found = getattr(small, _ATTRIBUTE, None)
    return found if isinstance(found, Origin) else Origin()


def example_of(small: nn.Module) -> Example:
    """What a pruned network was gated with; None if it was pickled or loaded from a file since."""
    return origin_of(small).example
