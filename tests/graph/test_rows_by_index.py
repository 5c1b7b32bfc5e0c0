"""Tables whose rows are summed, and rows that are written where the data say: the other dimensions are channels."""

import pytest
import torch
from torch import nn

import ellzero as l0


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def held(gated, plan, *inputs):
    """The network, cut; on other inputs it returns what the gated one does."""
    small = l0.prune(gated, plan=plan).eval()
    with gated.eval().planned(plan), torch.no_grad():
        assert torch.allclose(gated(*inputs), small(*inputs), atol=1e-12)
    return small


def start(how, x):
    made = {"like": torch.zeros_like, "empty": torch.empty_like}
    return made[how](x) if how in made else torch.zeros(x.shape, dtype=x.dtype)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_the_width_of_a_bag_of_embeddings_is_cut(mode):
    class Bags(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.EmbeddingBag(20, 6, mode=mode, padding_idx=0)
            self.head = nn.Linear(6, 2)

        def forward(self, words, starts):
            return self.head(self.table(words, starts))

    gated = l0.Gated(Bags().double(), (torch.arange(8), torch.tensor([0, 3])))
    assert gated.channels.group("table").reason == "rows are chosen by the data"
    plan = l0.Plan({"table#2": (0, 4)})
    small = held(gated, plan, torch.randint(0, 20, (11,)), torch.tensor([0, 2, 2, 9]))
    assert (small.table.weight.shape, small.table.embedding_dim) == ((20, 4), 4)


def test_bags_with_weights_of_their_own_are_cut():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.EmbeddingBag(20, 6, mode="sum"), nn.Linear(6, 2)

        def forward(self, words, weights):
            return self.head(self.table(words, per_sample_weights=weights))

    gated = l0.Gated(Weighted().double(), (torch.zeros(2, 3, dtype=torch.int64), double(2, 3)))
    held(gated, l0.Plan({"table#2": (1, 2, 5)}), torch.randint(0, 20, (5, 3)), double(5, 3))


class Nodes(nn.Module):
    """Every node takes the largest, the mean, ... of what its neighbours send."""

    def __init__(self, how, dim):
        super().__init__()
        self.send, self.take = nn.Linear(4, 6), nn.Linear(6, 2)
        self.how, self.dim = how, dim

    def forward(self, nodes, edges):
        sent = self.send(nodes).sigmoid()[edges[0]]
        target = torch.zeros_like(self.send(nodes))
        if self.how == "index":
            return self.take(target.index_reduce(self.dim, edges[1], sent, "amax"))
        places = edges[1][:, None].expand(-1, sent.size(1))
        return self.take(target.scatter_reduce(self.dim, places, sent, self.how, include_self=False))


@pytest.mark.parametrize("dim", [0, -2])
@pytest.mark.parametrize("how", ["amax", "mean", "sum", "index"])
def test_what_is_gathered_at_nodes_keeps_its_channels(how, dim):
    gated = l0.Gated(Nodes(how, dim).double(), (double(5, 4), torch.randint(0, 5, (2, 9))))
    small = held(gated, l0.Plan({"send": (0, 3)}), double(8, 4), torch.randint(0, 8, (2, 12)))
    assert small.take.in_features == 4


@pytest.mark.parametrize("dim", [1, -1])
def test_channels_that_are_written_where_the_data_say_are_kept(dim):
    class Moved(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x, places):
            hidden = self.one(x)
            return self.two(torch.zeros_like(hidden).index_add(dim, places, hidden))

    channels = l0.trace(Moved(), (torch.randn(3, 4), torch.randint(0, 6, (6,))))
    assert channels.num_gates == 0
    assert channels.group("one").reason == "rows are written by the data"


class Experts(nn.Module):
    """Each token goes to the expert that a router picks; what comes back is written to where the token was."""

    def __init__(self, how, made="like"):
        super().__init__()
        self.first, self.router, self.last = nn.Linear(5, 8), nn.Linear(8, 2), nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 8)) for _ in range(2))
        self.how, self.made = how, made

    def forward(self, x):
        x = self.first(x)
        weights = self.router(x).softmax(-1)
        y, best = start(self.made, x), weights.argmax(-1)
        for number, expert in enumerate(self.experts):
            mask = best == number
            places = torch.where(mask)
            if self.how == "mask":
                y[mask] = expert(x[mask])
            elif self.how == "places":
                y[places] += weights[..., number][places][:, None] * expert(x[places])
            elif self.how == "accumulate":
                y = y.index_put(places, expert(x[places]), accumulate=True)
            elif self.how == "rows":
                y = y.masked_scatter(mask[..., None], expert(x[mask]))
            else:
                y.masked_scatter_(mask[..., None].expand_as(y), expert(x[mask]))
        return self.last(x + y)


@pytest.mark.parametrize("shape", [(30, 5), (4, 7, 5)])
@pytest.mark.parametrize("how", ["mask", "places", "accumulate", "rows", "expanded rows"])
def test_what_experts_write_into_rows_keeps_its_channels(how, shape):
    gated = l0.Gated(Experts(how).double(), double(*shape))
    assert not [group.name for group in gated.channels.kept if group.name not in ("input", "router", "last")]
    plan = l0.Plan({"first": (0, 2, 5), "experts.0.0": (1, 2), "experts.1.0": (0,)})
    small = held(gated, plan, double(*shape))
    assert (small.last.in_features, small.experts[1][0].weight.shape) == (5, (5, 5))


@pytest.mark.parametrize("made", ["zeros", "empty"])
def test_what_experts_write_into_may_be_made_in_several_ways(made):
    gated = l0.Gated(Experts("mask", made).double(), double(30, 5))
    held(gated, l0.Plan({"first": (1, 2)}), double(40, 5))


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (lambda x: (slice(None), torch.tensor([0, 2])), lambda x: x[:, :2]),
        (lambda x: x > 0, lambda x: x[x > 0]),
        (lambda x: (torch.tensor([0]), torch.tensor([1])), lambda x: x[:1, 0]),
    ],
)
def test_single_channels_that_are_written_by_index_are_kept(index, values):
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            hidden = self.one(x)
            target = torch.zeros_like(hidden)
            target[index(hidden)] = values(hidden)
            return self.two(target)

    channels = l0.trace(Written(), double(3, 4).float())
    assert channels.num_gates == 0
    assert channels.group("one").reason


def test_masks_that_differ_within_rows_keep_the_channels():
    class Uneven(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            one = self.one(x)
            mask = torch.ones_like(one, dtype=torch.bool)
            mask[:, ::2] = False
            return self.last(one.masked_scatter(mask, self.two(x)))

    channels = l0.trace(Uneven(), torch.randn(3, 4))
    assert channels.group("two").reason == "decides where values are written"


def test_values_that_are_repeated_into_rows_share_their_channels():
    class Default(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.last, self.missing = nn.Linear(4, 6), nn.Linear(6, 2), nn.Parameter(torch.randn(6))

        def forward(self, x):
            hidden = self.one(x)
            hidden[x[:, 0] > 0] = self.missing
            return self.last(hidden)

    gated = l0.Gated(Default().double(), double(9, 4))
    assert held(gated, l0.Plan({"one": (0, 3)}), double(7, 4)).missing.shape == (4,)


def test_rows_that_a_mask_over_several_dimensions_picks_keep_their_channels():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, values, mask):
            return self.last(self.first(values).relu()[mask])

    gated = l0.Gated(Masked().double(), (double(2, 4, 5), torch.ones(2, 4, dtype=torch.bool)))
    held(gated, l0.Plan({"first": (0, 7)}), double(3, 4, 5), torch.rand(3, 4) > 0.5)
