"""What moves the multipliers: a target that goes down slowly, and an answer to how far it is missed."""

__all__ = ["CONTROLLERS", "Controller", "ProportionalIntegral", "Restarts"]

import math
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

_SHARE = 0.03
_LEAST_SHARE = 1e-12
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

    memory: Tensor

    def __init__(self, start: Tensor, goal: Tensor, *, ramp: int, dual_lr: float, stride: int = 1) -> None:
        super().__init__()
        self.dual_lr, self.stride = dual_lr, stride
        log_goal, log_target = goal.log(), torch.maximum(start, goal).log()
        nothing = torch.zeros_like(goal)
        self.register_buffer("memory", torch.stack([nothing, nothing, log_target, (log_goal - log_target) / ramp]))
        self._log_goal: list[float] = log_goal.tolist()

    @property
    def multiplier(self) -> Tensor:
        """The Lagrange multipliers, a view of shape `(targets,)`."""
        return self.memory[0]

    @property
    def integral(self) -> Tensor:
        """What a law remembers besides, a view of shape `(targets,)`."""
        return self.memory[1]

    @property
    def log_target(self) -> Tensor:
        """Logarithm of the shares allowed in this step, a view of shape `(targets,)`."""
        return self.memory[2]

    def violation(self, share: Tensor) -> Tensor:
        """How far the expected shares are above the targets of this step, in nats, differentiable."""
        return torch.log(share + _LEAST_SHARE) - self.log_target

    def advance(self, violation: Tensor) -> None:
        """Answer to a violation, and go one step further down the ramp, geometrically from start to goal.

        The few numbers are handled one by one on the host, where this costs a fraction of the tensor operations.

        Args:
            violation: of the last penalty, in nats, shape `(targets,)`. What is not a number counts as none.
        """
        host = self.memory.cpu()
        memory = host.numpy()
        columns = zip(violation.tolist(), *memory.tolist(), self._log_goal, strict=True)
        for column, (seen, multiplier, integral, log_target, descent, log_goal) in enumerate(columns):
            answer = self._answer(seen if math.isfinite(seen) else 0.0, multiplier, integral)
            memory[:3, column] = *answer, max(log_target + self.stride * descent, log_goal)
        if host is not self.memory:
            self.memory.copy_(host)

    @abstractmethod
    def _answer(self, violation: float, multiplier: float, integral: float) -> tuple[float, float]:
        """The next multiplier and the next integral of one target."""


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

    def __init__(self, start: Tensor, goal: Tensor, *, ramp: int, dual_lr: float, stride: int = 1) -> None:
        super().__init__(start, goal, ramp=ramp, dual_lr=dual_lr, stride=stride)
        self.share = min(_SHARE * stride * max(1.0, _RAMP / ramp), 1.0)

    def _answer(self, violation: float, multiplier: float, integral: float) -> tuple[float, float]:
        clipped = min(max(violation, _LEAST), _MOST)
        integral += self.share * integral * clipped + self.stride * self.dual_lr * max(clipped, 0.0)
        return integral * (1 + _GAIN * min(clipped, _FIRM)), integral


class Restarts(Controller):
    r"""Plain dual ascent, back to zero as soon as the target is met.

    .. math:: \lambda \leftarrow \lambda + \eta\, g \text{ where } g > 0, \text{ and } 0 \text{ elsewhere}

    For losses of order one or below; for larger ones the share settles above the target.

    Source:
        Gallego-Posada et al. (2022), section 4.1 (dual restarts), https://arxiv.org/abs/2208.04425
    """

    def _answer(self, violation: float, multiplier: float, integral: float) -> tuple[float, float]:
        return (multiplier + self.stride * self.dual_lr * violation if violation > 0 else 0.0), integral


CONTROLLERS: Mapping[str, type[Controller]] = MappingProxyType({"pi": ProportionalIntegral, "restarts": Restarts})
"""The laws of the multiplier, by the name that a budget is given."""
