"""The one table of distributions that every contract test runs over."""

from functools import partial

import pytest
import torch

from ellzero.distributions import BinaryConcrete, HardConcrete

MEMBERS = {
    "hard": HardConcrete,
    "hard-uneven": partial(HardConcrete, temperature=0.4, low=-0.3, high=1.05),
    "binary": BinaryConcrete,
    "binary-warm": partial(BinaryConcrete, temperature=1.3),
}


@pytest.fixture(params=MEMBERS.values(), ids=MEMBERS.keys())
def member(request):
    """A distribution that lacks only its log-odds."""
    return request.param


@pytest.fixture(autouse=True)
def _validate_by_default():
    """`torch.compile` switches off the validation of all distributions in the process; here it is on."""
    torch.distributions.Distribution.set_default_validate_args(True)
