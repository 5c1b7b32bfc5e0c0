"""What a pruned network remembers of its surgery."""

__all__ = ["ATTRIBUTE", "Structure", "attach_structure", "structure_of"]

from dataclasses import dataclass

from torch import nn
from torch.fx import GraphModule

from ellzero.errors import SurgeryError
from ellzero.graph.plans.channels import Channels
from ellzero.graph.plans.plan import Plan

ATTRIBUTE = "ellzero_structure"


@dataclass(frozen=True)
class Structure:
    """How a network was cut; plain data, attached to the module that `prune` returns.

    Attributes:
        channels: of the network before.
        plan: what was removed.
        num_shut: gates that training had left open and that were shut to keep the budget.
        difference: the largest difference of outputs between the gated and the cut network on the example.
        num_opened: gates that training had shut and that only fill a width up; they read zeros.
    """

    channels: Channels
    plan: Plan
    num_shut: int = 0
    difference: float = 0.0
    num_opened: int = 0


def attach_structure(model: nn.Module, structure: Structure) -> None:
    """Leave it on the pruned network; copies of an exported graph keep only what its `meta` lists."""
    setattr(model, ATTRIBUTE, structure)
    if isinstance(model, GraphModule):
        model.meta.setdefault("_user_preserved_attributes", {})[ATTRIBUTE] = structure


def structure_of(model: nn.Module) -> Structure:
    """The structure of a pruned network.

    Raises:
        SurgeryError: if the module did not come from `prune` or `load`.
    """
    found = getattr(model, ATTRIBUTE, None)
    if not isinstance(found, Structure):
        raise SurgeryError(f"this {type(model).__name__} was not pruned; pass what prune(...) returned")
    return found
