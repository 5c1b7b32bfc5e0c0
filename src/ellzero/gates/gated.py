"""`Gated`: a network with a gate in front of every channel."""

__all__ = ["Gated"]

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from ellzero.errors import NonFiniteError
from ellzero.gates.mask import IsOpen, Mask, attach, detach_all
from ellzero.gates.vector import GateVector
from ellzero.graph import Channels, Example, Layout, Plan, Rule, check_fit, gated_norms, normalise_open, trace
from ellzero.noise import counters, uniform

FRESH, FRESH_POSITION, PRETRAINED = 0.0, 2.0, 4.6
_SPREAD = 0.01


class Gated(nn.Module):
    r"""A network whose channels can be shut, one gate per channel.

    It calls like the network it wraps and passes unknown attributes through to it. In training every forward draws
    new gates :math:`z \sim \text{HardConcrete}(\log\alpha)`; in evaluation each gate is at its median, which is zero
    exactly where :math:`P(z > 0) \le 1/2`. Gates multiply the weights that read a channel, so what lies between its
    writer and its readers does not matter. Activation checkpointing must be the one without re-entry
    (`use_reentrant=False`).

    Args:
        model: any module. It is wrapped, not copied: its readers' weights are parametrized in place.
        example: what it is called with: a tensor (batch first), a tuple of positional or a mapping of keyword
            arguments.
        channels: what can be gated, if not what `trace` finds; refused if it does not fit the network.
        inputs: whether input features can be gated.
        positions: whether flattened positions can be gated one by one.
        width: whether channels that are normalised together (the residual stream of a Transformer) can be gated;
            statistics are then taken over open channels only.
        keep: names of modules or tensors whose channels are kept whole; `*` stands for anything.
        rules: for operations that tracing does not know; see `trace`.
        exported: whether `prune` may deliver an exported graph, in which sizes that the forward pass fixes are
            corrected, instead of a module of the original classes; see `trace`.
        pretrained: whether the weights are trained already: gates start nearly open (log-odds 4.6, P(open) = 0.998)
            instead of at 0 (P(open) = 0.83); positions, which stand behind the gate of their channel, at 2.
        log_odds: where all gates start, in nats, if at neither.
        seed: of the gates' noise and of the spread of 0.01 nats around the start.

    Raises:
        TraceError: if the network does not run on the example, there is nothing to gate, or the channels do not fit.
        NonFiniteError: if a weight is NaN or infinite.
        ValueError: if `keep` names nothing, `log_odds` is not finite, the network is gated already, has lazy modules
            that did not run yet, or this or the network is made in inference mode.

    Source:
        Louizos, Welling & Kingma (2018), https://arxiv.org/abs/1712.01312

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> gated = Gated(net, torch.zeros(1, 4))
        >>> gated(torch.zeros(5, 4)).shape, gated.log_odds.shape
        (torch.Size([5, 2]), torch.Size([3]))
        >>> gated.plan()
        Plan(shut={})
    """

    def __init__(
        self,
        model: nn.Module,
        example: Example,
        *,
        channels: Channels | None = None,
        inputs: bool = False,
        positions: bool = False,
        width: bool = False,
        keep: Sequence[str] = (),
        rules: Mapping[str, Rule] = MappingProxyType({}),
        exported: bool = False,
        pretrained: bool = False,
        log_odds: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check_start(model, log_odds)
        _check_finite(model)
        if channels is None:
            options = {"inputs": inputs, "positions": positions, "width": width, "exported": exported}
            channels = trace(model, example, keep=keep, rules=rules, **options)
        else:
            check_fit(model, example, channels)
        layout = Layout.of(channels)
        self.example = example
        device = next(model.parameters()).device
        start = _start(layout, pretrained=pretrained, log_odds=log_odds)
        start += _SPREAD * math.sqrt(12) * (uniform(counters(seed, step=-1), layout.num_gates) - 0.5)
        readers = ((m.tensor, m.dim) for group in channels.gated for m in group.members if m.role == "reader")
        self._readers = list(dict.fromkeys(readers))  # in the order of the gates, so that masks are slices of them
        norms = gated_norms(channels)
        slots = [*self._readers, *((norm.tensor, norm.dim) for norm in norms)]
        self.gates = GateVector(layout, start.to(device), slots, seed=seed)
        self.model = model
        for number, (name, dim) in enumerate(self._readers):
            attach(model, name, Mask(self.gates, number, dim))
        for number, norm in enumerate(norms, start=len(self._readers)):
            normalise_open(model, norm, IsOpen(self.gates, number))

    def __getattr__(self, name: str) -> Any:
        if (module := self.__dict__.get("_modules", {}).get(name)) is not None:
            return module
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model" or name.startswith("__"):  # how to copy the model is not how to copy this
                raise
            return getattr(self.model, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network with its gates: new ones in training, their medians in evaluation."""
        return self.gates.draw(self.model, args, kwargs)

    @property
    def log_odds(self) -> nn.Parameter:
        """All gates, one after the other, float32, shape `(gates,)`."""
        return self.gates.log_odds

    @property
    def layout(self) -> Layout:
        """The order of the gates."""
        return self.gates.layout

    @property
    def channels(self) -> Channels:
        """What was traced."""
        return self.layout.channels

    def prob_open(self) -> Tensor:
        """Probability that each gate is open, differentiable, shape `(gates,)`."""
        return self.gates.prob_open()

    def plan(self) -> Plan:
        """What the gates' medians shut, as plain data; nothing is cut.

        Raises:
            NonFiniteError: if a gate is NaN or infinite.
            ValueError: if the network is on the meta device.
        """
        if self.log_odds.is_meta:
            raise ValueError(
                "the gates are on the meta device, expected numbers to decide with; plan without them: "
                "make_plan(gated.channels, ...)"
            )
        bad = int((~self.log_odds.isfinite()).sum())
        if bad:
            raise NonFiniteError(f"{bad} of {len(self.log_odds)} gates are NaN or infinite; load a sound checkpoint")
        return Plan.of(self.layout, self.gates.is_open().cpu())

    def planned(self, plan: Plan) -> AbstractContextManager[None]:
        """Within it the network computes what it will compute when cut to this plan; nothing is random."""
        return self.gates.planned(plan.open_gates(self.layout))

    def parameter_groups(self, *, lr: float, gate_lr: float = 3e-3, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer: weights, and gates with a learning rate of their own and never any decay.

        Args:
            lr: learning rate of the weights.
            gate_lr: learning rate of the gates. Under Adam a gate moves by at most about this much a step, in nats.
            weight_decay: of the weights.

        Raises:
            ValueError: if a learning rate is not positive and finite.
        """
        for name, rate in (("lr", lr), ("gate_lr", gate_lr)):
            if not (0 < rate < math.inf):
                raise ValueError(f"{name} must be positive and finite, got {rate}")
        weights = [parameter for parameter in self.parameters() if parameter is not self.log_odds]
        return [
            {"params": weights, "lr": lr, "weight_decay": weight_decay},
            {"params": [self.log_odds], "lr": gate_lr, "weight_decay": 0.0},
        ]

    def bare(self) -> nn.Module:
        """The network without gates: a copy of its structure that shares its tensors."""
        memo: dict[int, Any] = {id(tensor): tensor for tensor in [*self.model.parameters(), *self.model.buffers()]}
        memo[id(self.gates)] = self.gates
        structure = copy.deepcopy(self.model, memo)
        detach_all(structure)
        return structure

    def factors(self, plan: Plan) -> dict[tuple[str, int], Tensor]:
        """For each stored dimension that is read, what its indices are multiplied by under a plan."""
        with torch.no_grad(), self.planned(plan):
            return dict(zip(self._readers, self.gates.masks(), strict=False))


_INFERENCE = "torch.inference_mode(), whose tensors cannot be trained"


def _start(layout: Layout, *, pretrained: bool, log_odds: float | None) -> Tensor:
    start = torch.empty(layout.num_gates, dtype=torch.float32)
    for group, place in layout.slices():
        fresh = FRESH_POSITION if group.kind == "positions" else FRESH
        start[place] = log_odds if log_odds is not None else PRETRAINED if pretrained else fresh
    return start


def _check_start(model: nn.Module, log_odds: float | None) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a network to gate, an nn.Module, got {type(model).__name__}")
    if torch.is_inference_mode_enabled():
        raise ValueError(f"gates were asked for in {_INFERENCE}; make them outside it")
    if log_odds is not None and not math.isfinite(log_odds):
        raise ValueError(f"gates must start at a finite log-odds, got {log_odds}; leave it out for the default")
    if any(isinstance(module, Mask) for module in model.modules()):
        raise ValueError("this network has gates already; use the Gated that made them, or prune it first")


def _check_finite(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):  # `trace` says so
            continue
        if parameter.is_inference():
            raise ValueError(f"the weight {name!r} was made in {_INFERENCE}; build the network outside it")
        if not parameter.is_meta and not bool(parameter.isfinite().all()):
            raise NonFiniteError(f"the weight {name!r} holds NaN or infinite numbers; load a sound checkpoint first")
    for name, buffer in model.named_buffers():  # an attention mask may well be infinite
        if (
            not isinstance(buffer, UninitializedBuffer)
            and not buffer.is_meta
            and buffer.is_floating_point()
            and bool(buffer.isnan().any())
        ):
            raise NonFiniteError(f"the buffer {name!r} holds NaN; load a sound checkpoint first")
