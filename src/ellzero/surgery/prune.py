"""`prune`: from a gated network to a smaller ordinary one with the same outputs."""

__all__ = ["prune"]

import logging
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from ellzero.errors import SurgeryError
from ellzero.graph import Example, Filling, Layout, Multiples, Plan, Structure, Uniform, Widths, cut
from ellzero.graph.plans.structure import attach_structure
from ellzero.graph.recording.exported import exported_graph
from ellzero.surgery.origin import Origin
from ellzero.surgery.verify import compare, compare_on_noise, like

_LOG = logging.getLogger("ellzero")


class PrunableNetwork(Protocol):
    """What surgery needs of a gated network."""

    example: Example

    @property
    def layout(self) -> Layout:
        """The order of its gates."""

    @property
    def log_odds(self) -> nn.Parameter:
        """Its gates, float32, shape `(gates,)`."""

    def plan(self) -> Plan:
        """What the medians shut."""

    def planned(self, plan: Plan) -> AbstractContextManager[None]:
        """Compute what the cut network will."""

    def bare(self) -> nn.Module:
        """The network without gates, sharing its tensors."""

    def factors(self, plan: Plan) -> dict[tuple[str, int], Tensor]:
        """What each stored dimension that is read is multiplied by."""


class Fitted(Protocol):
    """A plan and how many open gates it shuts."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def num_shut(self) -> int:
        """Gates that training had left open and that it shuts."""

    @property
    def num_opened(self) -> int:
        """Gates that only fill a width up."""

    @property
    def core(self) -> Plan | None:
        """What the gates shut, if it is more than the plan."""


class Limits(Protocol):
    """What surgery needs of a budget."""

    def fit(self, gated: Any, *, multiple_of: Multiples = 1, uniform: Uniform = False) -> Fitted:
        """The plan that is within the limits."""


class _Decision(NamedTuple):
    """What is removed, what the gates shut, and how far both are from what training decided."""

    plan: Plan
    core: Plan
    num_shut: int = 0
    num_opened: int = 0


def prune(
    gated: PrunableNetwork,
    budget: Limits | None = None,
    *,
    plan: Plan | None = None,
    example: Example = None,
    multiple_of: Multiples = 1,
    uniform: Uniform = False,
) -> nn.Module:
    """Cut a gated network down to what is open.

    Gates are folded into the weights that read them, and everything that is shut is removed: parameters, buffers and
    the attributes that speak of them. The result is verified against the gated network in evaluation mode, on the
    example and on random numbers of its shape.

    Args:
        gated: a gated network, or a copy such as `AveragedModel(gated).module`. It is not changed.
        budget: if given, the least open gates are shut until the network is within it; how many is logged and kept in
            the report.
        plan: what to shut, if it is not to be decided by the gates.
        example: inputs to verify on, if not those that the network was traced with.
        multiple_of: widths are multiples of it, or the full size, as processors like them; a mapping from patterns of
            group names to numbers rounds only these. Widths are rounded up where the budget allows it: a gate that is
            opened only to fill a width up stays zero, so that nothing changes. Otherwise they are rounded down, where
            the gates are least open.
        uniform: whether groups of equal size whose names differ in the numbers of layers only (`layers.0.mlp`,
            `layers.1.mlp`) get the same width, the best channels of each; or patterns of group names that do.

    Returns:
        A module of the original classes without parametrizations. Where inputs or flattened positions were gated, a
        `Select` stands before the reader; an emptied branch is a stand-in that holds at most a bias. Ties, dtypes,
        devices, `requires_grad` and training flags are kept. Of a network that was gated with `exported=True`, an
        exported graph (`torch.fx.GraphModule`) with corrected sizes, which computes what the network does in evaluation
        mode, whatever its training flag.

    Raises:
        SurgeryError: if the outputs differ by more than rounding, or both a budget and a plan are given.
        BudgetError: if no widths of the kind that is asked for are within the budget.
        ValueError: if a pattern fits no group, or a multiple is not a positive whole number.
        TraceError: if the plan does not fit the network.

    Example:
        >>> import torch
        >>> from ellzero.gates import Gated
        >>> gated = Gated(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(1, 4))
        >>> prune(gated, plan=Plan({"0": (1,)}))
        Sequential(
          (0): Linear(in_features=4, out_features=2, bias=True)
          (1): ReLU()
          (2): Linear(in_features=2, out_features=2, bias=True)
        )
    """
    network = _module(gated)
    if budget is not None and plan is not None:
        raise SurgeryError("a budget decides on a plan itself; give prune(...) either a budget or a plan, not both")
    decision = _decide(gated, budget, plan, multiple_of, uniform)
    is_open = decision.plan.open_gates(gated.layout)
    bare, factors = gated.bare(), gated.factors(decision.core)
    subject = exported_graph(bare, like(gated.example, bare)) if gated.layout.channels.exported else bare
    small = cut(subject, gated.layout, is_open, factors=factors)
    inputs = like(gated.example if example is None else example, small)
    with gated.planned(decision.core):
        difference = max(compare(network, small, inputs), compare_on_noise(network, small, inputs))
    if decision.num_shut:
        _LOG.warning("%d gates that training had left open were shut to keep the budget", decision.num_shut)
    if decision.num_opened:
        _LOG.info("%d gates that training had shut stay, as zeros, to fill widths up", decision.num_opened)
    delivered = Plan.of(gated.layout, is_open)
    structure = Structure(gated.layout.channels, delivered, decision.num_shut, difference, decision.num_opened)
    attach_structure(small, structure)
    Origin.of(bare, gated.log_odds, factors, gated.example).attach(small)
    return small


def _decide(
    gated: PrunableNetwork, budget: Limits | None, plan: Plan | None, multiple_of: Multiples, uniform: Uniform
) -> _Decision:
    if budget is not None:
        fit = budget.fit(gated, multiple_of=multiple_of, uniform=uniform)
        return _Decision(fit.plan, fit.core or fit.plan, fit.num_shut, fit.num_opened)
    core = gated.plan() if plan is None else plan
    widths = Widths.of(gated.layout, multiple_of, uniform)
    if widths.is_free:
        return _Decision(core, core)
    is_open = core.open_gates(gated.layout)
    filling = Filling(widths, is_open, gated.log_odds.detach().cpu())
    filled = filling.open(filling.covering())
    return _Decision(Plan.of(gated.layout, filled), core, num_opened=int((filled & ~is_open).sum()))


def _module(gated: PrunableNetwork) -> nn.Module:
    if not isinstance(gated, nn.Module) or not hasattr(gated, "factors"):
        hint = "give what it wraps, .module" if hasattr(gated, "module") else "wrap it: Gated(model, example)"
        raise SurgeryError(f"prune needs a gated network, got {type(gated).__name__}; {hint}")
    if gated.log_odds.is_meta:
        raise SurgeryError(
            "the network is on the meta device and so has no numbers to compare; load its weights before it is cut, or "
            "plan without them: plan = make_plan(channels, ...), then cut_checkpoint(model, channels, plan, ...)"
        )
    return gated
