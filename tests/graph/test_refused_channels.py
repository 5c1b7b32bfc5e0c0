"""Channels, plans, examples and names that do not fit are refused with a sentence that says what to do."""

import json
import re

import pytest
import torch
from torch import Tensor, nn

from ellzero.errors import SurgeryError, TraceError
from ellzero.graph import Channels, Group, Layout, Member, Plan, check_fit, cut, settle, trace


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


WRITER, BIAS, READER = Member("0.weight", 0, "writer"), Member("0.bias", 0), Member("2.weight", 1, "reader")


def hidden(*members, size=3, **settings):
    return Channels((Group("hidden", size, members, **settings),), {})


def test_channels_that_fit_are_accepted():
    check_fit(network(), torch.zeros(1, 4), hidden(WRITER, BIAS, READER))
    check_fit(network(), torch.zeros(1, 4), trace(network(), torch.zeros(1, 4), inputs=True))


def test_channels_fit_a_network_with_an_operation_that_takes_data_only():
    @torch.library.custom_op("ellzero::halved", mutates_args=())
    def halved(x: Tensor) -> Tensor:
        return x / 2

    @halved.register_fake
    def _(x: Tensor) -> Tensor:
        raise RuntimeError("no kernel for tensors without data")

    class Halved(nn.Module):
        def forward(self, values):
            return halved(values)

    model = nn.Sequential(network(), Halved())
    channels = trace(model, torch.zeros(1, 4))
    assert channels.num_gates == 3
    check_fit(model, torch.zeros(1, 4), channels)
    with pytest.raises(TraceError, match=r"the forward pass failed: .*give an example that the network accepts"):
        check_fit(model, torch.zeros(1, 7), channels)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (hidden(WRITER, BIAS, Member("2.weigth", 1, "reader")), "names '2.weigth', which .* did you mean '2.weight'"),
        (
            hidden(WRITER, BIAS, Member("2.weight", 2, "reader")),
            "dimension 2 of '2.weight', whose .* 0 to 1",
        ),
        (hidden(WRITER, BIAS, Member("2.weight", -1, "reader")), "dimension -1 of '2.weight'.*count from the front"),
        (hidden(WRITER, BIAS, READER, size=4), "index 3 along dimension 0 of '0.weight', which has 3 entries"),
        (hidden(WRITER, BIAS, Member("2.weight", 1, "reader", (0, 1, -1))), "has index -1"),
        (hidden(WRITER, BIAS, READER, size=2), "the groups cover 2 of the 3 entries"),
        (hidden(WRITER, BIAS, Member("2.weight", 1, "reeder")), "the role 'reeder'; did you mean 'reader'"),
        (hidden(WRITER, BIAS, Member("2.weight", 1)), "has no reader; name the weight"),
        (hidden(WRITER, BIAS, Member("2.weight", 1, "writer")), "has no reader"),
        (hidden(WRITER, READER), "does not describe this network: its width is fixed"),
        (hidden(BIAS, READER), "does not describe this network"),
        (hidden(Member("0.weight", 0, "reader"), BIAS, Member("2.weight", 1)), "does not describe this network"),
        (
            hidden(WRITER, BIAS, Member("2.weight", 1, "reader", (0, 1, 1))),
            "every index belongs to one channel",
        ),
        (hidden(WRITER, BIAS, READER, kind="input"), "of kind 'input' must be read by linear or convolutional layers"),
        (
            Channels((Group("a", 3, (WRITER, BIAS, READER)), Group("b", 2, (Member("2.weight", 1, "reader"),))), {}),
            "groups 'a' and 'b' overlap along dimension 1 of '2.weight'",
        ),
        (Channels(hidden(WRITER, BIAS, READER).groups, {"0.weight": (3, 5)}), r"has shape \(3, 4\) in the network"),
        (Channels(hidden(WRITER, BIAS, READER).groups, {"1.weight": (3, 4)}), "'1.weight', which is no parameter"),
    ],
)
def test_channels_that_do_not_fit_are_refused(channels, message):
    with pytest.raises(TraceError, match=message):
        check_fit(network(), torch.zeros(1, 4), channels)


def test_the_other_reader_must_not_be_forgotten():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.one, self.two = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, values):
            return self.one(self.first(values)) + self.two(self.first(values))

    members = (Member("first.weight", 0, "writer"), Member("first.bias", 0), Member("one.weight", 1, "reader"))
    with pytest.raises(TraceError, match="does not describe this network"):
        check_fit(Two(), torch.zeros(1, 4), Channels((Group("first", 3, members),), {}))


def test_a_layer_that_needs_a_channel_must_not_go_entirely():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.MaxPool2d(2), nn.Conv2d(3, 2, 1))
    members = (WRITER, BIAS, READER)
    check_fit(model, torch.zeros(1, 1, 4, 4), hidden(*members))
    with pytest.raises(TraceError, match="group 'hidden' cannot go entirely"):
        check_fit(model, torch.zeros(1, 1, 4, 4), hidden(*members, removable=True))


def test_a_buffer_is_no_reader():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    members = (Member("0.weight", 0, "writer"), Member("1.running_mean", 0, "reader"))
    with pytest.raises(TraceError, match=r"read by '1.running_mean', which is no floating-point or complex parameter"):
        check_fit(model, torch.zeros(1, 4), Channels((Group("first", 3, members),), {}))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Group("g", 0, (READER,)), "a group has at least one channel"),
        (lambda: Group("g", 2, (Member("w", 0, "reader", range(3)),)), "give the same number for every channel"),
        (lambda: Group("g", 2, (READER,), parent="h"), "parent and parent_index go together"),
        (lambda: Channels((Group("g", 2, (READER,)), Group("g", 3, (BIAS,))), {}), "two groups are called 'g'"),
        (lambda: Channels((Group("g", 1, (READER,), parent="h", parent_index=(0,)),), {}), "has an unknown parent"),
        (lambda: hidden(WRITER, READER).group("hiden"), "no group is called 'hiden'; did you mean 'hidden'"),
        (lambda: Channels.from_json("{}"), "no JSON description"),
        (lambda: Channels.from_json("[1]"), "no JSON description"),
        (lambda: Channels.from_json("nonsense"), "no JSON description"),
        (lambda: Plan.from_json("[1]"), "no JSON plan"),
        (lambda: Plan.from_json('{"g": 3}'), "no JSON plan"),
    ],
)
def test_descriptions_that_contradict_themselves_are_refused(build, message):
    with pytest.raises(TraceError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Group("g", 3, (Member("w", "0", "reader"),)),
            "dimension '0' of 'w', expected the name of a tensor",
        ),
        (lambda: Group("g", 3, (Member("w", 0.0),)), r"dimension 0\.0 of 'w'"),
        (lambda: Group("g", 3, (Member(0, 0),)), "dimension 0 of 0, expected the name of a tensor"),
        (lambda: Group("g", 3, (Member("w", 0, "reader", 3),)), "index 3 along 'w', expected a range or a tuple"),
        (lambda: Group("g", 3, READER), r"expected a tuple; write \(member,\)"),
        (lambda: Group("g", 3, (("w", 0),)), r"\('w', 0\) as a member, expected Member"),
        (lambda: Group("g", "3", (READER,)), "size '3', expected a whole number"),
        (lambda: Channels(Group("g", 3, (READER,)), {}), r"got Group\(.*write Channels\(\(group,\)"),
        (lambda: check_fit(network(), torch.zeros(1, 4), "hidden"), "expected channels, .* got str"),
    ],
)
def test_descriptions_of_wrong_types_are_refused(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_groups_whose_readers_were_exchanged_are_refused_even_if_nothing_has_numbers():
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.ins = nn.ModuleList(nn.Linear(4, 9) for _ in range(5))
            self.outs = nn.ModuleList(nn.Linear(9, 2) for _ in range(5))

        def forward(self, values):
            return sum(out(one(values).relu()) for one, out in zip(self.ins, self.outs, strict=True))

    def described(*readers):
        return Channels(tuple(
            Group(f"group {number}", 9, (
                Member(f"ins.{number}.weight", 0, "writer"), Member(f"ins.{number}.bias", 0),
                Member(f"outs.{reader}.weight", 1, "reader"),
            )) for number, reader in enumerate(readers)
        ), {})  # fmt: skip

    model = Many().to("meta")  # so that no difference of numbers gives it away
    check_fit(model, torch.zeros(1, 4), described(0, 1, 2, 3, 4))
    for readers in [(3, 1, 2, 0, 4), (0, 4, 2, 3, 1), (1, 0, 2, 3, 4)]:
        with pytest.raises(TraceError, match=r"group 'group \d' does not describe this network: its width is fixed"):
            check_fit(model, torch.zeros(1, 4), described(*readers))


def test_kinds_and_indices_that_do_not_exist_are_refused():
    with pytest.raises(TraceError, match="is of kind 'chanels'; did you mean 'channels'"):
        check_fit(network(), torch.zeros(1, 4), hidden(WRITER, BIAS, READER, kind="chanels"))
    fractions = Member("0.weight", 0, "writer", (0.0, 1.0, 2.0))
    with pytest.raises(TraceError, match=r"along '0.weight', expected whole numbers"):
        check_fit(network(), torch.zeros(1, 4), hidden(fractions, BIAS, READER))


def test_positions_must_lie_in_channels_of_their_parent():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    traced = json.loads(trace(model, torch.zeros(1, 1, 4, 4), positions=True).to_json())
    (positions,) = (group for group in traced["groups"] if group["kind"] == "positions")
    positions["parent_index"][3] = 2
    with pytest.raises(TraceError, match="lies in channels that its parent '0' does not have"):
        check_fit(model, torch.zeros(1, 1, 4, 4), Channels.from_json(json.dumps(traced)))


@pytest.mark.parametrize(
    ("shut", "message"),
    [
        ({"3": (0,)}, "no group is called '3'"),
        ({"0": (3,)}, "shuts channel 3 of '0', which has 3 channels"),
        ({"0": (-1,)}, "shuts channel -1 of '0'"),
        ({"2": (0,)}, "shuts channels of '2', which is kept: is an output"),
        ({"0": (0, 1, 2)}, "shuts all of '0', which carries the only path"),
    ],
)
def test_plans_that_do_not_fit_are_refused(shut, message):
    layout = Layout.of(trace(network(), torch.zeros(1, 4)))
    with pytest.raises(TraceError, match=message):
        Plan(shut).open_gates(layout)


def test_a_plan_is_its_open_gates_and_back():
    layout = Layout.of(trace(network(), torch.zeros(1, 4)))
    plan = Plan({"0": (1,)})
    assert plan.open_gates(layout).tolist() == [True, False, True]
    assert Plan.of(layout, plan.open_gates(layout)) == plan == Plan.from_json(plan.to_json())
    assert plan.widths(layout.channels) == {"0": (3, 2)}
    assert plan.show(layout.channels).splitlines()[-1].split() == ["0", "3", "2"]


def test_settled_gates_stay_as_they_are(network, draw_gates):
    channels = trace(network.build(), torch.zeros(network.shape), inputs=True, positions=True)
    layout, is_open = draw_gates(channels, torch.Generator().manual_seed(0))
    assert torch.equal(settle(layout, torch.rand(len(is_open)), is_open), is_open)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2)), "has 5 entries along dimension 1, but .* about 3"),
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)), "has 2 entries along dimension 0, but .* about 3"),
        (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), "no tensor '2.weight', which the plan cuts"),
    ],
)
def test_another_architecture_is_not_cut(model, message):
    layout = Layout.of(trace(network(), torch.zeros(1, 4)))
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(SurgeryError, match=message):
        cut(model, layout, torch.tensor([True, True, False]))
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("shape", [(1, 5), (1, 3, 5), (7,)])
def test_an_example_of_a_wrong_shape_is_refused_with_the_place(shape):
    with pytest.raises(TraceError, match=rf"failed in '0' on an example of shape {re.escape(str(shape))}.*give an ex"):
        trace(network(), torch.zeros(shape))


@pytest.mark.parametrize("example", [None, "text", (), (torch.zeros(1, 4),) * 2, {"x": torch.zeros(1, 4)}])
def test_an_example_that_is_no_call_is_refused(example):
    with pytest.raises(TraceError, match="give an example that the network accepts"):
        trace(network(), example)


def test_a_network_without_tensors_in_its_output_is_refused():
    class Number(nn.Module):
        def forward(self, values):
            return 3.0

    with pytest.raises(TraceError, match="returned float without any tensor"):
        trace(Number(), torch.zeros(1))


def test_a_network_that_cannot_be_copied_is_refused():
    model = network()
    model.generator = (number for number in range(3))
    with pytest.raises(TraceError, match="cannot be copied"):
        trace(model, torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["0.wieght"], "keep names '0.wieght', which the network does not have; did you mean '0.weight'"),
        (["7"], "keep names '7'"),
        ("0", r"write keep=\['0'\]"),
    ],
)
def test_unknown_names_in_keep_are_refused_with_the_nearest_one(keep, message):
    with pytest.raises(ValueError, match=message):
        trace(network(), torch.zeros(1, 4), keep=keep)


def test_nothing_to_gate_is_refused_with_everything_that_was_found():
    with pytest.raises(TraceError, match=r"nothing to gate.*\nweight  4 channels.*kept: is an output"):
        Layout.of(trace(nn.Linear(3, 4), torch.zeros(1, 3)))
    with pytest.raises(TraceError, match=r"nothing to gate.*\nno channels"):
        Layout.of(trace(nn.ReLU(), torch.zeros(1, 3)))
