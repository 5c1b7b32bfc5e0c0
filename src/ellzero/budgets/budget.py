"""`Budget`: training under constraints on the size of the network that will be delivered."""

__all__ = ["Budget"]

import math

import torch
from torch import Tensor, nn

from ellzero.budgets.feasibility import check_reachable, simulate
from ellzero.budgets.projection import Fit, project
from ellzero.budgets.steps import StepGuard
from ellzero.budgets.targets import Amounts, GatedNetwork, parse
from ellzero.errors import BudgetError
from ellzero.graph import Costs, Plan

RAMP = 0.4
DEFAULT_RAMP_STEPS = 1000


class Budget:
    r"""At most this share of the parameters, multiply-adds or units may stay; one Lagrange multiplier per target.

    .. math:: \min_{\theta, a} \max_{\lambda \ge 0} E_z[L(\theta \odot z)] + \sum_t \lambda_t g_t(a), \qquad
              g_t = \log \frac{E_z[C_t] / C_t^{\text{full}}}{\epsilon_t(k)}

    :math:`C_t` is the cost of the network that will be delivered. The target :math:`\epsilon_t(k)` goes down
    geometrically from the size at the start to the goal over the first steps (`ramp`), so that the multiplier never
    winds up. After each optimizer step :math:`\lambda_t \leftarrow \lambda_t + \eta\, g_t` where the constraint is
    violated, and 0 where it holds (dual restart).

    Args:
        gated: the gated network.
        params: share of the parameters in (0, 1] that may stay, or a mapping from name patterns (of tensors or
            modules) to shares.
        macs: the same for multiply-adds of a forward pass on the example.
        units: the same for gates that are open.
        steps: how many optimizer steps the training will take, if known.
        ramp: over how many steps the target goes down; by default 40 % of `steps`, or 1000.
        dual_lr: eta, per step.

    Raises:
        ValueError: if a share is outside (0, 1], or a name is unknown (the nearest one is offered).
        BudgetError: if a target is out of reach; the message gives the reachable range.

    Source:
        Gallego-Posada et al. (2022), equations 4 to 6, https://arxiv.org/abs/2208.04425; the ramp and the logarithm
        are ours.
    """

    def __init__(
        self,
        gated: GatedNetwork,
        *,
        params: Amounts = None,
        macs: Amounts = None,
        units: Amounts = None,
        steps: int | None = None,
        ramp: int | None = None,
        dual_lr: float = 1e-2,
    ) -> None:
        parsed = parse({"params": params, "macs": macs, "units": units}, share=True)
        _check_counts(steps=steps, ramp=ramp)
        if not 0 < dual_lr < math.inf:
            raise ValueError(f"dual_lr must be positive and finite, got {dual_lr}; try 0.01")
        self.gated = gated
        self.costs = Costs(gated.layout, [target for target, _ in parsed])
        self.goals = [share for _, share in parsed]
        self.limits = [math.floor(share * full + 1e-9) for share, full in zip(self.goals, self.costs.full, strict=True)]
        check_reachable(self.costs, self.limits)
        self.steps = steps
        self.ramp = ramp if ramp is not None else max(1, int(RAMP * steps)) if steps else DEFAULT_RAMP_STEPS
        self.dual_lr = dual_lr
        device = gated.log_odds.device
        self.state = _State(self._expected().detach(), torch.tensor(self.goals, device=device))
        gated.gates.add_module("budget", self.state)
        self._seen: Tensor | None = None
        self._guard = StepGuard(gated)

    def penalty(self) -> Tensor:
        """What to add to the loss: the sum of multiplier times violation; a scalar, differentiable in the gates."""
        self._guard.saw_penalty()
        violation = self._violation()
        self._seen = violation.detach()
        return torch.dot(self.state.multiplier, violation)

    @torch.no_grad()
    def step(self) -> None:
        """Update the multipliers and move to the noise of the next step. Call it after every optimizer step.

        The violation is that of the last penalty: descent and ascent are simultaneous.

        Raises:
            NonFiniteError: if a gate became NaN or infinite; gates and multipliers are as after the last good step.
        """
        self._guard.check_gates()
        violation = self._violation() if self._seen is None else self._seen
        raised = self.state.multiplier + self.dual_lr * violation
        self.state.multiplier.copy_(torch.where(violation > 0, raised, 0.0))
        self.state.advance(self.ramp)
        self._seen = None
        self._guard.stepped()

    @property
    def multipliers(self) -> dict[str, float]:
        """The Lagrange multiplier of each target."""
        return self.costs.named(self.state.multiplier.tolist())

    def expected(self) -> dict[str, float]:
        """The expected share of each target that stays."""
        with torch.no_grad():
            return self.costs.named(self._expected().tolist())

    def current_targets(self) -> dict[str, float]:
        """The share that each target allows at this point of the ramp."""
        return self.costs.named(self.state.log_target.exp().tolist())

    def real(self, plan: Plan) -> dict[str, float]:
        """The share of each target that a network cut to this plan has."""
        return self.costs.real(plan.open_gates(self.gated.layout))

    def fit(self, gated: GatedNetwork | None = None) -> Fit:
        """The plan of the gates' medians; if it is over the budget, the least open gates are shut until it fits.

        Args:
            gated: a copy of the gated network (an average of its weights, say), if not the network itself.

        Raises:
            BudgetError: if that network is gated in another way.
        """
        gated = gated or self.gated
        if gated.layout.channels != self.gated.layout.channels:
            raise BudgetError("this network is gated in another way than the one that the budget was made for")
        return project(self.costs, gated.log_odds.detach().cpu(), self.limits)

    def check(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimizer that cannot meet the targets within the steps announced, even without any loss.

        The gates alone are driven by the multipliers, with the optimizer's class and settings; a long training is
        simulated with fewer and larger steps.

        Args:
            optimizer: the one that will be used; it is not changed.

        Raises:
            ValueError: if no steps were announced, or the gates are not in the optimizer.
            BudgetError: if the targets would be missed; the message gives the numbers.
        """
        if self.steps is None:
            raise ValueError("announce the length of the training first: Budget(..., steps=...)")
        log_odds, schedule = self.gated.log_odds, {"steps": self.steps, "ramp": self.ramp}
        simulate(self.costs, self.goals, log_odds, optimizer, dual_lr=self.dual_lr, **schedule)

    def _expected(self) -> Tensor:
        return self.costs.expected(self.gated.prob_open())

    def _violation(self) -> Tensor:
        return torch.log(self._expected().clamp_min(1e-12)) - self.state.log_target


class _State(nn.Module):
    """What a checkpoint must carry: multipliers, steps done, and where the ramp began."""

    multiplier: Tensor
    num_steps: Tensor
    start: Tensor
    goal: Tensor
    log_target: Tensor

    def __init__(self, start: Tensor, goal: Tensor) -> None:
        super().__init__()
        self.register_buffer("multiplier", torch.zeros_like(goal))
        self.register_buffer("num_steps", torch.zeros((), device=goal.device))
        self.register_buffer("start", torch.maximum(start, goal))
        self.register_buffer("goal", goal)
        self.register_buffer("log_target", self.start.log())

    def advance(self, ramp: int) -> None:
        """One step further down the ramp: geometric from start to goal."""
        self.num_steps.add_(1)
        torch.lerp(self.start.log(), self.goal.log(), (self.num_steps / ramp).clamp_(max=1), out=self.log_target)


def _check_counts(**counts: int | None) -> None:
    for name, number in counts.items():
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise ValueError(f"{name} must be a positive whole number of optimizer steps, got {number!r}")
