"""Hugging Face Transformers: a configuration that describes the pruned network, so that it can be saved and loaded."""

__all__ = ["fit_config"]

import copy
from collections.abc import Iterator
from typing import Any

from torch import nn

from ellzero.errors import SurgeryError
from ellzero.graph import Example, structure_of
from ellzero.integrations.fields import (
    Field,
    changed_layers,
    get,
    guesses,
    is_head_width,
    layers_of,
    number_of,
    set_layers,
    set_to,
)
from ellzero.integrations.rebuilt import Built, compute_the_same, shapes_of
from ellzero.surgery import example_of


def fit_config(small: Any, *, example: Example = None) -> dict[str, tuple[Any, Any]]:
    """Make `small.config` describe a pruned model, so that `save_pretrained` and `from_pretrained` work.

    A configuration holds one number of heads and one width for all layers. Every whole number in it, or in one within
    it, that is a multiple of the size of a cut group is a candidate to go down in proportion; a change is kept if more
    sizes of a model that is built from the configuration, without numbers, are those of the pruned one. Where layers
    have different widths, the same is tried for each with `per_layer_config`, which only some classes read.

    In the end a model that is built from the configuration is given the tensors of the pruned one, and must return what
    that does.

    Args:
        small: what `prune` made of a `PreTrainedModel`; its configuration is changed in place, and only if all fits.
        example: inputs to compare on; if left out, those that the network was gated with, where they are still known
            (after pickling or loading only shapes are compared).

    Returns:
        For each changed field the value before and after; those of a configuration within it with dots
        (`text_config.intermediate_size`), those of one layer as `per_layer_config.0.intermediate_size`.

    Raises:
        SurgeryError: if no configuration describes the network, because its layers have different widths (prune with
            `uniform=True`), or its class refuses the numbers or derives one width from another; the message names the
            first such tensor, and what the class says.
        TypeError: if it is not a model with a configuration.

    Example:
        >>> fit_config(nn.Linear(2, 2))
        Traceback (most recent call last):
        ...
        TypeError: expected a pruned PreTrainedModel, got Linear, which has no config
    """
    config = getattr(small, "config", None)
    if not isinstance(small, nn.Module) or not hasattr(config, "to_dict"):
        raise TypeError(f"expected a pruned PreTrainedModel, got {type(small).__name__}, which has no config")
    search = _Search(small, config)
    search.fix_head_width()
    search.over_fields()
    if search.different():
        search.over_layers()
    if search.different():
        search.over_fields(head_widths=True)
    search.check()
    search.leave_out_head_width()
    example = example_of(small) if example is None else example
    if example is not None:
        compute_the_same(search.config, small, example)
    return _adopt(config, search)


def _adopt(config: Any, search: "_Search") -> dict[str, tuple[Any, Any]]:
    """Write what was found into the configuration that belongs to the model, which its modules hold, too."""
    fields = list(search.fields)
    before, after = number_of(config, fields), number_of(search.config, fields)
    changed = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    layers, found = layers_of(config), layers_of(search.config)
    differences = changed_layers(layers, found, config)
    for field in fields:
        part = config
        for name in field[:-1]:
            part = vars(part)[name]
        setattr(part, field[-1], get(search.config, field))
    if differences:
        config.per_layer_config = found
    return changed | differences


class _Search:
    """A configuration that comes closer, number by number."""

    def __init__(self, small: nn.Module, config: Any) -> None:
        self.small, self.kind, self.structure = small, type(small), structure_of(small)
        self.wanted = shapes_of(small)
        self.config = copy.deepcopy(config)
        self.fields: dict[Field, None] = {}
        self.refusals: dict[int, str] = {}
        self.score = self._score(self.config)

    def _score(self, config: Any, value: int = 0) -> float:
        """How close a configuration is; if its class refuses it, what it says is kept with the value that was tried."""
        built = Built(self.kind, config)
        if built.why:
            self.refusals.setdefault(value, built.why)
        return built.score(self.small, self.wanted)

    def fix_head_width(self) -> None:
        """Write out the width of a head, where a class takes it from two numbers of which one may change."""
        width, heads = get(self.config, ("hidden_size",)), get(self.config, ("num_attention_heads",))
        is_free = "head_dim" in vars(self.config) or not hasattr(type(self.config), "head_dim")  # or it is computed
        if get(self.config, ("head_dim",)) is None and is_free and width and heads and width % heads == 0:
            fixed = set_to(self.config, ("head_dim",), width // heads)
            one_head = [set_to(config, ("num_attention_heads",), 1) for config in (fixed, self.config)]
            if Built(self.kind, one_head[0]).shapes != Built(self.kind, one_head[1]).shapes:
                self.config, self.score = fixed, self._score(fixed)
                self.fields["head_dim",] = None

    def leave_out_head_width(self) -> None:
        """If it follows from the other numbers after all."""
        field = ("head_dim",)
        if field in self.fields:
            shorter = copy.deepcopy(self.config)
            vars(shorter).pop("head_dim")
            if Built(self.kind, shorter).shapes == Built(self.kind, self.config).shapes:
                self.config = shorter
                self.fields.pop(field)

    def over_fields(self, *, head_widths: bool = False) -> None:
        """The best change first, until none helps."""
        while True:
            tried = [one for one in self._trials() if head_widths or not is_head_width(one[0])]
            scored = [(self._score(config, value), number) for number, (_, value, config) in enumerate(tried)]
            best, number = max(scored, default=(self.score, 0), key=lambda pair: pair[0])
            if best <= self.score:
                return
            self.score, self.config = best, tried[number][2]
            self.fields[tried[number][0]] = None

    def _trials(self) -> Iterator[tuple[Field, int, Any]]:
        for field, value in guesses(self.config, self.structure):
            try:
                yield field, value, set_to(self.config, field, value)
            except Exception:  # whatever a configuration says of a number where it expects something else
                continue

    def over_layers(self) -> None:
        """For each layer, and for all layers of a type, the changes that their own groups suggest."""
        layers, fields = layers_of(self.config), self._fields_of_different()
        for some in _sets_of_layers(self.config) if fields else ():
            for field, value in guesses(self.config, self.structure, layer=some[0]):
                if field not in fields:
                    continue
                trial = layers | {layer: layers.get(layer, {}) | {field[0]: value} for layer in some}
                try:
                    config = set_layers(self.config, trial)
                except Exception as error:  # whatever the configuration says of such differences
                    self.refusals[value] = f"{type(error).__name__}: {error}"
                    continue
                self.refusals.pop(value, None)  # what was said of the same number for all layers
                score = self._score(config, value)
                if score > self.score:
                    self.score, self.config, layers = score, config, trial

    def _fields_of_different(self) -> set[Field]:
        """Fields with which a tensor that has another shape would have its own."""
        different = self.different()
        found: set[Field] = set()
        for field, _, config in self._trials():
            shapes = Built(self.kind, config).shapes
            if len(field) == 1 and any(shapes.get(name) == self.wanted[name] for name in different):
                found.add(field)
        return found

    def different(self) -> list[str]:
        """Tensors that have another shape."""
        shapes = Built(self.kind, self.config).shapes
        return [name for name, shape in self.wanted.items() if shapes.get(name) != shape]

    def check(self) -> None:
        """Refuse a configuration that does not describe the network."""
        different = self.different()
        if different:
            said = [why for value, why in self.refusals.items() if value in self.wanted[different[0]]]
            said = said or [why for why in self.refusals.values() if "per-layer" in why]
            because = f" {self.kind.__name__} refused a configuration that says so: {said[0][:250]}." if said else ""
            raise SurgeryError(
                f"no configuration of {self.kind.__name__} describes this network: {different[0]!r} has shape "
                f"{self.wanted[different[0]]}. Its layers have different widths, or the class derives one width from "
                f"another.{because} prune(..., uniform=True) gives all layers of a kind the same width, multiple_of= "
                "one that can be divided. The network itself works as it is: save it with ellzero.save"
            )


def _sets_of_layers(config: Any) -> Iterator[list[int]]:
    """Each layer, and the layers of each type, which some classes want alike."""
    num_layers = get(config, ("num_hidden_layers",)) or 0
    yield from ([layer] for layer in range(num_layers))
    types = get(config, ("layer_types",)) or []
    for kind in dict.fromkeys(types):
        yield [layer for layer, one in enumerate(types) if one == kind]
