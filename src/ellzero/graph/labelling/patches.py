"""Rules for pixels that become channels, and channels that become pixels."""

__all__ = ["PATCHES"]

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ellzero.graph.labelling.labels import Labels
from ellzero.graph.labelling.movement import short
from ellzero.graph.recording.record import Call


def _to_pixels(labels: Labels, call: Call) -> None:
    """Neighbouring channels that become pixels of one channel, `(*batch, channels, rows, columns)`, go together."""
    source, out = call.sources[0], call.targets[0]
    channel_dim = len(out.shape) - 3
    vectors = dict(labels.of(source))
    _pin_pixels(labels, call, channel_dim)
    if channel_dim in vectors:
        rows = vectors[channel_dim].reshape(out.shape[channel_dim], -1).T
        for row in rows[1:]:
            labels.unite(rows[0], row)
        vectors[channel_dim] = rows[0].copy()
    labels.put(out, {dim: found for dim, found in vectors.items() if dim <= channel_dim})


def _from_pixels(labels: Labels, call: Call) -> None:
    """Pixels of a channel of `(*batch, channels, rows, columns)` become neighbouring channels that go together."""
    source, out = call.sources[0], call.targets[0]
    channel_dim = len(source.shape) - 3
    _pin_pixels(labels, call, channel_dim)
    vectors = {dim: found for dim, found in labels.of(source).items() if dim <= channel_dim}
    if channel_dim in vectors:
        vectors[channel_dim] = np.repeat(vectors[channel_dim], out.shape[channel_dim] // source.shape[channel_dim])
    labels.put(out, vectors)


def _pin_pixels(labels: Labels, call: Call, channel_dim: int) -> None:
    for dim, found in labels.of(call.sources[0]).items():
        if dim > channel_dim:
            labels.pin(found, f"is rearranged by {short(call)}")


PATCHES: Mapping[str, Callable[[Labels, Call], None]] = MappingProxyType(
    {
        "aten.pixel_shuffle": _to_pixels,
        "aten.pixel_unshuffle": _from_pixels,
        "aten.im2col": _from_pixels,
        "aten.col2im": _to_pixels,
    }
)
