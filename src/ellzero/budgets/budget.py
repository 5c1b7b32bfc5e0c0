"""`Budget`: training under constraints on the size of the network that will be delivered."""

__all__ = ["Budget"]

import math

import torch
from torch import Tensor

from ellzero.budgets.controller import CONTROLLERS
from ellzero.budgets.feasibility import check_reachable, simulate
from ellzero.budgets.projection import limits_of
from ellzero.budgets.sizer import Sizer
from ellzero.budgets.targets import Amounts, GatedNetwork, goals_of, parse
from ellzero.errors import nearest

RAMP = 0.4
DEFAULT_RAMP_STEPS = 1000


class Budget(Sizer):
    r"""At most this share of the parameters, multiply-adds or units, or this many terms; one multiplier per target.

    .. math:: \min_{\theta, a} \max_{\lambda \ge 0} E_z[L(\theta \odot z)] + \sum_t \lambda_t g_t(a), \qquad
              g_t = \log \frac{E_z[C_t] / C_t^{\text{full}}}{\epsilon_t(k)}

    :math:`C_t` is the cost of the network that will be delivered. The target :math:`\epsilon_t(k)` goes down
    geometrically from the size at the start to the goal over the first steps (`ramp`), so that the multiplier never
    winds up. After each optimizer step the multiplier goes up where the constraint is violated, and presses no more
    where it holds: by a proportional and integral law that finds losses of any scale, or by restarts from zero.

    Args:
        gated: the gated network. Its copies and wrappers (`AveragedModel`, `DistributedDataParallel`) come after the
            budget, which adds buffers to it.
        params: share of the parameters in (0, 1] that may stay, or a mapping from name patterns (of tensors or
            modules) to shares.
        macs: the same for multiply-adds of a forward pass on the example.
        units: the same for gates that are open.
        terms: how many candidate terms may stay, a whole number or a mapping from name patterns to numbers. A term is a
            channel that no parameter writes, as in a `SparseDictionary`.
        steps: how many optimizer steps the training will take, if known.
        ramp: over how many steps the target goes down; by default 40 % of `steps`, or 1000.
        dual_lr: eta, per step; for losses far above 1, raise it in proportion.
        controller: `"pi"`, or `"restarts"` for plain dual ascent with restarts.

    Raises:
        ValueError: if a share is outside (0, 1], a number of terms is not one of those there are, or a name is unknown
            (the nearest one is offered).
        BudgetError: if a target is out of reach; the message gives the reachable range.

    Source:
        Gallego-Posada et al. (2022), equations 4 to 6, https://arxiv.org/abs/2208.04425, for the constrained problem;
        the ramp and the logarithm are ours.
    """

    def __init__(
        self,
        gated: GatedNetwork,
        *,
        params: Amounts = None,
        macs: Amounts = None,
        units: Amounts = None,
        terms: Amounts = None,
        steps: int | None = None,
        ramp: int | None = None,
        dual_lr: float = 1e-2,
        controller: str = "pi",
    ) -> None:
        parsed = parse({"params": params, "macs": macs, "units": units, "terms": terms}, share=True)
        _check_counts(steps=steps, ramp=ramp)
        if not 0 < dual_lr < math.inf:
            raise ValueError(f"dual_lr must be positive and finite, got {dual_lr}; try 0.01")
        if controller not in CONTROLLERS:
            raise ValueError(f"unknown controller {controller!r}{nearest(controller, CONTROLLERS)}")
        super().__init__(gated, [target for target, _ in parsed])
        self.goals = goals_of(self.costs, parsed)
        check_reachable(self.costs, self.limits)
        self.steps = steps
        self.ramp = ramp if ramp is not None else max(1, int(RAMP * steps)) if steps else DEFAULT_RAMP_STEPS
        self.dual_lr = dual_lr
        device = gated.log_odds.device
        goal = torch.tensor(self.goals, dtype=torch.float32, device=device)
        self.controller = CONTROLLERS[controller]
        self.state = self.controller(self._expected().detach(), goal, ramp=self.ramp, dual_lr=dual_lr)
        gated.gates.add_module("budget", self.state)
        self._registered = gated.gates._modules
        self._seen: Tensor | None = None

    @property
    def limits(self) -> list[int]:
        """The largest size of each target that may be delivered."""
        return limits_of(self.costs, self.goals)

    def penalty(self) -> Tensor:
        """What to add to the loss: the sum of multiplier times violation; a scalar, differentiable in the gates.

        With gradient accumulation, divide it like the loss: `(loss + budget.penalty()) / num_micro_batches`.
        """
        self._guard.saw_penalty()
        violation = self._violation()
        self._seen = violation.detach()
        return torch.dot(self.state.multiplier, violation)

    def step(self) -> None:
        """Update the multipliers and move to the noise of the next step. Call it after every optimizer step.

        The violation is that of the last penalty: descent and ascent are simultaneous.

        Raises:
            NonFiniteError: if a gate became NaN or infinite; gates and multipliers are as after the last good step.
            ValueError: if another budget has been made for this network since.
        """
        if self._registered.get("budget") is not self.state:
            raise ValueError("another budget was made for this network; give all targets to one Budget(...)")
        seen, self._seen = self._seen, None
        self._guard.check_gates()
        violation = self._violation().detach() if seen is None else seen
        self.state.advance(violation)
        self._guard.stepped()

    @property
    def multipliers(self) -> dict[str, float]:
        """The Lagrange multiplier of each target."""
        return self.costs.named(self.state.multiplier.tolist())

    def current_targets(self) -> dict[str, float]:
        """The share that each target allows at this point of the ramp."""
        return self.costs.named(self.state.log_target.exp().tolist())

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
        simulate(
            self.costs,
            self.goals,
            self.gated.log_odds,
            optimizer,
            steps=self.steps,
            ramp=self.ramp,
            dual_lr=self.dual_lr,
            controller=self.controller,
        )

    def _violation(self) -> Tensor:
        return self.state.violation(self._expected())


def _check_counts(**counts: int | None) -> None:
    for name, number in counts.items():
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise ValueError(f"{name} must be a positive whole number of optimizer steps, got {number!r}")
    steps, ramp = counts["steps"], counts["ramp"]
    if steps is not None and ramp is not None and ramp > steps:
        raise ValueError(f"the ramp of {ramp} steps outlasts the training of {steps} steps; try ramp={steps // 2}")
