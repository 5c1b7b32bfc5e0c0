"""What is left out of the cuts that are tried while tracing, because it cannot show anything new, and what is not."""

import gc

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import SurgeryError, TraceError
from ellzero.graph import pointwise, trace
from ellzero.graph.tracing.confirm import _Attempt
from ellzero.graph.tracing.rehearse import _Rehearsal


class Branching(nn.Module):
    """Does one thing in training mode and another in evaluation mode."""

    def __init__(self, training, evaluating, first=None):
        super().__init__()
        self.first, self.last = first or nn.Linear(4, 8), nn.Linear(8, 2)
        self.branches = training, evaluating

    def forward(self, values):
        hidden = self.first(values)
        return self.last(self.branches[0](hidden) if self.training else self.branches[1](hidden))


def fixed(hidden):
    return hidden.view(-1, 8)


def free(hidden):
    return hidden.view(hidden.shape[0], -1)


@pytest.mark.parametrize(("training", "evaluating"), [(fixed, free), (free, fixed), (fixed, fixed)])
def test_a_width_that_is_fixed_in_one_mode_only_is_found_though_both_do_the_same_in_kind(training, evaluating):
    with torch.device("meta"):  # so that nothing but the cut without numbers can find it
        model = Branching(training, evaluating)
    assert "its width is fixed" in trace(model, torch.zeros(3, 4)).group("first").reason


class Stream(nn.Module):
    """A branch beside the identity that may go entirely, unless an operation forbids it in one of the modes."""

    def __init__(self, training, evaluating):
        super().__init__()
        self.stem, self.inner, self.outer, self.last = (nn.Linear(6, 6) for _ in range(4))
        self.branches = training, evaluating

    def forward(self, values):
        stream = self.stem(values)
        hidden = self.inner(stream)
        hidden = self.branches[0](hidden) if self.training else self.branches[1](hidden)
        return self.last(stream + self.outer(hidden))


def same(hidden):
    return hidden * 1


def refuses_nothing(hidden):
    if not hidden.shape[1]:
        raise ValueError("nothing is left")
    return hidden * 2


@pytest.mark.parametrize(
    ("training", "evaluating", "removable"),
    [(same, same, True), (same, refuses_nothing, False), (refuses_nothing, same, False)],
)
def test_a_branch_that_cannot_go_entirely_in_one_mode_stays(training, evaluating, removable):
    with torch.device("meta"):
        model = Stream(training, evaluating)
    assert trace(model, torch.zeros(3, 6)).group("inner").removable is removable


def modes_of(model, example, monkeypatch):
    """For every cut that is tried, whether it was tried in training mode."""
    found = []
    trained = _Attempt._trained
    monkeypatch.setattr(_Attempt, "_trained", lambda *args: found.append(True) or trained(*args))
    outcome = _Attempt.outcome
    monkeypatch.setattr(_Attempt, "outcome", lambda *args, **kwargs: found.append(False) or outcome(*args, **kwargs))
    trace(model, example)
    return found


def test_training_mode_is_tried_once_where_it_does_the_same(monkeypatch):
    block = nn.Sequential(nn.Dropout(0.5), nn.ReLU())
    model = Stream(block, block)
    model.block = block
    assert modes_of(model, torch.zeros(3, 6), monkeypatch) == [False, True, False]


def test_training_mode_is_tried_always_where_it_does_something_else(monkeypatch):
    model = Stream(lambda h: h.exp(), same)
    assert modes_of(model, torch.zeros(3, 6), monkeypatch) == [False, True, False, True]


class Images(nn.Module):
    """Convolutions, something between them, and a linear layer over averages."""

    def __init__(self, between, channels=8):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, channels, 3, 2, 1), nn.Conv2d(channels, 4, 3, 2, 1)
        self.last = nn.Linear(4, 2)
        self.between = between

    def forward(self, images):
        return self.last(self.second(self.between(self.first(images))).mean((2, 3)))


def sizes_of(model, example, monkeypatch):
    """The channels, and the last size of the example of every rehearsal that was held."""
    found = []
    failure = _Rehearsal.failure
    monkeypatch.setattr(
        _Rehearsal, "failure", lambda self, names: found.append(self.example.shape[-1]) or failure(self, names)
    )
    return trace(model, example), found


def test_a_corner_of_a_large_image_shows_a_width_that_is_used_as_a_number(monkeypatch):
    channels, sizes = sizes_of(Images(lambda h: h / h.shape[1]), torch.zeros(1, 3, 160, 160), monkeypatch)
    assert "cutting it changes what is computed" in channels.group("first").reason
    assert set(sizes) == {64}


def test_a_small_image_is_taken_as_it_is(monkeypatch):
    channels, sizes = sizes_of(Images(torch.relu), torch.zeros(1, 3, 48, 48), monkeypatch)
    assert (channels.num_gates, set(sizes)) == (12, {48})


@pytest.mark.parametrize(
    "between",
    [
        lambda h: h / h.shape[1] if h.shape[3] > 40 else h * 1.0,  # the same in number, another in kind
        lambda h: h / h.shape[1] if h.shape[3] > 40 else h,
        lambda h: h / h.shape[1] * nn.functional.avg_pool2d(h, 33)[:, :, :1, :1],  # too small for the corner
        lambda h: h * (h / h.shape[1]).unfold(2, 32, 32).mean(4).mean((2, 3), keepdim=True),  # one place of several
    ],
)
def test_where_a_corner_would_be_treated_differently_the_whole_image_is_taken(between, monkeypatch):
    channels, sizes = sizes_of(Images(between), torch.zeros(1, 3, 160, 160), monkeypatch)
    assert "cutting it changes what is computed" in channels.group("first").reason
    assert set(sizes) == {160}


def test_a_forward_pass_that_writes_into_its_weights_is_rehearsed_with_copies_of_them():
    class Shrinking(Images):
        def forward(self, images):
            self.second.weight.data.mul_(0.5)
            return super().forward(images)

    model = Shrinking(torch.relu)
    before = model.second.weight.detach().clone()
    assert trace(model, torch.zeros(1, 3, 16, 16)).group("first").reason == ""
    assert torch.equal(model.second.weight, before)


class Wide(nn.Module):
    """Uses a width as a number, in so many parameters."""

    def __init__(self, width):
        super().__init__()
        self.first, self.last = nn.Linear(4, width), nn.Linear(width, width)

    def forward(self, values):
        hidden = self.first(values)
        return self.last(hidden / hidden.shape[1])


def test_a_network_that_is_too_large_to_be_rehearsed_is_refused_when_it_is_pruned():
    torch.manual_seed(0)
    example = torch.randn(3, 4)
    assert "cutting it changes what is computed" in trace(Wide(1024), example).group("first").reason
    gated = l0.Gated(Wide(2100), example)  # of 4.4 million parameters
    with pytest.raises(SurgeryError, match="differ"):
        l0.prune(gated, plan=l0.Plan({"first": tuple(range(1050))}))


def test_a_rule_of_the_user_is_tried_out_on_a_network_of_that_size_too():
    channels = trace(Wide(2100), torch.randn(3, 4), rules={"aten.div": pointwise})
    assert "cutting it changes what is computed" in channels.group("first").reason


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_is_collected_after_a_trace_as_before(is_enabled):
    (gc.enable if is_enabled else gc.disable)()
    try:
        with pytest.raises(TraceError):
            trace(nn.Linear(4, 3), torch.zeros(1, 5))
        trace(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.zeros(1, 4))
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()
