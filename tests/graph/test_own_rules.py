"""Rules for operations that the library does not know."""

import pytest
import torch
from torch import Tensor, nn

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.rules import mixes, moves, pointwise


@torch.library.custom_op("ellzero_tests::smooth", mutates_args=())
def smooth(x: Tensor) -> Tensor:
    return (x + x.roll(1, -1)) / 2


@torch.library.custom_op("ellzero_tests::across", mutates_args=())
def across(x: Tensor) -> Tensor:
    return (x + x.roll(1, 1)) / 2


for one in (smooth, across):
    one.register_fake(torch.empty_like)


def smoothed(hidden):
    return smooth(hidden)


def mixed(hidden):
    return across(hidden)


class Network(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.first, self.last = nn.Conv1d(3, 8, 3), nn.Conv1d(8, 2, 3)
        self.operation = operation

    def forward(self, values):
        return self.last(self.operation(self.first(values)))


EXAMPLE = torch.randn(2, 3, 9)


def test_without_a_rule_the_channels_are_kept_and_with_one_they_are_not():
    assert l0.trace(Network(smoothed), EXAMPLE).num_gates == 0
    assert l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": mixes(-1)}).num_gates == 8


def test_a_gated_network_takes_rules_too():
    gated = l0.Gated(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": mixes(-1)})
    small = l0.prune(gated, plan=l0.Plan({"first": (0, 3)}))
    assert small.last.in_channels == 6


@pytest.mark.parametrize("rule", [mixes(-1), pointwise])
def test_a_wrong_rule_is_found_out(rule):
    channels = l0.trace(Network(mixed), EXAMPLE, rules={"ellzero_tests.across": rule})
    assert channels.num_gates == 0
    assert "cutting it changes what is computed" in channels.group("first").reason


def test_a_rule_may_replace_one_of_the_library():
    def keep(labels, call):
        labels.pin_all(call.sources, "because")

    assert l0.trace(Network(torch.relu), EXAMPLE, rules={"aten.relu": keep}).group("first").reason == "because"
    assert l0.trace(Network(lambda h: h.swapaxes(1, 2).transpose(1, 2)), EXAMPLE, rules={"aten.transpose": moves}).gated


def test_a_rule_for_an_operation_that_did_not_run_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'aten.relo', but no such operation ran; did you mean 'aten.relu'"):
        l0.trace(Network(torch.relu), EXAMPLE, rules={"aten.relo": pointwise})


@pytest.mark.parametrize("error", [IndexError, KeyError, TypeError, ValueError, ZeroDivisionError])
def test_an_error_in_a_rule_is_told_with_the_name_of_the_rule(error):
    def broken(labels, call):
        raise error("no such dimension")

    message = rf"rule for 'ellzero_tests.smooth' failed on its use in 'the network itself', with {error.__name__}: "
    with pytest.raises(TraceError, match=message) as caught:
        l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": broken})
    assert isinstance(caught.value.__cause__, error)


def test_a_rule_that_gives_a_result_too_few_labels_is_refused():
    def narrow(labels, call):
        labels.put(call.targets[0], {1: labels.of(call.sources[0])[1][:3]})

    with pytest.raises(TraceError, match=r"rule for 'ellzero_tests.smooth' failed .* 3 labels along a dimension of 8"):
        l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": narrow})


def test_what_a_rule_itself_refuses_is_passed_on():
    def refuses(labels, call):
        raise TraceError("smoothing is not supported")

    with pytest.raises(TraceError, match=r"^smoothing is not supported$"):
        l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": refuses})


def own(channels):
    """The labels of what comes in, and a rule that says something else of them."""

    def rule(labels, call):
        channels(labels, labels.of(call.sources[0])[1], call.targets[0])

    return rule


WRONG = {
    "a label that nothing has": (
        lambda labels, found, out: labels.put(out, {1: found + 999}),
        "no label 999, only",
    ),
    "one below none": (lambda labels, found, out: labels.put(out, {1: found - 500}), "there is no label -500"),
    "fractions": (lambda labels, found, out: labels.put(out, {1: found * 1.0}), "arrays of integers, got float64"),
    "a list": (lambda labels, found, out: labels.put(out, {1: list(found)}), "arrays of integers, got <class 'list'>"),
    "a united label that nothing has": (lambda labels, found, out: labels.unite(found, found + 999), "no label 999"),
    "a pinned label that nothing has": (lambda labels, found, out: labels.pin(found + 999, "because"), "no label 999"),
    "unequal vectors": (lambda labels, found, out: labels.unite(found, found[:3]), "8 labels cannot meet 3"),
    "a dimension too many": (lambda labels, found, out: labels.put(out, {5: found}), "IndexError: tuple index"),
}


@pytest.mark.parametrize("word", WRONG)
def test_labels_that_cannot_be_are_told_with_the_name_of_the_rule(word):
    give, message = WRONG[word]
    with pytest.raises(TraceError, match=rf"rule for 'ellzero_tests.smooth' failed .*{message}"):
        l0.trace(Network(smoothed), EXAMPLE, rules={"ellzero_tests.smooth": own(give)})


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([mixes(-1)], "rules are given as list, expected a mapping from names of operations to functions"),
        (None, "rules are given as NoneType"),
        ({"ellzero_tests.smooth": -1}, "a rule -1 for 'ellzero_tests.smooth', expected a mapping"),
        ({torch.ops.aten.relu: pointwise}, "expected a mapping from names of operations"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"exported": True}])
def test_what_is_no_table_of_rules_is_refused(rules, message, options):
    with pytest.raises(TypeError, match=message):
        l0.trace(Network(smoothed), EXAMPLE, rules=rules, **options)
