"""Networks whose forward pass fixes sizes are delivered, on request, as exported graphs with corrected sizes."""

import copy
import functools
import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ellzero as l0
from ellzero.artifacts.errors import ArtifactUnsavedError
from ellzero.errors import SurgeryError, TraceError
from ellzero.graph import Channels, Costs, Plan, Target, settle, trace


class Shuffled(nn.Module):
    """A width of 128 that is written as 8 x 16, and as 128."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, 128), nn.Linear(128, 3)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)).view(-1, 8, 16).transpose(1, 2).reshape(-1, 128))


class Flattened(nn.Module):
    """LeNet as it stands in many tutorials."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 50, 3)
        self.norm = nn.BatchNorm2d(50)
        self.hidden, self.last = nn.Linear(800, 6), nn.Linear(6, 2)

    def forward(self, images):
        maps = self.norm(self.two(self.one(images).relu())).relu()
        return self.last(self.hidden(maps.view(-1, 50 * 4 * 4)).relu())


class Attention(nn.Module):
    """Heads by hand: four of width six, from one projection."""

    def __init__(self):
        super().__init__()
        self.embed, self.qkv, self.out, self.head = (
            nn.Linear(5, 24),
            nn.Linear(24, 72),
            nn.Linear(24, 24),
            nn.Linear(24, 2),
        )

    def forward(self, x):
        batch, tokens, _ = x.shape
        stream = self.embed(x)
        q, k, v = self.qkv(stream).view(batch, tokens, 3, 4, 6).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.mT / 6**0.5).softmax(-1) @ v
        return self.head(stream + self.out(mixed.transpose(1, 2).reshape(batch, tokens, 24)))


class Parted(nn.Module):
    """Slices, and a split into unequal parts, at fixed places."""

    def __init__(self):
        super().__init__()
        self.first, self.low, self.high = nn.Linear(5, 24), nn.Linear(16, 7), nn.Linear(8, 7)
        self.one, self.two = nn.Linear(4, 2), nn.Linear(3, 2)

    def forward(self, x):
        wide = self.first(x).relu()
        both = (self.low(wide[:, :16]) + self.high(wide[:, 16:])).relu()
        one, two = both.split([4, 3], 1)
        return self.one(one) + self.two(two.narrow(1, 0, 3))


class Recurrent(nn.Module):
    """A state of zeros whose width is written out, made without gradient."""

    def __init__(self):
        super().__init__()
        self.read, self.keep, self.last = nn.Linear(4, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 2)

    def forward(self, x):
        with torch.no_grad():
            state = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for step in range(3):
            state = torch.tanh(self.read(x[:, step]) + self.keep(state))
        return self.last(state)


class Grouped(nn.Module):
    """Functional convolutions with their numbers of groups written out, a group norm, and an unflattened width."""

    def __init__(self):
        super().__init__()
        self.stem, self.last = nn.Conv1d(3, 12, 1), nn.Linear(24, 2)
        self.depth = nn.Parameter(torch.randn(12, 1, 3) * 0.3)
        self.scale, self.shift = nn.Parameter(torch.rand(12)), nn.Parameter(torch.randn(12))

    def forward(self, x):
        maps = F.conv1d(self.stem(x), self.depth, padding=1, groups=12)
        maps = F.group_norm(maps, 4, self.scale, self.shift).unflatten(1, (4, 3)).relu()
        return self.last(maps.reshape(-1, 12, x.shape[2])[:, :, :2].reshape(-1, 24))


class Widened(nn.Module):
    """A layer norm of a width that is written out, over a stream that is expanded to it."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 12), nn.LayerNorm(12), nn.Linear(12, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)[:, None].expand(-1, 3, 12)).reshape(-1, 12)).view(-1, 3, 2)


class Tied(nn.Module):
    """One weight under two names, and a width that is written out."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.inner, self.outer = nn.Linear(8, 6), nn.Linear(6, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        stream = self.embed(tokens)
        hidden = self.inner(stream).relu().view(-1, 2, 3).reshape(tokens.shape[0], -1, 6)
        return self.head(stream + self.outer(hidden))


def encoder():
    return nn.Sequential(
        nn.Linear(4, 8), nn.TransformerEncoderLayer(8, 4, 12, batch_first=True, dropout=0.1), nn.Linear(8, 2)
    )


class Attending(nn.Module):
    """PyTorch's own attention, which computes the width of a head from that of the stream."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)

    def forward(self, x):
        stream = self.embed(x)
        return self.head(stream + self.attention(stream, stream, stream)[0])


class Hourglass(nn.Module):
    """A branch that could go, were there convolutions without channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.down = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 10, 3, stride=2, padding=1)
        self.up, self.last = nn.ConvTranspose2d(10, 8, 2, stride=2), nn.Conv2d(16, 1, 1)

    def forward(self, images):
        wide = self.stem(images).relu()
        return self.last(torch.cat([wide, self.up(self.down(wide).relu())], 1)[:, :16])


class Pairs(nn.Module):
    """Neighbours that belong together, taken by slices and by a view, with all sizes written out."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 12), nn.Linear(6, 8), nn.Linear(4, 2)

    def forward(self, x):
        wide = self.first(x)
        pairs = self.second(wide[:, 0:12:2] * wide[:, 1:12:2].sigmoid()).view(-1, 4, 2)
        return self.last(pairs[..., 0] * pairs[..., 1].tanh())


TOKENS = torch.arange(10).view(2, 5)
NETWORKS = {
    "a shuffled width": (Shuffled, torch.randn(3, 10), {}, {"fc1": 8}),
    "a flattened convolution": (Flattened, torch.randn(1, 1, 8, 8), {}, {"one": 6, "two": 50, "hidden": 6}),
    "flattened positions": (
        Flattened, torch.randn(2, 1, 8, 8), {"positions": True},
        {"one": 6, "two": 50, "hidden": 6, "hidden inputs": 800},
    ),
    "attention by hand": (Attention, torch.randn(2, 7, 5), {}, {"embed": 24, "qkv": 4}),
    "fixed places": (Parted, torch.randn(3, 5), {}, {"first": 16, "first#2": 8, "low": 4, "low#2": 3}),
    "fixed places after inputs": (
        Parted, torch.randn(3, 5), {"inputs": True}, {"input": 5, "first": 16, "first#2": 8, "low": 4, "low#2": 3},
    ),
    "pairs": (Pairs, torch.randn(3, 5), {}, {"first": 6, "second": 4}),
    "a state of zeros": (Recurrent, torch.randn(2, 3, 4), {}, {"read": 6}),
    "groups": (Grouped, torch.randn(2, 3, 5), {}, {"stem": 4}),
    "an expanded norm": (Widened, torch.randn(2, 5), {"width": True}, {"first": 12}),
    "an hourglass": (Hourglass, torch.randn(2, 1, 8, 8), {}, {"stem": 8, "down": 10, "up": 8}),
    "a tied weight": (Tied, TOKENS, {}, {"outer": 8, "inner": 2}),
    "PyTorch's encoder layer": (encoder, torch.randn(2, 5, 4), {}, {"1.self_attn": 4, "1.linear1": 12}),
    "PyTorch's encoder layer and its width": (
        encoder, torch.randn(2, 5, 4), {"width": True}, {"0": 8, "1.self_attn": 4, "1.linear1": 12},
    ),
    "PyTorch's attention": (Attending, torch.randn(2, 5, 4), {}, {"embed": 8, "attention": 4}),
}  # fmt: skip


def double(value):
    return value.double() if value.is_floating_point() else value


@functools.cache
def traced(word):
    build, example, options, _ = NETWORKS[word]
    torch.manual_seed(0)
    example = double(example)
    network = l0.Gated(build().double(), example, exported=True, **options).eval()
    with torch.no_grad():
        network.log_odds.copy_(torch.rand(len(network.log_odds)) * 4 - 1)  # medians below one, to be folded
    return network, example


def gated(word):
    """A copy of its own for every test."""
    network, example = traced(word)
    return copy.deepcopy(network), example


def random_plan(network, seed=0, share=0.5):
    scores = torch.rand(network.layout.num_gates, generator=torch.Generator().manual_seed(seed))
    return Plan.of(network.layout, settle(network.layout, scores, scores > share))


@pytest.mark.parametrize("word", NETWORKS)
def test_sizes_that_the_forward_pass_fixes_are_corrected_in_the_exported_graph(word):
    network, example = gated(word)
    assert {group.name: group.size for group in network.channels.gated} == NETWORKS[word][3]
    more = torch.cat([example, example.flip(-1), example])  # another batch than any that was traced
    for seed, share in [(0, 0.3), (1, 0.9)]:
        plan = random_plan(network, seed, share)
        small = l0.prune(network, plan=plan)
        assert isinstance(small, torch.fx.GraphModule)
        with network.planned(plan), torch.no_grad():
            assert (small(more) - network(more)).abs().max() < 1e-12
        costs = Costs(network.layout, [Target("params")])
        counted = sum(parameter.numel() for parameter in small.parameters())
        assert [counted] == costs.exact(plan.open_gates(network.layout))


@pytest.mark.parametrize("word", ["groups", "a tied weight", "flattened positions", "PyTorch's encoder layer"])
def test_the_graph_can_be_trained_copied_and_exported_again(word):
    network, example = gated(word)
    small = l0.prune(network, plan=random_plan(network))
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    small(example).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in small.parameters())
    before = small(example)
    optimizer.step()
    assert not torch.equal(small(example), before)
    program = torch.export.export(small, (example,))
    assert torch.equal(program.module()(example), small(example))


def test_without_the_option_the_same_widths_are_kept_with_the_reason():
    channels = trace(Shuffled(), torch.randn(3, 10))
    assert channels.num_gates == 0
    assert "its width is fixed in the forward pass" in channels.group("fc1").reason


def test_a_budget_holds_for_the_graph():
    network, _ = gated("a shuffled width")
    small = l0.prune(network, l0.Budget(network, params=0.5))
    assert sum(parameter.numel() for parameter in small.parameters()) <= 0.5 * (11 * 128 + 129 * 3)


def test_tied_weights_are_one_parameter_under_the_first_name():
    network, _ = gated("a tied weight")
    small = l0.prune(network, plan=random_plan(network))
    names = dict(small.named_parameters(remove_duplicate=False))
    assert "embed.weight" in names
    assert "head.weight" not in names


def test_gradients_stop_where_the_network_stops_them():
    network, example = gated("a state of zeros")
    small = l0.prune(network, plan=random_plan(network))
    assert any(node.target is torch.ops.aten.detach.default for node in small.graph.nodes)
    assert small(example).requires_grad


def test_other_sizes_of_the_input_may_vary_too():
    network, _ = gated("attention by hand")
    plan = random_plan(network)
    small = l0.prune(network, plan=plan)
    longer = torch.randn(5, 11, 5, dtype=torch.float64)
    with network.planned(plan), torch.no_grad():
        assert (small(longer) - network(longer)).abs().max() < 1e-12


def test_the_graph_calls_like_the_network_and_returns_what_it_does():
    class Named(Shuffled):
        def forward(self, x, shift=None):
            return {"y": super().forward(x) + (0 if shift is None else shift)}

    example = {"x": torch.randn(3, 10), "shift": torch.randn(3, 1)}
    network = l0.Gated(Named(), example, exported=True).eval()
    small = l0.prune(network, plan=Plan({"fc1": (0, 3)}))
    assert list(inspect.signature(small.forward).parameters) == ["x", "shift"]
    with network.planned(Plan({"fc1": (0, 3)})):
        torch.testing.assert_close(small(**example)["y"], network(**example)["y"])


def test_training_uses_the_network_itself_with_its_dropout():
    network, example = gated("PyTorch's encoder layer")
    network.train()
    assert not torch.equal(network(example), network(example))
    assert network.model[1].training
    small = l0.prune(network, plan=random_plan(network))
    assert network.model[1].training
    assert torch.equal(small.train()(example), small.eval()(example))


def test_moments_of_the_optimizer_follow():
    network, example = gated("a shuffled width")
    optimizer = torch.optim.Adam(network.parameter_groups(lr=1e-3))
    network.train()(example).square().mean().backward()
    optimizer.step()
    small = l0.prune(network, plan=Plan({"fc1": (1, 2, 5)}))
    after = l0.transfer_optimizer(optimizer, small)
    (state,) = (after.state[parameter] for name, parameter in small.named_parameters() if name == "fc1.weight")
    assert state["exp_avg"].shape == (80, 10)


def test_a_copy_of_the_graph_knows_how_it_was_cut():
    network, _ = gated("a shuffled width")
    small = l0.prune(network, plan=Plan({"fc1": (1,)}))
    with pytest.warns(FutureWarning, match="treespec"):  # PyTorch's own
        twin = copy.deepcopy(small)
    assert l0.structure_of(twin).plan == Plan({"fc1": (1,)})
    assert "fc1" in str(l0.report(network, small))


def test_channels_say_that_they_are_those_of_an_exported_graph():
    channels = trace(Shuffled(), torch.randn(3, 10), exported=True)
    assert Channels.from_json(channels.to_json()).exported
    network = l0.Gated(Shuffled(), torch.randn(3, 10), channels=channels)
    assert isinstance(l0.prune(network, plan=Plan({"fc1": (1,)})), torch.fx.GraphModule)
    with pytest.raises(SurgeryError, match="exported graph, and this is a Shuffled"):
        l0.cut_module(Shuffled(), channels, Plan({"fc1": (1,)}))


def test_saving_is_refused_and_names_what_does_it(tmp_path):
    network, example = gated("a shuffled width")
    small = l0.prune(network, plan=Plan({"fc1": (1,)}))
    with pytest.raises(ArtifactUnsavedError, match=r"torch\.export\.save\("):
        l0.save(small, tmp_path / "small")
    batch = torch.export.Dim("batch", max=64)
    program = torch.export.export(small, (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "small.pt2")
    loaded = torch.export.load(tmp_path / "small.pt2").module()
    assert torch.equal(loaded(example[:2]), small(example[:2]))


def test_control_flow_that_depends_on_the_data_is_refused():
    class Branch(Shuffled):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else super().forward(-x)

    with pytest.raises(TraceError, match=r"cannot be exported.*trace without exported=True"):
        trace(Branch(), torch.randn(3, 10), exported=True)


def test_a_branch_within_the_graph_is_refused():
    class Cond(Shuffled):
        def forward(self, x):
            return torch.cond(x.sum() > 0, self.fc1, lambda y: self.fc1(-y), (x,))

    with pytest.raises(TraceError, match="runs only for some data"):
        trace(Cond(), torch.randn(3, 10), exported=True)


def test_rules_of_the_user_are_refused_together_with_it():
    with pytest.raises(ValueError, match="leave out either rules or exported=True"):
        trace(Shuffled(), torch.randn(3, 10), exported=True, rules={"aten.relu": lambda labels, call: None})


REFUSED = {
    "every other channel after the first": lambda h: F.pad(h[:, 2::2], (1, 0)),
    "a running sum": lambda h: h.cumsum(1)[:, :64],
    "a list of places": lambda h: h[:, list(range(63, -1, -1))],
    "a strided view": lambda h: h.as_strided((h.shape[0], 64), (128, 2)),
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_no_corrected_size_can_express_is_kept_with_the_reason(word):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(10, 128), nn.Linear(64, 3)

        def forward(self, x):
            return self.last(REFUSED[word](self.first(x)))

    channels = trace(Odd(), torch.randn(3, 10), exported=True)
    assert channels.num_gates == 0
    assert len(channels.group("first").reason) > 10


def test_what_runs_in_training_only_is_left_out():
    class Auxiliary(Shuffled):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(128, 2)

        def forward(self, x):
            main = super().forward(x)
            return (main, self.extra(self.fc1(x))) if self.training else (main, main)

    network = l0.Gated(Auxiliary(), torch.randn(3, 10), exported=True)
    assert network.train()(torch.randn(3, 10))[1].shape == (3, 2)
    small = l0.prune(network, plan=Plan({"fc1": (0,)}))
    assert not [name for name, _ in small.named_parameters() if name.startswith("extra")]
    assert network.training


def test_a_convolution_keeps_a_channel_because_no_graph_can_hold_one_without():
    network, _ = gated("an hourglass")
    assert not network.channels.group("down").removable
    assert trace(Hourglass(), torch.randn(2, 1, 8, 8)).group("down").removable
