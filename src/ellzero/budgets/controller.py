"""What moves the multipliers: a target that goes down slowly, and a controller for losses of any scale."""

__all__ = ["Controller"]

import torch
from torch import Tensor, nn

_SHARE = 0.03
_GAIN = 150.0
_LEAST, _FIRM, _MOST = -0.999 / _GAIN, 3 / _GAIN, 0.1


class Controller(nn.Module):
    r"""One multiplier per target, made of an integral and a proportional part; all that a checkpoint must carry.

    .. math:: I \leftarrow I + \eta\,[v]_+ + c\,I\,v, \qquad \lambda = I\,(1 + \kappa \min(v, 3/\kappa)), \qquad
              v = \operatorname{clip}(g, -1/\kappa, 0.1)

    The integral grows from zero by itself and then in proportion to its size, so that it finds losses of any scale.
    The proportional part answers at once: a target that is met by :math:`1/\kappa = 0.7\,\%` presses no more (a dual
    restart that is gradual), and the clips keep the integral from winding up. With restarts to zero alone the share
    settles above the target, the more so the larger the loss.

    Args:
        start: the expected share of each target before training, shape `(targets,)`.
        goal: the share to reach, shape `(targets,)`.
        ramp: number of steps from start to goal.
        dual_lr: eta, per step.
        stride: how many steps are taken at once.

    Source:
        Sohrabi et al. (2024), algorithm 1 (nuPI), https://arxiv.org/abs/2406.04558; the relative gains are ours.
    """

    multiplier: Tensor
    integral: Tensor
    log_target: Tensor
    descent: Tensor
    log_goal: Tensor

    def __init__(self, start: Tensor, goal: Tensor, *, ramp: int, dual_lr: float, stride: int = 1) -> None:
        super().__init__()
        self.dual_lr, self.stride = dual_lr, stride
        self.register_buffer("multiplier", torch.zeros_like(goal))
        self.register_buffer("integral", torch.zeros_like(goal))
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
        clipped = violation.nan_to_num(0.0).clamp_(_LEAST, _MOST)
        self.integral.addcmul_(self.integral, clipped, value=min(self.stride * _SHARE, 1.0))
        self.integral.add_(clipped.clamp_min(0), alpha=self.stride * self.dual_lr)
        torch.addcmul(self.integral, self.integral, clipped.clamp_max_(_FIRM), value=_GAIN, out=self.multiplier)
        torch.maximum(self.log_target.add_(self.descent, alpha=self.stride), self.log_goal, out=self.log_target)
