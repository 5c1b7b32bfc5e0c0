"""Stateless uniform noise: a pure function of four integers, without any generator."""

__all__ = ["Lookahead", "advance", "counters", "uniform"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MASK = 0xFFFF_FFFF
# Odd multipliers below 2**31: their product with a 32-bit word stays below 2**63, so no step can overflow.
_FIRST, _SECOND = 0x7FEB_352D, 0x3184_8BAB
_SALT = 0x243F_6A88
_AHEAD, _BLOCK = 16, 2**16


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
    words: Any = state.numpy() if _is_on_host(state) else state  # NumPy's fixed cost per operation is lower
    if step:
        words[1] += 1
        words[2] = 0
    else:
        words[2] += 1


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
    if _is_on_host(state):
        bits = _bits(*_keys(state.tolist()), np.arange(num, dtype=np.uint32))
        return torch.from_numpy(_unit(bits.astype(np.float32)))
    return _unit(_bits(*_keys(state.unbind()), torch.arange(num, device=state.device)).float())


class Lookahead:
    """Logistic noise of the coming steps, drawn together on the host: what `uniform` gives at a fraction of its cost.

    Args:
        num: how many numbers a step needs, one per gate.
    """

    def __init__(self, num: int) -> None:
        self.num = num
        self._seed = self._step = -1
        self._rows: tuple[Tensor, ...] = ()

    def logistic(self, state: Tensor) -> Tensor:
        """The logit of `uniform(state, num)`, in nats; only the first micro-batch of a step is drawn ahead."""
        if not _is_on_host(state):
            return torch.logit(uniform(state, self.num))
        seed, step, micro_batch = state.tolist()
        if micro_batch != 1:
            return torch.logit(uniform(state, self.num))
        if seed != self._seed or not self._step <= step < self._step + len(self._rows):
            self._seed, self._step = seed, step
            self._rows = self._draw(seed, step, max(1, min(_AHEAD, _BLOCK // max(1, self.num))))
        return self._rows[step - self._step]

    def _draw(self, seed: int, start: int, steps: int) -> tuple[Tensor, ...]:
        keys = np.array([_keys((seed, step, 1)) for step in range(start, start + steps)], dtype=np.uint32)
        bits = _bits(keys[:, :1], keys[:, 1:], np.arange(self.num, dtype=np.uint32))
        return torch.logit(torch.from_numpy(_unit(bits.astype(np.float32)))).unbind()


def _is_on_host(state: Tensor) -> bool:
    return state.device.type == "cpu" and not torch.compiler.is_compiling()


def _keys(state: Sequence[Any]) -> tuple[Any, Any]:
    """Two words of 32 bits, each of which depends on every bit of the counters."""
    first, second = _mix(state[0] & _MASK), _mix((state[0] ^ _SALT) & _MASK)
    for word in (state[0] >> 32, state[1], state[1] >> 32, state[2], state[2] >> 32):
        first = _mix(first ^ (word & _MASK))
        second = _mix((second + (word & _MASK) + _SALT) & _MASK)
    return first, second


def _bits(first: Any, second: Any, index: Any) -> Any:
    """23 bits for each index: two rounds of mixing, each under a key of its own.

    Integers may be Python's, NumPy's of 32 bits or torch's of 64: no result is ever larger than 32 bits.
    """
    return _mix(_mix((index + first) & _MASK) ^ second) >> 9


def _unit(bits: Any) -> Any:
    """Numbers in the open interval (0, 1) from floats that hold 23 bits."""
    return (bits + 0.5) * 2.0**-23


def _mix(word: Any) -> Any:
    """A bijection of 32-bit words in which every input bit reaches every output bit."""
    word = word ^ (word >> 16)
    word = (word * _FIRST) & _MASK
    word = word ^ (word >> 15)
    word = (word * _SECOND) & _MASK
    return word ^ (word >> 16)
