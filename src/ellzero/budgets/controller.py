"""What moves the multipliers: a target that goes down slowly, and an answer to how far it is missed."""

__all__ = ["CONTROLLERS", "Controller", "ProportionalIntegral", "Restarts"]

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

_SHARE = 0.03
_RAMP = 2000
_GAIN = 150.0
_LEAST, _FIRM, _MOST = -0.999 / _GAIN, 3 / _GAIN, 0.1


class Controller(nn.Module):
    r"""One multiplier per target, and the targets of this step; all that a checkpoint must carry.

    .. math:: g_t = \log(E_t / \epsilon_t(k)), \qquad
              \epsilon_t(k) = \epsilon_t^{\min(1, k / K)} \, (E_t^{0})^{1 - \min(1, k / K)}

    Args:
        start: the expected share of each target before training, shape `(targets,)`.
        goal: the share to reach, shape `(targets,)`.
        ramp: number of steps K from start to goal.
        dual_lr: eta, per step.
        stride: how many steps are taken at once.
    """

    multiplier: Tensor
    log_target: Tensor
    descent: Tensor
    log_goal: Tensor

    def __init__(self, start: Tensor, goal: Tensor, *, ramp: int, dual_lr: float, stride: int = 1) -> None:
        super().__init__()
        self.dual_lr, self.stride = dual_lr, stride
        self.register_buffer("multiplier", torch.zeros_like(goal))
        self.register_buffer("log_target", torch.maximum(start, goal).log())
        self.register_buffer("log_goal", goal.log(), persistent=False)
        self.register_buffer("descent", (self.log_goal - self.log_target) / ramp)

    def violation(self, share: Tensor) -> Tensor:
        """How far the expected shares are above the targets of this step, in nats, differentiable."""
        return torch.log(share.clamp_min(1e-12)) - self.log_target

    @torch.no_grad()
    def advance(self, violation: Tensor) -> None:
        """Answer to a violation, and go one step further down the ramp, geometrically from start to goal.

        Args:
            violation: of the last penalty, in nats, shape `(targets,)`. What is not a number counts as none.
        """
        self._answer(violation.nan_to_num(0.0, posinf=0.0, neginf=0.0))
        torch.maximum(self.log_target.add_(self.descent, alpha=self.stride), self.log_goal, out=self.log_target)

    @abstractmethod
    def _answer(self, violation: Tensor) -> None:
        """Set the multiplier; the violation may be changed in place."""


class ProportionalIntegral(Controller):
    r"""Dual ascent with a memory: finds losses of other scales, and lets go as soon as the target is met.

    .. math:: I \leftarrow I + \eta\,[v]_+ + c\,I\,v, \qquad \lambda = I\,(1 + \kappa \min(v, 3/\kappa)), \qquad
              v = \operatorname{clip}(g, -1/\kappa, 0.1)

    The integral grows from zero by itself and then in proportion to its size. The proportional part answers at once: a
    target that is met by :math:`1/\kappa = 0.7\,\%` presses no more, which is a restart that is gradual and does not
    forget, and the clips keep the integral from winding up. On ramps of 2000 steps and more c = 0.03; on shorter ones
    it is larger in proportion.

    Source:
        Sohrabi et al. (2024), algorithm 1 (nuPI), https://arxiv.org/abs/2406.04558; the relative gains are ours.
    """

    integral: Tensor

    def __init__(self, start: Tensor, goal: Tensor, *, ramp: int, dual_lr: float, stride: int = 1) -> None:
        super().__init__(start, goal, ramp=ramp, dual_lr=dual_lr, stride=stride)
        self.pace = stride * max(1.0, _RAMP / ramp)
        self.register_buffer("integral", torch.zeros_like(goal))

    def _answer(self, violation: Tensor) -> None:
        clipped = violation.clamp_(_LEAST, _MOST)
        self.integral.addcmul_(self.integral, clipped, value=min(self.pace * _SHARE, 1.0))
        self.integral.add_(clipped.clamp_min(0), alpha=self.stride * self.dual_lr)
        torch.addcmul(self.integral, self.integral, clipped.clamp_max_(_FIRM), value=_GAIN, out=self.multiplier)


class Restarts(Controller):
    r"""Plain dual ascent, back to zero as soon as the target is met.

    .. math:: \lambda \leftarrow \lambda + \eta\, g \text{ where } g > 0, \text{ and } 0 \text{ elsewhere}

    For losses of order one or below; for larger ones the share settles above the target.

    Source:
        Gallego-Posada et al. (2022), section 4.1 (dual restarts), https://arxiv.org/abs/2208.04425
    """

    def _answer(self, violation: Tensor) -> None:
        raised = torch.add(self.multiplier, violation, alpha=self.stride * self.dual_lr)
        self.multiplier.copy_(torch.where(violation > 0, raised, 0.0))


CONTROLLERS: Mapping[str, type[Controller]] = MappingProxyType({"pi": ProportionalIntegral, "restarts": Restarts})
"""The laws of the multiplier, by the name that a budget is given."""
