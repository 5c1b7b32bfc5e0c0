"""The rule of each operation; what has no rule is pinned, never guessed."""

__all__ = ["apply_rule", "pointwise"]

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch

from ellzero.errors import TraceError
from ellzero.graph.labelling.attention import ATTENTION
from ellzero.graph.labelling.contractions import CONTRACTIONS, meet
from ellzero.graph.labelling.convolutions import CONVOLUTIONS
from ellzero.graph.labelling.indexing import INDEXING
from ellzero.graph.labelling.joins import JOINS
from ellzero.graph.labelling.labels import CONSTANT, Labels, Rule, Toil
from ellzero.graph.labelling.mixing import MIXING
from ellzero.graph.labelling.movement import MOVEMENTS, short
from ellzero.graph.labelling.normalisers import NORMALISERS
from ellzero.graph.labelling.norms import NORMALISATION
from ellzero.graph.labelling.patches import PATCHES
from ellzero.graph.recording.count import multiply_adds_of
from ellzero.graph.recording.record import Call


def apply_rule(labels: Labels, call: Call, rules: Mapping[str, Rule] = MappingProxyType({})) -> None:
    """Label the results of one operation.

    Args:
        labels: what is known so far; extended in place.
        call: the operation.
        rules: of the user, by the name of the operation; they come before those of the library.

    Raises:
        TraceError: if a rule of the user raises anything, or labels a result with too many or too few labels.
    """
    name = str(call.op.overloadpacket)
    if name.startswith("aten.sym_"):  # asks for a size, not for values
        return
    if call.sources and all(value.number in labels.derived for value in call.sources):
        labels.derived.update(value.number for value in call.targets)
    if name in rules:
        _apply_own(labels, call, rules[name])
        return
    try:
        _apply(labels, call, name)
        _check_widths(labels, call)
    except (IndexError, KeyError, TypeError, ValueError):  # a use of the operation that its rule does not know
        labels.pin_all([*call.sources, *call.targets], f"no rule for this use of {name}")
        for out in call.targets:
            labels.put(out, {})


def _apply_own(labels: Labels, call: Call, rule: Rule) -> None:
    """A rule of the user, whose mistakes are said and not made up for."""
    num_pairs, num_pins = len(labels.pairs), len(labels.pins)
    try:
        rule(labels, call)
        _check_widths(labels, call)
        given = [found for out in call.targets for found in labels.of(out).values()]
        united = [found for pair in labels.pairs[num_pairs:] for found in pair]
        labels.check([*given, *united, *(found for found, _ in labels.pins[num_pins:])])
    except TraceError:
        raise
    except Exception as error:
        name, what = call.op.overloadpacket, str(error) or "no message"
        raise TraceError(
            f"the rule for '{name}' failed on its use in {call.module or 'the network itself'!r}, with "
            f"{type(error).__name__}: {what}; mend the rule, or leave it out to keep the channels there"
        ) from error


def _check_widths(labels: Labels, call: Call) -> None:
    for out in call.targets:
        for dim, found in labels.of(out).items():
            if len(found) != out.shape[dim]:
                raise ValueError(f"{len(found)} labels along a dimension of {out.shape[dim]}")


def _apply(labels: Labels, call: Call, name: str) -> None:
    is_labelled = any(labels.of(value) for value in call.sources)
    if name in _CONSTANTS:
        _constant(labels, call)
    elif is_labelled and labels.is_wide and name in NORMALISATION and NORMALISATION[name](labels, call):
        return
    elif (is_labelled or name == "aten.expand") and name in _RULES:  # which may be as wide as whatever it meets
        _RULES[name](labels, call)
    elif is_labelled and call.targets and torch.Tag.pointwise in call.op.tags:
        pointwise(labels, call)
    else:
        where = f" in {call.module!r}" if call.module else ""
        labels.pin_all(call.sources, f"no rule for {name}{where}")
        if multiply_adds := multiply_adds_of(call):
            labels.toils.append(Toil(call.module, None, multiply_adds))


def pointwise(labels: Labels, call: Call) -> None:
    """The rule for operations that treat every element alone: values that meet are one channel."""
    for out in call.targets:
        labels.put(out, meet(labels, out.shape, call.sources), origin=_scaled(labels, call))


def _scaled(labels: Labels, call: Call) -> str | None:
    """The stored tensor that is multiplied by a number: zero where that is zero, so that it reads what that reads."""
    wide = [value for value in call.sources if math.prod(value.shape) > 1]
    if len(wide) != 1 or not (short(call) == "mul" or (short(call) in ("div", "neg") and call.args[0] is wide[0])):
        return None
    return labels.origin.get(wide[0].number)


def _constant(labels: Labels, call: Call) -> None:
    """The same number everywhere, or none yet: as wide as whatever it meets, if the forward pass makes it so."""
    for out in call.targets:
        sizes = {dim: size for dim, size in enumerate(out.shape) if size > 1}
        labels.put(out, {dim: labels.allot(CONSTANT, dim, size) for dim, size in sizes.items()})


_MADE = "zeros ones full empty new_zeros new_ones new_full new_empty"
_CONSTANTS = frozenset(f"aten.{name}" for name in _MADE.split())
_POINTWISE = (
    "_prelu_kernel hardswish hardswish_ log_sigmoid_forward rrelu_with_noise"
    " masked_fill masked_fill_ fill_ zero_ threshold_ mish_ gelu_ ge_ gt_ le_ lt_ eq_ ne_ complex polar"
    " leaky_relu leaky_relu_ hardtanh_ hardsigmoid_ elu_ selu_ celu_ ldexp ldexp_"
)
"""Without `torch.Tag.pointwise` up to PyTorch 2.13, and those of the last line up to 2.9."""


_RULES: Mapping[str, Rule] = MappingProxyType(
    dict(CONTRACTIONS)
    | dict(CONVOLUTIONS)
    | dict(ATTENTION)
    | dict(MOVEMENTS)
    | dict(PATCHES)
    | {f"aten.{name}": pointwise for name in _POINTWISE.split()}
    | dict(JOINS)
    | dict(NORMALISERS)
    | dict(MIXING)
    | dict(INDEXING)
)
