"""Run a recording on labels instead of numbers."""

__all__ = ["IS_OUTPUT", "is_named", "run_on_labels"]

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod

from ellzero.graph.labelling.labels import Labels, Rule
from ellzero.graph.labelling.rules import apply_rule
from ellzero.graph.recording.record import Recording

IS_OUTPUT = "is an output of the network"


def run_on_labels(recording: Recording, keep: Sequence[str], labels: Labels, rules: Mapping[str, Rule]) -> Labels:
    """Label stored tensors and inputs, then the result of every call.

    Args:
        recording: of a network.
        keep: names of modules or tensors whose channels are kept; `*` stands for anything.
        labels: none yet, and how to choose; extended in place.
        rules: of the user, by the name of the operation.

    Returns:
        The same labels.
    """
    for name, value in recording.stored.items():
        vectors = {dim: labels.allot(name, dim, size) for dim, size in enumerate(value.shape) if size > 1}
        labels.put(value, vectors, origin=name)
        labels.derived.add(value.number)
        labels.sizes[name] = prod(value.shape)
        if any(is_named(name, pattern) for pattern in keep):
            labels.pin_all([value], "you asked to keep it")
    for value in recording.inputs:
        vectors = {dim: labels.allot("", dim, size) for dim, size in enumerate(value.shape) if dim and size > 1}
        labels.put(value, vectors)
    for call in recording.calls:
        apply_rule(labels, call, rules)
    labels.pin_all(recording.outputs, IS_OUTPUT)
    return labels


def is_named(name: str, pattern: str) -> bool:
    """Whether a pattern names a tensor, or the module that it belongs to."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[0], pattern)
