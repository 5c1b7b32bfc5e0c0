"""Places for labels at the ends of lines, so that none lies over another."""

__all__ = ["spread"]

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, *, low: float = 0.0, high: float = 1.0) -> list[float]:
    r"""Move labels apart as little as their order allows.

    .. math:: \min_p \sum_i (p_i - w_i)^2 \quad \text{subject to} \quad p_{i+1} - p_i \ge \text{gap}

    Args:
        wanted: where each label would be best, in any order.
        gap: least distance between two labels; made smaller where they would not all fit.
        low: least place.
        high: largest place.

    Returns:
        A place for each label, in the order given; labels keep their order from low to high.

    Source:
        Barlow et al. (1972), "Statistical Inference under Order Restrictions", for pooling adjacent violators.

    Example:
        >>> spread([0.5, 0.5, 0.9], 0.2)
        [0.4, 0.6, 0.9]
    """
    count = len(wanted)
    gap = min(gap, (high - low) / (count - 1)) if count > 1 else gap
    order = sorted(range(count), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []  # mean of what is wanted, less the gaps below, and how many labels
    for place, index in enumerate(order):
        mean, size = wanted[index] - gap * place, 1
        while blocks and blocks[-1][0] > mean:
            before, num = blocks.pop()
            mean, size = (before * num + mean * size) / (num + size), num + size
        blocks.append((mean, size))
    levels = [mean for mean, size in blocks for _ in range(size)]
    highest = high - gap * (count - 1)
    found = [0.0] * count
    for place, (index, level) in enumerate(zip(order, levels, strict=True)):
        found[index] = round(min(max(level, low), highest) + gap * place, 12)
    return found
