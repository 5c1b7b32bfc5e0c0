"""`transfer_optimizer`: go on training a pruned network with the moments that its gated network has gathered."""

__all__ = ["transfer_optimizer"]

import copy
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from ellzero.errors import SurgeryError, nearest
from ellzero.graph import Plan, Structure, structure_of
from ellzero.surgery.heirs import Heir, heirs
from ellzero.surgery.origin import Origin, origin_of

AnyOptimizer = TypeVar("AnyOptimizer", bound=torch.optim.Optimizer)

POWERS: Mapping[str, int] = {
    **dict.fromkeys(("exp_avg", "momentum_buffer", "grad_avg", "exp_inf", "prev"), 1),
    **dict.fromkeys(("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum"), 2),
    **dict.fromkeys(("step_size", "acc_delta"), 0),
    "ax": -1,
}
"""State of PyTorch's optimizers: with which power of the gradients it grows."""

_MACHINERY = ("_optimizer_", "_zero_grad_profile_name", "_opt_called", "step", "_warned_capturable")
"""Attributes that an optimizer, a schedule or a hook makes anew."""


class OwnedGates(Protocol):
    """What a transfer needs of a gated network."""

    @property
    def log_odds(self) -> nn.Parameter:
        """All gates."""

    def bare(self) -> nn.Module:
        """The network without gates, sharing its tensors."""

    def factors(self, plan: Plan) -> dict[tuple[str, int], Tensor]:
        """What each stored dimension that is read is multiplied by."""


def transfer_optimizer(
    optimizer: AnyOptimizer,
    small: nn.Module,
    *,
    gated: OwnedGates | None = None,
    powers: Mapping[str, int] | None = None,
) -> AnyOptimizer:
    r"""An optimizer for a pruned network that goes on where the one of the gated network stands.

    Momentum, moments and every other state of a parameter's shape are cut with the same indices as the parameter. Where
    a gate was folded into a weight, :math:`w' = z w`, the gradient becomes :math:`\partial L / \partial w' = z^{-1}
    \partial L / \partial w`, so that first moments are divided by :math:`z` and second moments by :math:`z^2`. With
    all open gates at one, training goes on exactly as the gated network's would with its gates fixed. Step counts,
    learning rates, `initial_lr` and all other settings are kept group by group; the group of the gates is dropped.

    Args:
        optimizer: of the gated network. It is not changed.
        small: what `prune` returned.
        gated: the gated network whose parameters the optimizer holds, if it is not the one that was pruned (its average
            was), or `small` was loaded from a file.
        powers: for state of optimizers other than PyTorch's, the power of the gradients that it grows with: 1 for
            momentum, 2 for squares. Needed only where gates other than one were folded in.

    Returns:
        A new optimizer of the same class and settings, in the same order of groups. Parameters that do not belong to
        the network (of a loss, say) stay in it. Hooks on the optimizer are not carried along; schedules are made anew.

    Raises:
        SurgeryError: if `small` was not pruned, the optimizer does not hold its parameters, or its class or state
            cannot be carried over.
        TypeError: if it is no optimizer.

    Example:
        >>> from ellzero.gates import Gated
        >>> from ellzero.surgery import prune
        >>> gated = Gated(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(1, 4))
        >>> optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3))
        >>> gated(torch.ones(1, 4)).sum().backward()
        >>> optimizer.step()
        >>> small = prune(gated, plan=Plan({"0": (1,)}))
        >>> optimizer = transfer_optimizer(optimizer, small)
        >>> optimizer.state[small[0].weight]["exp_avg"].shape
        torch.Size([2, 4])
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"expected an optimizer, got {type(optimizer).__name__}; pass the one that trained the gates")
    small = cast(nn.Module, getattr(small, "_orig_mod", small))
    structure = structure_of(small)
    origin = origin_of(small)
    if gated is not None:
        origin = Origin.of(gated.bare(), gated.log_odds, gated.factors(structure.plan))
    found = _held(optimizer, origin, small, structure)
    memo: dict[int, Any] = {id(parameter): parameter for parameter in _parameters(optimizer)}
    for number, heir in found.items():
        memo[number] = nn.Parameter(torch.empty(0)) if heir is None or heir.parameter is None else heir.parameter
    for parameter, state in optimizer.state.items():
        left = found.get(id(parameter))
        if left is not None and left.parameter is not None:
            memo |= _cut_state(optimizer, state, left, {**_powers(optimizer), **(powers or {})})
    new = _copied(optimizer, memo)
    _regroup(new, optimizer, found)
    return new


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _held(
    optimizer: torch.optim.Optimizer, origin: Origin, small: nn.Module, structure: Structure
) -> dict[int, Heir | None]:
    """For the identity of each parameter of the network in the optimizer what is left of it; None for the gates."""
    names = origin.names()
    held = _parameters(optimizer)
    before = {names[id(parameter)]: parameter for parameter in held if id(parameter) in names}
    if not before:
        what = "gates only" if any(map(origin.is_gates, held)) else "none of the parameters of the network"
        raise SurgeryError(
            f"this {type(optimizer).__name__} holds {what} that the {type(small).__name__} was pruned from; pass the "
            "optimizer that trained it, and if an average of it was pruned or it was loaded, the gated network that "
            "the optimizer trained: transfer_optimizer(optimizer, small, gated=gated)"
        )
    followed = heirs(before, small, structure, origin.factors)
    gates = {id(parameter): None for parameter in held if origin.is_gates(parameter)}
    return {**{id(parameter): followed[name] for name, parameter in before.items()}, **gates}


def _cut_state(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], heir: Heir, powers: Mapping[str, int]
) -> dict[int, Tensor]:
    """For the identity of each tensor of a parameter's state its cut copy."""
    memo = {}
    for key, value in state.items():
        where = f"the state {key!r} that {type(optimizer).__name__} keeps for {heir.name!r}"
        if not isinstance(value, Tensor):
            if _is_plain(value):
                continue
            raise SurgeryError(f"{where} is a {type(value).__name__}, which cannot be cut; make a new optimizer")
        if not value.dim():
            continue
        if value.shape != heir.shape:
            raise SurgeryError(
                f"{where} has shape {tuple(value.shape)}, but the parameter had {tuple(heir.shape)}: it cannot be cut "
                "like it; make a new optimizer"
            )
        if heir.is_scaled and key not in powers:
            raise SurgeryError(
                f"{where} grows with an unknown power of the gradient{nearest(str(key), powers)}; say which, 1 for "
                f"momentum or 2 for squares: transfer_optimizer(..., powers={{{key!r}: 1}})"
            )
        memo[id(value)] = heir.cut(value, powers.get(key, 0) if heir.is_scaled else 0)
    return memo


def _copied(optimizer: AnyOptimizer, memo: dict[int, Any]) -> AnyOptimizer:
    """A deep copy of the optimizer in which every tensor of the network has been exchanged already."""
    name = type(optimizer).__name__
    try:
        new = copy.deepcopy(optimizer, memo)
    except Exception as error:
        raise SurgeryError(
            f"{name} cannot be copied ({error}); make a new optimizer, or pass the one that it wraps"
        ) from error
    for attribute, value in vars(optimizer).items():
        if attribute in vars(new):
            continue
        if _is_plain(value):
            setattr(new, attribute, value)
        elif not attribute.startswith(_MACHINERY):
            raise SurgeryError(
                f"{name} leaves its attribute {attribute!r} out of what it pickles, so that it cannot be copied; make "
                "a new optimizer, or pass the one that it wraps"
            )
    return new


def _regroup(new: torch.optim.Optimizer, old: torch.optim.Optimizer, found: Mapping[int, Heir | None]) -> None:
    """Take out what surgery removed, and the group of the gates; all other groups keep their places."""
    groups = []
    for before, group in zip(old.param_groups, new.param_groups, strict=True):
        keys = [id(parameter) for parameter in before["params"]]
        gone = [key in found and _is_gone(found[key]) for key in keys]
        for parameter, is_gone in zip(group["params"], gone, strict=True):
            if is_gone:
                new.state.pop(parameter, None)
        if "param_names" in group:
            names = zip(keys, group["param_names"], gone, strict=True)
            group["param_names"] = [_new_name(found.get(key), name) for key, name, is_gone in names if not is_gone]
        group["params"] = [parameter for parameter, is_gone in zip(group["params"], gone, strict=True) if not is_gone]
        if not keys or any(key not in found or found[key] is not None for key in keys):
            groups.append(group)
    new.param_groups[:] = groups


def _powers(optimizer: torch.optim.Optimizer) -> Mapping[str, int]:
    """RMSprop has divided the gradients by their size before they go into its momentum."""
    return {**POWERS, "momentum_buffer": 0} if isinstance(optimizer, torch.optim.RMSprop) else POWERS


def _is_gone(heir: Heir | None) -> bool:
    return heir is None or heir.parameter is None


def _new_name(heir: Heir | None, name: str) -> str:
    return heir.small_name if heir else name


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
