"""Stateless uniform noise: a pure function of four integers, without any generator."""

__all__ = ["advance", "counters", "uniform"]

import torch
from torch import Tensor

_MASK = 0xFFFF_FFFF
# Odd multipliers below 2**31: their product with a 32-bit word stays below 2**63, so no step can overflow.
_FIRST, _SECOND = 0x7FEB_352D, 0x3184_8BAB
_SALTS = (0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344, 0xA409_3822, 0x299F_31D0)
_SECOND_KEY = 0x082E_FA98


def counters(seed: int, *, step: int = 0, micro_batch: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Pack the three counters that, with the gate's index, determine a draw.

    Args:
        seed: chosen by the user, any 64-bit integer.
        step: optimizer steps done so far.
        micro_batch: training forwards done since that step (over all ranks).
        device: where the noise will be drawn.

    Returns:
        An int64 tensor of shape `(3,)`.

    Example:
        >>> counters(7, step=2)
        tensor([7, 2, 0])
    """
    return torch.tensor([seed, step, micro_batch], dtype=torch.int64, device=device)


def advance(state: Tensor, *, step: bool) -> None:
    """Move to the next optimizer step (`step=True`) or to the next micro-batch within it, in place.

    Args:
        state: the counters, int64, shape `(3,)`.
        step: whether an optimizer step has been taken.

    Example:
        >>> state = counters(7)
        >>> advance(state, step=False); advance(state, step=True); state
        tensor([7, 1, 0])
    """
    if step:
        state[1].add_(1)
        state[2].zero_()
    else:
        state[2].add_(1)


def uniform(state: Tensor, num: int) -> Tensor:
    r"""Draw `num` independent uniforms; the same counters always give the same numbers, on every device.

    .. math:: u_i = (h(i, k) + 1/2) / 2^{23}, \qquad k = (\text{seed}, \text{step}, \text{micro-batch})

    with :math:`h` an integer hash of 23 bits: two rounds of multiply and xor-shift, each under a key of its own.

    Args:
        state: the counters, int64, shape `(3,)`.
        num: how many numbers, one per gate.

    Returns:
        float32 in the open interval (0, 1), shape `(num,)`, on the device of `state`.

    Source:
        Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", for counter-based generators;
        the mixing constants follow https://github.com/skeeto/hash-prospector.

    Example:
        >>> bool((uniform(counters(0), 4) == uniform(counters(0), 4)).all())
        True
    """
    salts = torch.tensor(_SALTS, device=state.device)
    halves = torch.cat([state & _MASK, (state >> 32) & _MASK])  # (6,)
    words = torch.stack([halves + salts, halves * 3 + salts.flip(0) + _SECOND_KEY]) & _MASK  # (2 keys, 6)
    keys = _mix(_mix(words).mul_(torch.arange(1, 12, 2, device=state.device)).sum(1) & _MASK)
    index = torch.arange(num, device=state.device)
    bits = _mix(_mix((index + keys[0]) & _MASK) ^ keys[1])
    return ((bits >> 9).float() + 0.5) * 2.0**-23


def _mix(word: Tensor) -> Tensor:
    """A bijection of 32-bit words (held in int64) in which every input bit reaches every output bit."""
    word = word ^ (word >> 16)
    word = (word * _FIRST) & _MASK
    word = word ^ (word >> 15)
    word = (word * _SECOND) & _MASK
    return word ^ (word >> 16)
