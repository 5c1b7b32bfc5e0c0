"""`Penalty`: a fixed price per parameter, multiply-add or unit."""

__all__ = ["Penalty"]

import torch
from torch import Tensor

from ellzero.budgets.sizer import Sizer
from ellzero.budgets.targets import Amounts, GatedNetwork, parse


class Penalty(Sizer):
    r"""L0 regularisation at a fixed strength, in units of the loss per parameter, multiply-add or open gate.

    .. math:: \sum_t \lambda_t E_z[C_t]

    Louizos et al. write :math:`\lambda / N` with N training samples for a loss that is a mean over samples: their
    `lambda = 0.1` on MNIST is `Penalty(gated, params=0.1 / 60_000)`. They count the gates in front of each layer times
    the full other dimension, here the network that will be delivered is counted. A budget whose multiplier settles at
    :math:`\lambda` (its violation is a logarithm) corresponds to the price :math:`\lambda / E[C]`.

    Args:
        gated: the gated network.
        params: price of a parameter, or a mapping from name patterns (of tensors or modules) to prices.
        macs: the same for a multiply-add of a forward pass on the example.
        units: the same for an open gate.
        terms: the same for a candidate term: a channel that no parameter writes, as in a `SparseDictionary`.

    Raises:
        ValueError: if a price is negative or not finite, or a name is unknown (the nearest one is offered).

    Source:
        Louizos, Welling & Kingma (2018), equation 3, https://arxiv.org/abs/1712.01312
    """

    def __init__(
        self,
        gated: GatedNetwork,
        *,
        params: Amounts = None,
        macs: Amounts = None,
        units: Amounts = None,
        terms: Amounts = None,
    ) -> None:
        parsed = parse({"params": params, "macs": macs, "units": units, "terms": terms}, share=False)
        super().__init__(gated, [target for target, _ in parsed])
        prices = torch.tensor([price for _, price in parsed], dtype=torch.float64)
        self.prices = (prices * torch.tensor(self.costs.full, dtype=torch.float64)).float().to(gated.log_odds.device)

    @property
    def limits(self) -> list[int]:
        """A penalty has none: what the gates leave open is delivered."""
        return self.costs.full

    def penalty(self) -> Tensor:
        """What to add to the loss; a scalar, differentiable in the gates."""
        self._guard.saw_penalty()
        return torch.dot(self.prices, self._expected())

    def step(self) -> None:
        """Move to the noise of the next step. Call it after every optimizer step.

        Raises:
            NonFiniteError: if a gate became NaN or infinite; the gates are as after the last good step.
        """
        self._guard.check_gates()
        self._guard.stepped()
