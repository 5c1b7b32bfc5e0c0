"""The order in which groups are shown: that of the network, what is only read before its reader."""

__all__ = ["in_network_order"]

from ellzero.graph import Channels, Group


def in_network_order(channels: Channels) -> list[Group]:
    """The gated groups, inputs and positions in front of the group that their reader writes.

    Args:
        channels: of the network before it was cut.

    Returns:
        Every gated group once.

    Example:
        >>> from ellzero.graph import Member
        >>> hidden = Group("0", 3, (Member("0.weight", 0, "writer"), Member("1.weight", 1, "reader")))
        >>> pixels = Group("input", 4, (Member("0.weight", 1, "reader"),), kind="input")
        >>> [group.name for group in in_network_order(Channels((hidden, pixels), {}))]
        ['input', '0']
    """
    order = [group for group in channels.groups if group.kind == "channels"]
    for group in channels.groups:
        if group.kind != "channels":
            read = set(group.readers)
            next_one = (place for place, other in enumerate(order) if read & set(other.writers))
            order.insert(next(next_one, 0 if group.kind == "input" else len(order)), group)
    return [group for group in order if not group.reason]
