"""Networks that ask for something unusual: they are cut exactly, or refused with the module and the operation."""

import copy
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ellzero as l0
from ellzero.errors import SurgeryError, TraceError

GRAPHS = ("export gated", "export pruned", "compile gated", "compile pruned")


class Body(nn.Module):
    """Two hidden layers, to be called in unusual ways."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3)

    def body(self, values: Tensor) -> Tensor:
        return self.head(self.two(self.one(values).relu()).relu())


class Several(Body):
    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        return self.body(left + right) * scale


class Keyword(Body):
    def forward(self, *, values: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.body(values if mask is None else values * mask)


class ReturnsMapping(Body):
    def forward(self, values: Tensor) -> dict[str, Any]:
        return {"logits": self.body(values), "hidden": [values], "name": "x", "num": 3}


class ReturnsTuple(Body):
    def forward(self, values: Tensor) -> tuple[Any, ...]:
        return self.body(values), (values, None)


@dataclass
class Output:
    logits: Tensor
    num: int = 2


class ReturnsDataclass(Body):
    def forward(self, values: Tensor) -> Output:
        return Output(self.body(values))


class ReturnsModelOutput(Body):
    def forward(self, values: Tensor) -> Any:
        outputs = pytest.importorskip("transformers.modeling_outputs")
        return outputs.SequenceClassifierOutput(logits=self.body(values))


class ReturnsClasses(Body):
    def forward(self, values: Tensor) -> Tensor:
        return self.body(values).argmax(-1)


class ReturnsBooleans(Body):
    def forward(self, values: Tensor) -> Tensor:
        return self.body(values) > 0


class ReturnsComplex(Body):
    def forward(self, values: Tensor) -> Tensor:
        return torch.polar(self.body(values).exp(), self.body(values))


class TakesDataclass(Body):
    def forward(self, inputs: Output) -> Tensor:
        return self.body(inputs.logits)


class NeverCalled(Body):
    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.Linear(7, 2))

    def forward(self, values: Tensor) -> Tensor:
        return self.body(values)


class Dropping(Body):
    def forward(self, values: Tensor) -> Tensor:
        return self.head(F.dropout(self.two(self.one(values).relu()).relu(), 0.5, training=self.training))


class AlwaysNoisyInput(Body):
    """Random numbers in evaluation mode too, but none along channels."""

    def forward(self, values: Tensor) -> Tensor:
        return self.body(values + torch.randn_like(values))


class InPlace(Body):
    def forward(self, values: Tensor) -> Tensor:
        return self.body(values.mul_(2).add_(1))


class TakesApart(Body):
    def forward(self, parts: list[Tensor], options: dict[str, float]) -> Tensor:
        return self.body(parts.pop() * options.pop("scale"))


class Counting(Body):
    """Changes a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        self.calls += 1
        return self.body(values)


class DependsOnData(Body):
    def forward(self, values: Tensor) -> Tensor:
        return self.body(values + 1 if values.sum() > 0 else values)


VALUES = torch.linspace(-1, 1, 12).view(3, 4)
EXACT = {
    "several inputs": (Several, (VALUES, VALUES)),
    "several inputs by name": (Several, {"left": VALUES, "right": VALUES, "scale": 0.5}),
    "a list of inputs": (Several, [VALUES, VALUES]),
    "keyword only": (Keyword, {"values": VALUES}),
    "keyword only, with a mask": (Keyword, {"values": VALUES, "mask": torch.ones(3, 4)}),
    "a mapping that is no dict": (Keyword, UserDict(values=VALUES)),
    "returns a mapping": (ReturnsMapping, VALUES),
    "returns a tuple": (ReturnsTuple, VALUES),
    "returns a dataclass": (ReturnsDataclass, VALUES),
    "returns a ModelOutput": (ReturnsModelOutput, VALUES),
    "returns classes": (ReturnsClasses, VALUES),
    "returns booleans": (ReturnsBooleans, VALUES),
    "takes a dataclass": (TakesDataclass, (Output(VALUES),)),
    "a module is never called": (NeverCalled, VALUES),
    "dropout in training": (Dropping, VALUES),
    "noise in evaluation": (AlwaysNoisyInput, VALUES),
    "works on its input in place": (InPlace, VALUES),
    "works on its named input in place": (InPlace, {"values": VALUES}),
    "takes its inputs apart": (TakesApart, ([VALUES], {"scale": 2.0})),
    "changes a buffer": (Counting, VALUES),
    "depends on the data": (DependsOnData, VALUES),
}


def built(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind()


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return len(one) == len(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return (
        vars(one) == vars(other) if isinstance(one, Output) and one.logits is other.logits else type(one) is type(other)
    )


@pytest.mark.parametrize(("kind", "example"), EXACT.values(), ids=EXACT.keys())
def test_it_is_traced_gated_cut_and_checked_and_the_example_stays(kind, example):
    before = copy.deepcopy(example)
    model = built(kind)
    assert [group.size for group in l0.trace(model, example).gated] == [6, 5]
    found = l0.check_model(model, example, skip=GRAPHS)
    found.raise_if_failed()
    assert found["pruning"].outcome == found["parameters"].outcome == "passed"

    gated = l0.Gated(model, example)
    with torch.no_grad():
        gated.log_odds[::2] = -5.0
    small = l0.prune(gated)
    assert [module.out_features for module in (small.one, small.two)] == [3, 2]
    assert same(example, before)


def test_complex_outputs_are_compared_as_numbers():
    found = l0.check_model(built(ReturnsComplex), VALUES, skip=GRAPHS)
    assert found.ok
    assert found["pruning"].outcome == "passed"


def test_a_module_that_is_never_called_stays_whole():
    gated = l0.Gated(built(NeverCalled), VALUES)
    with torch.no_grad():
        gated.log_odds.fill_(-5.0)
    assert l0.prune(gated).never[0].weight.shape == (7, 4)


def test_training_flags_and_dropout_survive():
    gated = l0.Gated(built(Dropping).train(), VALUES)
    small = l0.prune(gated, plan=l0.Plan({"one": (0, 1)}))
    assert small.training
    assert not torch.equal(small(VALUES), small(VALUES))


class Fails(Body):
    def forward(self, values: Tensor) -> Tensor:
        raise KeyError("no such thing")


class ReturnsText(Body):
    def forward(self, values: Tensor) -> str:
        return str(self.body(values).shape)


REFUSED = {
    "too few inputs": (Several, VALUES, r"in 'the network itself' .* missing 1 required positional argument: 'right'"),
    "too many inputs": (Dropping, (VALUES, VALUES), r"in 'the network itself' .* takes 2 positional arguments"),
    "an unknown name": (Keyword, {"value": VALUES}, r"unexpected keyword argument 'value'"),
    "a wrong width": (Dropping, torch.zeros(2, 5), r"failed in 'one' on an example of shape \(2, 5\), at aten.addmm: "),
    "a number": (Dropping, 3, r"failed in 'one' .*must be Tensor, not int; give an example"),
    "an array": (Dropping, np.zeros((2, 4)), r"failed in 'one' .*must be Tensor, not numpy.ndarray"),
    "text": (Dropping, "values", r"failed in 'one' .*must be Tensor, not str"),
    "another device": (Dropping, VALUES.to("meta"), r"failed in 'one' .*, at aten.addmm: .*two (different )?devices"),
    "an empty batch": (Dropping, torch.zeros(0, 4), r"shape \(0, 4\) and so holds no data"),
    "a forward pass that fails": (Fails, VALUES, r"failed in 'the network itself' .*no such thing"),
    "no tensor comes out": (ReturnsText, VALUES, r"returned str without any tensor in it; return at least one"),
}


@pytest.mark.parametrize(("kind", "example", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_with_the_module_and_the_operation(kind, example, message):
    for attempt in (l0.trace, l0.Gated):
        with pytest.raises(TraceError, match=message):
            attempt(built(kind), example)
    found = l0.check_model(built(kind), example)
    assert [one.name for one in found.failed] == ["trace"]


def test_a_network_without_numbers_is_traced_on_an_example_with_some():
    assert l0.trace(built(Dropping).to("meta"), VALUES) == l0.trace(built(Dropping), VALUES)


def test_prune_names_the_module_that_does_not_run_on_its_example():
    gated = l0.Gated(built(Dropping), VALUES)
    with pytest.raises(
        SurgeryError, match=r"does not run on the example: .*\(in 'model.one'\); give one that it accepts"
    ):
        l0.prune(gated, example=VALUES.long())


def test_prune_refuses_a_network_without_numbers():
    gated = l0.Gated(built(Dropping).to("meta"), VALUES.to("meta"))
    for options in ({}, {"plan": l0.Plan({"one": (0,)})}):
        with pytest.raises(SurgeryError, match=r"on the meta device .* load its weights .*make_plan.*cut_checkpoint"):
            l0.prune(gated, **options)
    for decide in (gated.plan, lambda: l0.Budget(gated, params=0.5), lambda: l0.Penalty(gated, params=0.5)):
        with pytest.raises(ValueError, match=r"gates are on the meta device, .*make_plan\(gated.channels, "):
            decide()
    exported = l0.Gated(built(Dropping).to("meta"), VALUES.to("meta"), exported=True)
    assert exported.channels.group("one").size == gated.channels.group("one").size


def test_a_network_that_is_random_in_evaluation_is_told_from_a_wrong_cut():
    gated = l0.Gated(built(Dropping), VALUES)
    generator = np.random.default_rng(0)
    gated.model.head.register_forward_hook(lambda module, args, output: output + float(generator.random()))
    with pytest.raises(SurgeryError, match=r"draws random numbers in evaluation mode, .* depend on self.training"):
        l0.prune(gated, plan=l0.Plan({"one": (0,)}))
