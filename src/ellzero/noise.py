"""Stateless uniform noise: a pure function of four integers, without any generator."""

__all__ = ["advance", "counters", "uniform"]

from typing import Any

import torch
from torch import Tensor

_MASK = 0xFFFF_FFFF
# Odd multipliers below 2**31: their product with a 32-bit word stays below 2**63, so no step can overflow.
_FIRST, _SECOND = 0x7FEB_352D, 0x3184_8BAB
_SALT = 0x243F_6A88


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
    first, second = _keys(state)
    bits = _mix(_mix((torch.arange(num, device=state.device) + first) & _MASK) ^ second)
    return ((bits >> 9).float() + 0.5) * 2.0**-23


def _keys(state: Tensor) -> tuple[Tensor, Tensor] | tuple[int, int]:
    """Two 32-bit words that depend on every bit of the counters.

    On the CPU the few scalar operations are done on Python's integers, elsewhere and under compilation on tensors, so
    that nothing waits for the device; both compute the same.
    """
    on_host = state.device.type == "cpu" and not torch.compiler.is_compiling()
    words = state.tolist() if on_host else state.unbind()
    first, second = _mix(words[0] & _MASK), _mix((words[0] ^ _SALT) & _MASK)
    for word in (words[0] >> 32, words[1], words[1] >> 32, words[2], words[2] >> 32):
        first = _mix(first ^ (word & _MASK))
        second = _mix((second + (word & _MASK) + _SALT) & _MASK)
    return first, second


def _mix(word: Any) -> Any:
    """A bijection of 32-bit words (in int64) in which every input bit reaches every output bit."""
    word = word ^ (word >> 16)
    word = (word * _FIRST) & _MASK
    word = word ^ (word >> 15)
    word = (word * _SECOND) & _MASK
    return word ^ (word >> 16)
