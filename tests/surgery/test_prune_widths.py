"""Networks with rounded or uniform widths: within the budget, exact, and what was opened changes nothing."""

import logging

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import BudgetError
from ellzero.graph import structure_of


class Block(nn.Module):
    """A residual perceptron block."""

    def __init__(self, width, hidden):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, stream):
        return stream + self.down(self.up(self.norm(stream)).relu())


class Stack(nn.Module):
    """Blocks of the same size."""

    def __init__(self, num=4, width=6, hidden=20):
        super().__init__()
        self.stem, self.head = nn.Linear(5, width), nn.Linear(width, 3)
        self.layers = nn.ModuleList(Block(width, hidden) for _ in range(num))

    def forward(self, values):
        stream = self.stem(values)
        for layer in self.layers:
            stream = layer(stream)
        return self.head(stream)


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 20, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(80, 15), nn.ReLU(), nn.Linear(15, 3),
    )  # fmt: skip


IMAGE = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
FLAT = torch.zeros(1, 5, dtype=torch.float64)


def hidden(small):
    return [layer.up.out_features for layer in small.layers]


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_rounded_networks_are_exact_and_within_the_budget(gate, seed, positions):
    """Tolerance 1e-12 in float64, against the gated network in evaluation mode where nothing had to be shut."""
    gated = gate(cnn(), IMAGE, seed=seed, share=0.4, positions=positions)
    images = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    small = l0.prune(gated, multiple_of=4).eval()
    torch.testing.assert_close(small(images), gated(images), rtol=1e-12, atol=1e-12)
    structure = structure_of(small)
    assert structure.num_shut == 0
    assert structure.num_opened > 0
    assert small[0].out_channels % 4 == small[3].out_channels % 4 == 0
    assert l0.count(small, IMAGE).params == sum(parameter.numel() for parameter in small.parameters())
    budget = l0.Budget(gated, params=0.5)
    tight = l0.prune(gated, budget, multiple_of=4)
    assert sum(parameter.numel() for parameter in tight.parameters()) <= budget.limits[0]
    last = tight.get_submodule("6.reader" if isinstance(tight[6], nn.Sequential) else "6")
    assert tight[0].out_channels in {4, 8, 12}
    assert tight[3].out_channels % 4 == 0
    assert last.in_features % 4 == 0
    assert last.out_features in {4, 8, 12, 15}


def test_channels_that_only_fill_up_read_zeros_and_can_be_trained():
    gated = l0.Gated(Stack(), FLAT.float())
    with torch.no_grad():
        gated.log_odds.fill_(-9.0)
        gated.log_odds[[0, 20, 40, 60]] = 9.0
    small = l0.prune(gated, multiple_of=8)
    assert hidden(small) == [8] * 4
    assert structure_of(small).num_opened == 28
    weight = small.layers[0].down.weight
    assert (weight != 0).any(0).tolist() == [True] + [False] * 7
    small(torch.randn(9, 5)).square().sum().backward()
    assert bool(weight.grad[:, 1:].any(0).sum() > 3)


def test_moments_of_channels_that_only_fill_up_are_carried_along_unscaled():
    gated = l0.Gated(Stack(num=1), FLAT.float())
    optimizer = torch.optim.Adam(gated.parameters())
    gated(torch.randn(9, 5)).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        gated.log_odds.fill_(-9.0)
        gated.log_odds[0] = 9.0
    small = l0.prune(gated, multiple_of=8)
    moved = l0.transfer_optimizer(optimizer, small)
    kept = [index for index in range(20) if index not in structure_of(small).plan.shut["layers.0.up"]]
    before = optimizer.state[gated.bare().layers[0].down.weight]["exp_avg_sq"][:, kept]
    assert torch.equal(moved.state[small.layers[0].down.weight]["exp_avg_sq"], before)


def test_only_groups_that_fit_a_pattern_are_rounded(gate):
    gated = gate(cnn(), IMAGE, share=0.4)
    free = l0.prune(gated)
    small = l0.prune(gated, multiple_of={"0": 4})
    assert small[0].out_channels % 4 == 0
    assert small[3].out_channels == free[3].out_channels
    assert free[3].out_channels % 4


def test_a_plan_of_the_user_is_filled_up_too():
    gated = l0.Gated(cnn().double(), IMAGE)
    small = l0.prune(gated, plan=l0.Plan({"0": (0, 1, 2, 3, 4)}), multiple_of=4)
    assert small[0].out_channels == 8
    assert structure_of(small).num_opened == 1


@pytest.mark.parametrize("seed", range(4))
def test_uniform_layers_have_one_width_the_best_of_each_within_the_budget(gate, seed):
    gated = gate(Stack(), FLAT, seed=seed)
    budget = l0.Budget(gated, params=0.5)
    free, small = l0.prune(gated, budget), l0.prune(gated, budget, uniform=True)
    assert len(set(hidden(free))) > 1
    (width,) = set(hidden(small))
    assert 0 < width < 20
    assert sum(parameter.numel() for parameter in small.parameters()) <= budget.limits[0]
    wider = {f"layers.{number}.up": tuple(range(20 - width - 1)) for number in range(4)}
    covering = max(int(gated.gates.is_open()[place].sum()) for _, place in gated.layout.slices())
    size = budget.costs.exact(l0.Plan(wider).open_gates(gated.layout))[0]
    assert width == covering or size > budget.limits[0], "one more everywhere would have been too much"
    log_odds, plan = gated.log_odds.detach(), structure_of(small).plan
    for group, place in gated.layout.slices():
        shut = list(plan.shut[group.name])
        stays = [index for index in range(20) if index not in shut]
        assert log_odds[place][stays].min() >= log_odds[place][shut].max()


def test_uniform_and_rounded_go_together_and_patterns_choose(gate):
    gated = gate(Stack(), FLAT, share=0.6)
    budget = l0.Budget(gated, params=0.7)
    (width,) = set(hidden(l0.prune(gated, budget, uniform="layers.*.up", multiple_of=8)))
    assert width in {8, 16, 20}
    first, *others = hidden(l0.prune(gated, budget, uniform="layers.[123].*"))
    assert len(set(others)) == 1
    assert first != others[0]


def test_what_was_opened_is_logged_and_stored(gate, tmp_path, caplog):
    gated = gate(Stack(), FLAT)
    with caplog.at_level(logging.INFO, logger="ellzero"):
        small = l0.prune(gated, multiple_of=8)
    num = structure_of(small).num_opened
    assert num > 0
    assert f"{num} gates that training had shut stay" in caplog.text
    l0.save(small, tmp_path / "small")
    assert structure_of(l0.load(tmp_path / "small", lambda: Stack().double())).num_opened == num


def test_an_impossible_width_leaves_everything_as_it_was():
    gated = l0.Gated(cnn().double(), IMAGE)
    budget = l0.Budget(gated, params=0.05)
    before = {name: tensor.clone() for name, tensor in gated.state_dict().items()}
    with pytest.raises(BudgetError, match="multiples of 8, params can be brought to"):
        l0.prune(gated, budget, multiple_of=8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in gated.state_dict().items())
