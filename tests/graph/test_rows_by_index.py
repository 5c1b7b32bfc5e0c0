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
