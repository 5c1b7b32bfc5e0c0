"""Integration by parts of products of derivatives: as many derivatives as possible move to the test function."""

__all__ = ["Part", "by_parts"]

from dataclasses import dataclass
from typing import TypeAlias

Powers: TypeAlias = tuple[int, ...]
"""Powers of u, u_x, u_xx, ...: `(1, 1)` is u u_x. The last is not zero."""


@dataclass(frozen=True, slots=True)
class Part:
    """A number times a derivative of a product.

    Attributes:
        factor: the number.
        order: of the derivative in space; in the weak form it moves to the test function, with sign (-1)^order.
        powers: of u, u_x, u_xx, ... in the product.
    """

    factor: float
    order: int
    powers: Powers


def by_parts(powers: Powers) -> list[Part]:
    r"""Write a product as derivatives of products of lower order.

    .. math:: u_b\, u_{b-1}^m R = \partial_x \Big(\tfrac{u_{b-1}^{m+1}}{m+1} R\Big)
              - \tfrac{u_{b-1}^{m+1}}{m+1} \partial_x R

    repeated as long as the highest derivative stands alone; R holds lower ones only.

    Args:
        powers: of u, u_x, u_xx, ...

    Returns:
        Parts whose sum it is; each product is either free of derivatives or has its highest one in a higher power.

    Example:
        >>> by_parts((1, 1))
        [Part(factor=0.5, order=1, powers=(2,))]
        >>> by_parts((1, 0, 1))
        [Part(factor=0.5, order=2, powers=(2,)), Part(factor=-1.0, order=0, powers=(0, 2))]
    """
    found: dict[tuple[int, Powers], float] = {}
    waiting = [Part(1.0, 0, _trimmed(powers))]
    while waiting:
        part = waiting.pop()
        highest = len(part.powers) - 1
        if highest < 1 or part.powers[highest] != 1:
            key = (part.order, part.powers)
            found[key] = found.get(key, 0.0) + part.factor
            continue
        risen = part.powers[highest - 1] + 1
        factor = part.factor / risen
        rest = part.powers[: highest - 1]
        waiting.append(Part(factor, part.order + 1, _trimmed((*rest, risen))))
        for index, power in enumerate(rest):
            if power:
                changed = [*rest, risen]
                changed[index] -= 1
                changed[index + 1] += 1
                waiting.append(Part(-factor * power, part.order, _trimmed(tuple(changed))))
    ordered = sorted(found.items(), key=lambda item: (-item[0][0], item[0][1]))
    return [Part(factor, order, product) for (order, product), factor in ordered if factor]


def _trimmed(powers: Powers) -> Powers:
    while powers and powers[-1] == 0:
        powers = powers[:-1]
    return powers
