"""What cannot be cut exactly is kept with a reason, whatever the forward pass does; nothing is guessed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ellzero.errors import TraceError
from ellzero.graph import trace


class Network(nn.Module):
    """Hidden values of width 8 are computed from 6 features, changed by a function, and read by a last layer."""

    def __init__(self, function, *, reads=8, first=6, **tensors):
        super().__init__()
        self.first, self.last = nn.Linear(first, 8), nn.Linear(reads, 5)
        self.function = function
        for name, tensor in tensors.items():
            register = self.register_parameter if isinstance(tensor, nn.Parameter) else self.register_buffer
            register(name, tensor)

    def forward(self, values):
        return self.last(self.function(self, self.first(values)))


def written_into_zeros(_, hidden):
    zeros = torch.zeros(len(hidden), 10).to(hidden)
    zeros[:, :8] = hidden
    return zeros


def set_in_place(_, hidden):
    hidden[:, 0] = 1.0
    return hidden


def added_to_zeros(_, hidden):
    zeros = torch.zeros(len(hidden), 8).to(hidden)
    view = zeros.view(-1)
    view += hidden.reshape(-1)
    return zeros


def one_step_of_a_table(_, hidden):
    return hidden * F.embedding((hidden > 0).long(), torch.ones(2, 1).to(hidden)).mean(1)


KEPT = {
    "a constant after": (lambda m, h: h * torch.arange(8.0).to(h), 8),
    "a constant before": (lambda m, h: torch.arange(8.0).to(h) * h, 8),
    "a constant of the width after": (lambda m, h: h + torch.arange(h.shape[1]).to(h), 8),
    "a constant of the width before": (lambda m, h: torch.arange(h.shape[1]).to(h) + h, 8),
    "a constant in lerp": (lambda m, h: torch.lerp(torch.linspace(0, 1, h.shape[1]).to(h), h, 0.5), 8),
    "division by the width": (lambda m, h: h / h.shape[1], 8),
    "a factor from the shape of a weight": (lambda m, h: h * m.last.weight.shape[1], 8),
    "the width as an offset": (lambda m, h: h + h.size(-1), 8),
    "a scaled attention": (lambda m, h: (h @ h.t() / h.shape[1] ** 0.5).softmax(1) @ h, 8),
    "softmax": (lambda m, h: h.softmax(1), 8),
    "mean": (lambda m, h: h - h.mean(1, keepdim=True), 8),
    "standard deviation": (lambda m, h: h / h.std(1, keepdim=True), 8),
    "norm": (lambda m, h: h / h.norm(dim=1, keepdim=True), 8),
    "norm without the dimension": (lambda m, h: h / h.norm(dim=1)[:, None], 8),
    "another norm": (lambda m, h: h / torch.linalg.vector_norm(h, 3, dim=-1, keepdim=True), 8),
    "a group norm with one group": (lambda m, h: F.group_norm(h, 1), 8),
    "a group norm of fixed groups": (lambda m, h: F.group_norm(h, 2), 8),
    "layer norm": (lambda m, h: F.layer_norm(h, h.shape[1:]), 8),
    "running sums": (lambda m, h: h.cumsum(1), 8),
    "sorting": (lambda m, h: h.sort(dim=1).values, 8),
    "the largest": (lambda m, h: h.topk(4, dim=1).values, 4),
    "the largest of the last dimension": (lambda m, h: h.topk(4).values, 4),
    "which is largest": (lambda m, h: F.one_hot(h.argmax(1), 8).to(h), 8),
    "a slice": (lambda m, h: h[:, :4], 4),
    "every other after the first two": (lambda m, h: h[:, 2::2], 3),
    "one in three of eight": (lambda m, h: h[:, ::3], 3),
    "every other, counted from the end": (lambda m, h: h[:, -7::2], 4),
    "a split": (lambda m, h: sum(h.split(4, 1)), 4),
    "a roll": (lambda m, h: h.roll(1, 1), 8),
    "a list of indices": (lambda m, h: h[:, [3, 1, 2, 0, 4, 5, 6, 7]], 8),
    "gathering": (lambda m, h: h.gather(1, torch.arange(8).flip(0).expand(len(h), -1)), 8),
    "padding": (lambda m, h: F.pad(h, (0, 2)), 10),
    "an outer product": (lambda m, h: (h[:, :, None] * h[:, None, :]).flatten(1), 64),
    "a sum of an outer product": (lambda m, h: (h[:, :, None] * h[:, None, :]).sum(2), 8),
    "a product of activations": (lambda m, h: h @ (h.t() @ h), 8),
    "an einsum of activations": (lambda m, h: torch.einsum("nc,nd->nc", h, h), 8),
    "writing into zeros": (written_into_zeros, 10),
    "setting one in place": (set_in_place, 8),
    "adding to zeros through a view": (added_to_zeros, 8),
    "copying": (lambda m, h: torch.zeros(len(h), 8).to(h).copy_(h), 8),
    "an out argument": (lambda m, h: torch.mul(h, 2, out=torch.empty(len(h), 8).to(h)), 8),
    "a value-dependent shape": (lambda m, h: h[:, (torch.arange(8) < 4).nonzero().flatten()], 4),
    "Fourier transforms": (lambda m, h: torch.fft.rfft(h, n=14, dim=1).abs(), 8),
    "ones instead of the weight": (lambda m, h: F.linear(h, torch.ones_like(m.last.weight)) @ m.last.weight, 8),
    "a shifted weight": (lambda m, h: F.linear(h, m.last.weight + 2) @ m.last.weight, 8),
    "a table read by the channels": (one_step_of_a_table, 8),
}


@pytest.mark.parametrize("word", KEPT)
def test_what_mixes_or_counts_channels_keeps_them(word):
    torch.manual_seed(0)
    function, reads = KEPT[word]
    channels = trace(Network(function, reads=reads), torch.zeros(3, 6))
    assert channels.num_gates == 0
    (hidden,) = (group for group in channels.kept if group.name.startswith("first") and group.size > 1)
    assert len(hidden.reason) > 10


TENSORS = {
    "a triangle": (lambda m, h: F.linear(h, m.square.tril()), {"square": nn.Parameter(torch.randn(8, 8))}),
    "distances": (lambda m, h: torch.cdist(h, m.square), {"square": nn.Parameter(torch.randn(8, 8))}),
    "a fixed projection": (lambda m, h: F.linear(h, m.square), {"square": torch.randn(8, 8)}),
}


@pytest.mark.parametrize("word", TENSORS)
def test_a_network_with_odd_uses_of_a_matrix_keeps_what_it_reads(word, hold_against_mask):
    function, tensors = TENSORS[word]
    channels = hold_against_mask(Network(function, **tensors), torch.randn(3, 6, dtype=torch.float64))
    assert all("first.weight" not in group.writers for group in channels.gated)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda m, h: h.softmax(1), "normalised together by _softmax"),
        (lambda m, h: h.mean(1, keepdim=True) * h, "is reduced over channels by mean"),
        (lambda m, h: torch.special.bessel_j0(h).cumsum(1), "is reduced over channels by cumsum"),
        (lambda m, h: h[:, :8].flip(1).roll(1, 1), "is moved by roll"),
        (lambda m, h: h[:, -8::2].repeat(1, 2), "is cut at fixed places by slice"),
        (lambda m, h: h.cummax(1).values, "no rule for aten.cummax"),
        (lambda m, h: torch.arange(8.0).to(h) * h, "meets values of fixed width"),
        (lambda m, h: h / h.shape[1], "cutting it changes what is computed"),
        (lambda m, h: F.linear(h, m.last.weight + 2) @ m.last.weight, "is read by a computed weight"),
    ],
)
def test_the_reason_says_what_happens(function, reason):
    channels = trace(Network(function), torch.zeros(3, 6))
    assert reason in channels.group("first").reason


def test_a_view_with_its_size_baked_in_is_kept_with_the_reason():
    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.hidden, self.last = nn.Conv2d(1, 50, 5), nn.Linear(800, 6), nn.Linear(6, 2)

        def forward(self, images):
            return self.last(self.hidden(self.convolution(images).view(-1, 800)).relu())

    channels = trace(LeNet(), torch.zeros(1, 1, 8, 8))
    assert "its width is fixed in the forward pass" in channels.group("convolution").reason
    assert [group.name for group in channels.gated] == ["hidden"]


def test_only_the_part_that_cannot_be_cut_is_kept():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, values):
            hidden = self.two(self.one(values).relu())
            return self.three(hidden / hidden.shape[1])

    channels = trace(Two(), torch.zeros(1, 4))
    assert [group.name for group in channels.gated] == ["one"]


def test_an_example_of_zeros_and_weights_of_zero_hide_nothing():
    model = Network(lambda m, h: h * h.shape[1])
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert trace(model, torch.zeros(1, 6)).num_gates == 0


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_control_flow_that_depends_on_the_inputs_is_followed_on_the_example(sign, hold_against_mask):
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, values):
            hidden = self.first(values).relu()
            return self.last(hidden) if values.sum() > 0 else self.last(-hidden)

    example = sign * torch.rand(3, 4, dtype=torch.float64)
    assert hold_against_mask(Branch(), example).num_gates == 5


def test_control_flow_that_depends_on_the_channels_keeps_them():
    model = Network(lambda m, h: h if h.sum() > 0 else -h)
    assert "is reduced over channels by sum" in trace(model, torch.randn(3, 6)).group("first").reason


def test_a_comparison_of_whole_tensors_keeps_its_channels():
    model = Network(lambda m, h: h if torch.equal(h, h + 0) else -h)
    assert trace(model, torch.randn(3, 6)).num_gates == 0


def test_what_runs_in_training_only_is_tried_too():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.extra = nn.Linear(4, 5), nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, values):
            hidden = self.first(values).relu()
            return self.last(hidden) + self.extra(hidden) if self.training else self.last(hidden)

    assert "its width is fixed" in trace(Auxiliary(), torch.zeros(3, 4)).group("first").reason


def test_channels_that_nothing_reads_are_kept():
    class Unread(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.unused, self.last = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 2)

        def forward(self, values):
            hidden = self.first(values)
            self.unused(hidden)
            return self.last(hidden)

    channels = trace(Unread(), torch.zeros(1, 4))
    assert channels.group("unused").reason == "nothing reads it"
    assert [group.name for group in channels.gated] == ["first"]


def test_reused_layers_with_different_widths_in_front_are_kept_where_they_must():
    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, values):
            return self.head(self.one(values)), self.head(self.two(values))

    (group,) = trace(Reused(), torch.zeros(1, 4)).gated
    assert group.writers == ["one.weight", "two.weight"]


def test_a_residual_connection_to_the_input_keeps_the_stream():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, values):
            return self.last(values + self.inner(values))

    assert trace(Skip(), torch.zeros(1, 4), inputs=True).num_gates == 0


def test_what_the_caller_asks_to_keep_is_kept():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    assert [group.name for group in trace(model, torch.zeros(1, 4), keep=["0"]).gated] == ["2"]
    assert trace(model, torch.zeros(1, 4), keep=["4.weight"]).group("2").reason == "you asked to keep it"
    assert trace(model, torch.zeros(1, 4), keep=["*"]).num_gates == 0


def test_attention_whose_heads_its_class_counts_by_itself_is_kept_not_broken():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 2)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, values):
            hidden = self.embed(values)
            return self.head(hidden + self.attention(hidden, hidden, hidden, need_weights=False)[0])

    assert trace(Mixed(), torch.zeros(1, 3, 4)).num_gates == 0


def test_a_narrower_index_keeps_what_it_gathers_from():
    model = Network(lambda m, h: h.gather(0, torch.zeros(2, 4, dtype=torch.long)), reads=4)
    assert "no rule for this use of aten.gather" in trace(model, torch.zeros(3, 6)).group("first").reason


class Ambiguous(nn.Module):
    """As many heads as each is wide, under names that do not say which is which."""

    def __init__(self):
        super().__init__()
        self.h = self.d = 4
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x):
        q, k, v = (f(x).view(*x.shape[:2], self.h, self.d).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.o(((q @ k.mT).softmax(3) @ v).transpose(1, 2).reshape(*x.shape[:2], self.h * self.d))


def test_numbers_that_may_each_be_the_number_of_heads_are_not_guessed():
    with torch.device("meta"):
        model = Ambiguous()
    channels = trace(model, torch.zeros(1, 5, 16))
    assert channels.num_gates == 0
    assert "its width is fixed in the forward pass" in channels.group("q").reason


def test_a_forward_pass_that_looks_at_numbers_is_announced(caplog):
    model = Network(lambda m, h: h * 2 if float(m.last.bias.sum()) > 1e9 else h)
    assert trace(model, torch.zeros(3, 6)).num_gates == 8
    assert "only what runs on this example is traced" in caplog.text


def test_a_weight_that_the_example_does_not_use_is_announced(caplog):
    trace(Network(lambda m, h: h, spare=nn.Parameter(torch.zeros(8, 8))), torch.zeros(3, 6))
    assert "'spare' is not used on this example" in caplog.text


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # of PyTorch, but not of 2.9
def test_a_compiled_module_is_refused():
    with pytest.raises(TraceError, match=r"'0' is compiled by torch.jit"):
        trace(nn.Sequential(torch.jit.script(nn.Linear(3, 4)), nn.Linear(4, 2)), torch.zeros(1, 3))
