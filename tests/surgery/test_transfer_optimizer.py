"""A training goes on after surgery: every moment is cut with its parameter, and every setting stays."""

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import SurgeryError

OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "adamw-amsgrad": lambda groups: torch.optim.AdamW(groups, lr=0.01, amsgrad=True, weight_decay=0.1),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, lr=0.01),
    "adadelta": lambda groups: torch.optim.Adadelta(groups, lr=0.5),
    "adamax": lambda groups: torch.optim.Adamax(groups, lr=0.01),
    "nadam": lambda groups: torch.optim.NAdam(groups, lr=0.01),
    "radam": lambda groups: torch.optim.RAdam(groups, lr=0.01),
    "asgd": lambda groups: torch.optim.ASGD(groups, lr=0.01),
    "rprop": lambda groups: torch.optim.Rprop(groups, lr=0.01),
}


class Network(nn.Module):
    """A convolution, batch norm, a residual branch, positions and two layers that share a weight."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1, bias=False)  # before a norm its gradient would be rounding only
        self.norm = nn.BatchNorm2d(5)
        self.inner, self.outer = nn.Conv2d(5, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.hidden = nn.Linear(45, 6)
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
        self.two.weight = self.one.weight
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.outer(self.inner(stream).relu())
        stream = self.hidden(nn.functional.max_pool2d(stream, 2).flatten(1)).relu()
        return self.head(self.two(self.one(stream).relu()).relu())


def build(values=(9.0, -9.0), **options):
    """A gated network in float64 of which about half is shut; open gates are at one."""
    torch.manual_seed(0)
    gated = l0.Gated(Network().double(), torch.zeros(2, 2, 6, 6, dtype=torch.float64), **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        is_open = torch.rand(gated.log_odds.shape, generator=generator) < 0.6
        gated.log_odds.copy_(torch.where(is_open, *values))
    return gated


def batches(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num):
        images = torch.randn(8, 2, 6, 6, generator=generator, dtype=torch.float64)
        yield images, torch.randint(3, (8,), generator=generator)


def train(network, optimizer, data):
    for images, labels in data:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()


def groups_of(gated, lr=None):
    weights = [parameter for parameter in gated.parameters() if parameter is not gated.log_odds]
    return [{"params": weights, **({"lr": lr} if lr is not None else {})}, {"params": [gated.log_odds], "lr": 1e-9}]


@pytest.mark.parametrize("options", [{}, {"positions": True, "inputs": True}], ids=["channels", "positions"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_as_that_of_the_gated_network_with_its_gates_fixed(kind, options):
    """Tolerance 1e-12 in float64; open gates are exactly one."""
    gated = build(**options)
    plan = gated.plan()
    assert plan.shut
    optimizer = OPTIMIZERS[kind](groups_of(gated))
    with gated.planned(plan):
        train(gated, optimizer, batches(4))
    small = l0.prune(gated, plan=plan)
    moved = l0.transfer_optimizer(optimizer, small)
    assert type(moved) is type(optimizer)
    with gated.planned(plan):
        train(gated, optimizer, batches(5, seed=1))
    train(small, moved, batches(5, seed=1))
    again = l0.prune(gated, plan=plan)
    for (name, found), wanted in zip(small.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS.keys() - {"rprop"}))  # whose steps begin with the learning rate
def test_folded_gates_rescale_every_moment_as_the_chain_rule_says(kind):
    """Without moving (learning rate zero) both optimizers gather the moments of the same function."""
    gated = build(values=(0.0, -9.0))  # open gates are at one half
    plan = gated.plan()
    small = l0.prune(gated, plan=plan).train()
    optimizer = OPTIMIZERS[kind](groups_of(gated, lr=0.0))
    direct = OPTIMIZERS[kind]([{"params": small.parameters(), "lr": 0.0}])
    for group in (*optimizer.param_groups, *direct.param_groups):  # both are constants beside the gradients
        group |= {key: value for key, value in (("eps", 1e-30), ("weight_decay", 0.0)) if key in group}
    with gated.planned(plan):
        train(gated, optimizer, batches(4))
    train(small, direct, batches(4))
    cut = l0.prune(gated, plan=plan)
    moved = l0.transfer_optimizer(optimizer, cut)
    compared = 0
    for name, wanted in small.named_parameters():
        for key, value in direct.state[wanted].items():
            torch.testing.assert_close(moved.state[cut.get_parameter(name)][key], value, rtol=1e-9, atol=1e-12)
            compared += value.dim() > 0 and bool(value.any())
    assert compared > 8


def test_groups_of_the_user_frozen_and_tied_parameters_keep_their_places():
    gated = build()
    net = gated.bare()
    net.stem.weight.requires_grad_(False)
    groups = [
        {"params": [net.stem.weight, net.norm.bias], "lr": 0.1, "note": "stem"},
        {"params": [gated.log_odds], "lr": 0.5},
        {"params": [net.head.bias, net.one.weight], "lr": 0.2, "weight_decay": 0.3},
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    train(gated, optimizer, batches(2))
    schedule.step()
    small = l0.prune(gated)
    moved = l0.transfer_optimizer(optimizer, small)
    first, second = moved.param_groups
    assert [id(p) for p in first["params"]] == [id(small.stem.weight), id(small.norm.bias)]
    assert [id(p) for p in second["params"]] == [id(small.head.bias), id(small.one.weight)]
    assert small.two.weight is small.one.weight
    assert not small.stem.weight.requires_grad
    assert small.stem.weight not in moved.state
    assert (first["note"], first["lr"], first["initial_lr"]) == ("stem", pytest.approx(0.01), 0.1)
    assert (second["lr"], second["initial_lr"], second["weight_decay"]) == (pytest.approx(0.02), 0.2, 0.3)
    assert moved.state[small.one.weight]["momentum_buffer"].shape == small.one.weight.shape
    resumed = torch.optim.lr_scheduler.StepLR(moved, step_size=1, gamma=0.1, last_epoch=schedule.last_epoch)
    train(small, moved, batches(1))
    assert resumed.get_last_lr() == pytest.approx([0.001, 0.002])


def test_step_counts_and_names_of_parameters_are_kept():
    gated = build()
    optimizer = torch.optim.Adam(gated.named_parameters(), lr=0.1)
    train(gated, optimizer, batches(3))
    small = l0.prune(gated)
    moved = l0.transfer_optimizer(optimizer, small)
    assert moved.param_groups[0]["param_names"] == [
        name for parameter in moved.param_groups[0]["params"]
        for name, found in small.named_parameters() if found is parameter
    ]  # fmt: skip
    assert {int(state["step"]) for state in moved.state.values()} == {3}
    assert len(moved.state) == len(list(small.parameters()))


def test_readers_behind_a_selection_are_found_under_their_new_name():
    gated = build(positions=True, inputs=True)
    optimizer = torch.optim.Adam(gated.parameters(), lr=0.1)
    train(gated, optimizer, batches(1))
    small = l0.prune(gated)
    weight = small.get_parameter("hidden.reader.weight")
    assert l0.transfer_optimizer(optimizer, small).state[weight]["exp_avg"].shape == weight.shape


def test_what_went_with_an_emptied_branch_leaves_the_optimizer():
    gated = build()
    net = gated.bare()
    optimizer = torch.optim.Adam([{"params": net.inner.parameters()}, {"params": net.outer.parameters()}])
    train(gated, optimizer, batches(1))
    small = l0.prune(gated, plan=l0.Plan({"inner": (0, 1, 2, 3)}))
    moved = l0.transfer_optimizer(optimizer, small)
    assert [group["params"] for group in moved.param_groups] == [[], [small.outer.bias]]
    assert list(moved.state) == [small.outer.bias]
    train(small, moved, batches(1))


def test_weights_of_a_loss_stay_in_the_optimizer_as_they_are():
    gated, scale = build(), nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = torch.optim.Adam([*gated.parameters(), scale], lr=0.1)
    nn.functional.cross_entropy(gated(torch.ones(2, 2, 6, 6).double()) * scale, torch.tensor([0, 1])).backward()
    optimizer.step()
    moved = l0.transfer_optimizer(optimizer, l0.prune(gated))
    assert moved.param_groups[0]["params"][-1] is scale
    assert torch.equal(moved.state[scale]["exp_avg"], optimizer.state[scale]["exp_avg"])
    assert moved.state[scale]["exp_avg"] is not optimizer.state[scale]["exp_avg"]


def test_the_old_optimizer_is_not_changed():
    gated = build()
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=0.1))
    train(gated, optimizer, batches(1))
    before = copy.deepcopy(optimizer.state_dict())
    l0.transfer_optimizer(optimizer, l0.prune(gated))
    after = optimizer.state_dict()
    assert before["param_groups"] == after["param_groups"]
    for number, state in before["state"].items():
        assert all(torch.equal(value, after["state"][number][key]) for key, value in state.items())


def test_a_network_and_its_optimizer_of_channels_last_stay_so():
    gated = build()
    gated.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(gated.parameters(), lr=0.1)
    train(gated, optimizer, batches(1))
    small = l0.prune(gated, plan=l0.Plan({"stem": (0,)}))
    state = l0.transfer_optimizer(optimizer, small).state[small.stem.weight]
    assert state["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_the_pruned_network_does_not_keep_the_gated_one_alive():
    gated = build()
    small, weight = l0.prune(gated), weakref.ref(gated.bare().hidden.weight)
    del gated
    gc.collect()
    assert weight() is None
    assert small.hidden.weight.numel()


def test_an_artifact_and_a_pickle_know_nothing_of_the_gated_network(tmp_path):
    gated = build()
    optimizer = torch.optim.Adam(gated.parameters(), lr=0.1)
    train(gated, optimizer, batches(1))
    small = l0.prune(gated)
    l0.save(small, tmp_path / "small")
    stored = io.BytesIO()
    torch.save(small, stored)
    stored.seek(0)
    for found in (l0.load(tmp_path / "small", lambda: Network().double()), torch.load(stored, weights_only=False)):
        with pytest.raises(SurgeryError, match="none of the parameters of the network"):
            l0.transfer_optimizer(optimizer, found)
        moved = l0.transfer_optimizer(optimizer, found, gated=gated)
        wanted = l0.transfer_optimizer(optimizer, small)
        for one, other in zip(moved.state.values(), wanted.state.values(), strict=True):
            assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_copy_of_the_pruned_network_is_served_too():
    gated = build()
    optimizer = torch.optim.Adam(gated.parameters(), lr=0.1)
    train(gated, optimizer, batches(1))
    twin = copy.deepcopy(l0.prune(gated))
    moved = l0.transfer_optimizer(optimizer, twin)
    assert set(moved.state) == set(twin.parameters())


def test_an_average_of_the_network_is_pruned_and_the_optimizer_of_the_network_transferred():
    gated = build()
    optimizer = torch.optim.Adam(gated.parameters(), lr=0.1)
    average = torch.optim.swa_utils.AveragedModel(gated)
    train(gated, optimizer, batches(1))
    small = l0.prune(average.module)
    with pytest.raises(SurgeryError, match=r"if an average of it was pruned.*gated=gated"):
        l0.transfer_optimizer(optimizer, small)
    assert set(l0.transfer_optimizer(optimizer, small, gated=gated).state) == set(small.parameters())


def test_an_optimizer_of_gates_only_has_nothing_to_transfer():
    gated = build()
    with pytest.raises(SurgeryError, match="holds gates only"):
        l0.transfer_optimizer(torch.optim.Adam([gated.log_odds]), l0.prune(gated))


def test_what_is_no_optimizer_or_no_pruned_network_is_refused():
    gated = build()
    with pytest.raises(SurgeryError, match="this Network was not pruned"):
        l0.transfer_optimizer(torch.optim.Adam(gated.parameters()), gated.bare())
    with pytest.raises(TypeError, match="expected an optimizer, got Network"):
        l0.transfer_optimizer(l0.prune(gated), gated.bare())


def test_a_network_that_was_changed_after_pruning_is_refused():
    gated = build()
    small = l0.prune(gated)
    small.head = nn.Linear(7, 3)
    with pytest.raises(
        SurgeryError, match=r"leaves \(3, \d\) of 'head.weight', but in the pruned Network it has shape"
    ):
        l0.transfer_optimizer(torch.optim.Adam(gated.parameters()), small)


class Odd(torch.optim.SGD):
    """Keeps a state of its own for each parameter, and a helper that it does not pickle."""

    def keep(self, make):
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["own"] = make(parameter)
        return self


def test_state_of_an_unknown_shape_or_kind_is_refused():
    gated = build()
    small = l0.prune(gated)
    for make, message in [
        (lambda parameter: torch.zeros(7, 7), r"the state 'own' that Odd keeps for '.*' has shape \(7, 7\)"),
        (lambda parameter: [parameter], "is a list, which cannot be cut"),
    ]:
        with pytest.raises(SurgeryError, match=message):
            l0.transfer_optimizer(Odd(gated.parameters(), lr=0.1).keep(make), small)


def test_state_of_an_unknown_power_is_asked_for_only_where_gates_were_folded_in():
    gated = build()
    optimizer = Odd(gated.parameters(), lr=0.1).keep(torch.ones_like)
    small = l0.prune(gated)
    assert l0.transfer_optimizer(optimizer, small).state[small.head.weight]["own"].shape == small.head.weight.shape
    halved = build(values=(0.0, -9.0))
    optimizer, small = Odd(halved.parameters(), lr=0.1).keep(torch.ones_like), l0.prune(halved)
    with pytest.raises(SurgeryError, match=r"unknown power of the gradient.*powers=\{'own': 1\}"):
        l0.transfer_optimizer(optimizer, small)
    half = halved.eval().gates.values().max()
    found = l0.transfer_optimizer(optimizer, small, powers={"own": 2}).state[small.head.weight]["own"]
    torch.testing.assert_close(found, torch.full_like(found, 1 / half.item() ** 2))


def test_a_fused_optimizer_still_works_with_a_gradient_scaler():
    gated = build()
    optimizer = torch.optim.Adam(gated.parameters(), fused=True)
    train(gated, optimizer, batches(1))
    small = l0.prune(gated)
    moved = l0.transfer_optimizer(optimizer, small)
    assert moved._step_supports_amp_scaling
    train(small, moved, batches(1))
    assert {int(state["step"]) for state in moved.state.values()} == {2}


def test_an_optimizer_whose_state_is_of_all_weights_at_once_is_refused():
    gated = build()
    optimizer = torch.optim.LBFGS(gated.parameters(), max_iter=2)
    images, labels = next(batches(1))

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(gated(images), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(SurgeryError, match=r"LBFGS .*make a new optimizer"):
        l0.transfer_optimizer(optimizer, l0.prune(gated))


def test_a_class_that_cannot_be_copied_is_refused():
    gated = build()
    optimizer = Odd(gated.parameters(), lr=0.1)
    optimizer.inner = torch.optim.SGD(gated.parameters(), lr=0.1)
    with pytest.raises(SurgeryError, match="Odd leaves its attribute 'inner' out"):
        l0.transfer_optimizer(optimizer, l0.prune(gated))
