"""`Gated` in use: it behaves like the module it wraps, its gates are a function of its state, any loop will do."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import ellzero as l0
from ellzero.distributions import median, prob_open


def train(gated, data, optimizer, *, steps, budget=None, accumulate=1, clip=None):
    images, labels = data
    for _ in range(steps):
        optimizer.zero_grad()
        for part, targets in zip(images.chunk(accumulate), labels.chunk(accumulate), strict=True):
            (F.cross_entropy(gated(part), targets) / accumulate).backward()
        if budget is not None:
            budget.penalty().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(gated.parameters(), clip)
        optimizer.step()
        if budget is not None:
            budget.step()


def test_the_script_at_the_top_of_the_design_runs_as_written(data):
    torch.manual_seed(0)
    model, example_inputs = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)), data[0][:1]
    loader = [data] * 3

    gated = l0.Gated(model, example_inputs)
    budget = l0.Budget(gated, params=0.50)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-3))
    for x, y in loader:
        loss = F.cross_entropy(gated(x), y) + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    small = l0.prune(gated, budget)

    assert l0.count(small, example_inputs).params <= 0.5 * l0.count(model, example_inputs).params
    gated.eval()
    torch.testing.assert_close(small.eval()(data[0]).shape, gated(data[0]).shape)


def test_log_odds_is_the_flat_vector_of_all_gates(build):
    gated = build()
    assert gated.log_odds.shape == (4 + 3 + 8,)
    assert gated.log_odds.dtype == torch.float32
    assert [name for name, p in gated.named_parameters() if p is gated.log_odds] == ["gates.log_odds"]
    assert [group.name for group, _ in gated.layout.slices()] == ["stem", "inner", "hidden"]


def test_the_plan_is_what_the_medians_shut(build):
    gated = build()
    with torch.no_grad():
        gated.log_odds.fill_(3.0)
        gated.log_odds[[1, 4, 5, 9]] = -3.0
    assert gated.plan() == l0.Plan({"stem": (1,), "inner": (0, 1), "hidden": (2,)})


def test_in_evaluation_a_gate_is_zero_exactly_where_it_is_more_likely_shut(build):
    gated = build().eval()
    with torch.no_grad():
        gated.log_odds.copy_(torch.linspace(-4, 4, 15)[torch.randperm(15, generator=torch.Generator().manual_seed(1))])
    values = gated.gates.values().detach()
    assert torch.equal(values == 0, gated.prob_open() <= 0.5)
    assert torch.equal(values, median(gated.log_odds.detach()))


def test_at_the_very_threshold_gates_are_shut():
    gated = l0.Gated(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.zeros(1, 2)).eval()
    threshold = torch.tensor(2 / 3).mul(torch.log(torch.tensor(0.1 / 1.1))).item()
    with torch.no_grad():
        gated.log_odds.copy_(torch.tensor([threshold - 1e-4, threshold + 1e-4, 2.0]))
    assert (gated.gates.values() > 0).tolist() == [False, True, True] == (prob_open(gated.log_odds) > 0.5).tolist()


def test_the_only_path_stays_open_in_evaluation(build):
    gated = build().eval()
    with torch.no_grad():
        gated.log_odds.fill_(-5.0)
        gated.log_odds[2] = -4.0
    values = gated.gates.values().detach()
    assert values[:4].tolist() == [0, 0, 1, 0]
    assert values[4:7].sum() == 0, "the residual branch may go"
    assert values[7:].sum() == 1


def test_reading_a_weight_twice_gives_the_same_tensor(build):
    gated = build().train()
    assert torch.equal(gated.model.head.weight, gated.model.head.weight)
    before = gated.gates.counters.clone()
    first = gated.model.hidden.weight
    repr(gated), gated.plan(), gated.prob_open(), gated.state_dict()
    assert torch.equal(first, gated.model.hidden.weight)
    assert torch.equal(before, gated.gates.counters)


def test_every_training_forward_draws_new_gates_and_evaluation_does_not(build, data):
    gated = build()
    gated.model.norm.eval()
    assert not torch.equal(gated(data[0]), gated(data[0]))
    gated.eval()
    assert torch.equal(gated(data[0]), gated(data[0]))


def test_a_gate_multiplies_what_reads_its_channel_and_nothing_else(build):
    gated = build().eval()
    full = {name: tensor.clone() for name, tensor in gated.bare().state_dict().items()}
    with torch.no_grad():
        gated.log_odds.fill_(9.0)
        gated.log_odds[7] = -9.0
    assert (gated.model.head.weight[:, 0] == 0).all()
    assert torch.equal(gated.model.head.weight[:, 1:], full["head.weight"][:, 1:])
    assert torch.equal(gated.model.hidden.weight, full["hidden.weight"])


def test_gradients_reach_weights_and_gates(build, data):
    gated = build()
    F.cross_entropy(gated(data[0]), data[1]).backward()
    assert all(parameter.grad is not None for parameter in gated.parameters())
    assert gated.log_odds.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda g: torch.optim.SGD(g, momentum=0.9), torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop,
        torch.optim.Adagrad, torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adamax,
    ],
)  # fmt: skip
def test_any_optimizer_trains_weights_and_gates(optimizer, build, data):
    gated = build()
    before = {name: parameter.detach().clone() for name, parameter in gated.named_parameters()}
    before.pop("model.stem.bias")  # a batch norm takes it away again
    train(gated, data, optimizer(gated.parameter_groups(lr=1e-2)), steps=3, budget=l0.Budget(gated, params=0.5))
    assert not any(torch.equal(gated.get_parameter(name), value) for name, value in before.items())
    assert all(parameter.isfinite().all() for parameter in gated.parameters())


def test_gates_never_receive_weight_decay(build):
    weights, gates = build().parameter_groups(lr=1e-3, gate_lr=5e-3, weight_decay=0.1)
    assert (weights["weight_decay"], gates["weight_decay"], gates["lr"]) == (0.1, 0.0, 5e-3)
    assert gates["params"][0].shape == (15,)
    assert all(parameter is not gates["params"][0] for parameter in weights["params"])


def test_accumulation_and_clipping_train_too(build, data):
    gated = build()
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-2))
    train(gated, data, optimizer, steps=3, accumulate=3, clip=0.1, budget=l0.Budget(gated, params=0.5))
    assert gated.gates.counters.tolist() == [0, 3, 0]
    assert all(parameter.isfinite().all() for parameter in gated.parameters())


def test_each_micro_batch_has_gates_of_its_own(build, data):
    gated = build()
    gated.model.norm.eval()
    part = data[0][:4]
    assert not torch.equal(gated(part), gated(part))
    assert gated.gates.counters.tolist() == [0, 0, 2]


def test_an_average_of_the_weights_can_be_evaluated_and_pruned(build, data):
    gated = build()
    budget = l0.Budget(gated, params=0.6)  # first: its state is among the buffers that are averaged or copied
    average = AveragedModel(gated, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=False)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-2))
    for _ in range(4):
        train(gated, data, optimizer, steps=1, budget=budget)
        average.update_parameters(gated)
    assert not torch.equal(average.module.log_odds, gated.log_odds)
    small = l0.prune(average.module, budget)
    plan = l0.Plan(dict(small.ellzero_structure.plan.shut))
    average.eval()
    with average.module.planned(plan):
        torch.testing.assert_close(small.eval()(data[0]), average(data[0]), rtol=1e-4, atol=1e-5)


def test_a_copy_in_the_middle_of_training_lives_its_own_life(build, data):
    gated = build()
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-2))
    train(gated, data, optimizer, steps=2)
    twin = copy.deepcopy(gated)
    assert torch.equal(twin(data[0]), gated(data[0]))
    before = twin.log_odds.detach().clone()
    train(gated, data, optimizer, steps=2)
    assert torch.equal(twin.log_odds, before)
    with torch.no_grad():
        twin.log_odds.fill_(-9.0)
    assert (twin.eval().model.head.weight == 0).any()
    assert not (gated.eval().model.head.weight == 0).all()


def test_a_copy_can_be_made_while_a_graph_is_alive(build, data):
    gated = build()
    loss = F.cross_entropy(gated(data[0]), data[1])
    twin = copy.deepcopy(gated)
    loss.backward()
    assert twin.log_odds.grad is None
    assert torch.equal(twin.gates.values(), gated.gates.values())
    assert torch.equal(copy.deepcopy(gated).gates.values(), gated.gates.values())


def test_unknown_attributes_pass_through(build, data):
    gated = build().eval()
    assert gated.num_classes == 3
    assert gated.stem is gated.model.stem
    assert torch.equal(gated.predict(data[0]), gated(data[0]).argmax(1))
    with pytest.raises(AttributeError, match="nonsense"):
        print(gated.nonsense)


def test_it_calls_with_keywords_and_several_arguments():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, values, *, scale, shift=None):
            return {"out": self.two(self.one(values)) * scale, "shift": shift}

    gated = l0.Gated(Pair(), {"values": torch.zeros(1, 3), "scale": torch.ones(())}).eval()
    assert gated(torch.ones(2, 3), scale=2.0, shift="s")["shift"] == "s"


def test_pretrained_networks_start_nearly_intact(build, data):
    gated = build(pretrained=True)
    assert gated.prob_open().min() > 0.99
    gated.eval()
    torch.testing.assert_close(gated(data[0]), gated.bare()(data[0]))


def test_frozen_parameters_stay_frozen_and_their_gates_train(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    model[3].weight.requires_grad_(False)
    gated = l0.Gated(model, data[0][:1])
    frozen = gated.model[3].parametrizations.weight.original
    before = frozen.clone()
    train(gated, data, torch.optim.Adam(gated.parameter_groups(lr=1e-2)), steps=2)
    assert not frozen.requires_grad
    assert torch.equal(frozen, before)
    assert gated.log_odds.grad.abs().sum() > 0


def test_shared_parameters_stay_shared():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    model[3].weight = model[1].weight
    gated = l0.Gated(model, torch.zeros(1, 4))
    one, other = (gated.model[index].parametrizations.weight.original for index in (1, 3))
    assert one is other
    assert len(list(gated.parameters())) == len(list(gated.bare().parameters())) + 1
    gated(torch.randn(2, 4)).sum().backward()
    assert torch.equal(model[1].weight, model[3].weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_gates_stay_float32_whatever_the_dtype(dtype, build, data):
    gated = build().to(dtype)
    assert gated.log_odds.dtype == torch.float32
    assert gated.gates.counters.dtype == torch.int64
    assert gated.model.head.weight.dtype == dtype
    gated(data[0].to(dtype)).float().pow(2).sum().backward()
    assert gated.log_odds.grad.dtype == torch.float32


@pytest.mark.parametrize("convert", [nn.Module.half, nn.Module.bfloat16, nn.Module.double])
def test_there_and_back_again_leaves_the_gates_bit_for_bit(convert, build):
    gated = build()
    before = gated.log_odds.detach().clone()
    convert(gated)
    gated.float()
    assert torch.equal(gated.log_odds, before)


def test_mixed_precision_is_an_ordinary_context(build, data):
    gated = build()
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(gated(data[0]), data[1])
    loss.backward()
    assert gated.log_odds.grad.dtype == torch.float32


@pytest.mark.parametrize("options", [{}, {"inputs": True, "positions": True}])
def test_it_compiles_into_one_graph_with_the_same_numbers(options, build, data):
    eager, twin = build(**options), build(**options)
    compiled = torch.compile(twin, fullgraph=True, backend="eager")
    for _ in range(2):
        assert torch.equal(compiled(data[0]), eager(data[0]))
    compiled(data[0]).sum().backward()
    eager(data[0]).sum().backward()
    torch.testing.assert_close(twin.log_odds.grad, eager.log_odds.grad)
    compiled.eval()
    eager.eval()
    assert torch.equal(compiled(data[0]), eager(data[0]))
    assert torch.equal(twin.gates.counters, eager.gates.counters)


def test_the_bare_network_shares_its_tensors_and_has_no_gates(build):
    gated = build()
    bare = gated.bare()
    assert type(bare).__name__ == "Classifier"
    assert not any(nn.utils.parametrize.is_parametrized(module) for module in bare.modules())
    assert bare.stem.weight is gated.model.stem.weight
    assert bare.head.weight is gated.model.head.parametrizations.weight.original
    assert nn.utils.parametrize.is_parametrized(gated.model.head)


def test_the_same_seed_gives_the_same_gates_and_another_seed_others(build):
    one, same, other = build(), build(), l0.Gated(build().bare(), torch.zeros(1, 1, 6, 6), seed=1)
    assert torch.equal(one.log_odds, same.log_odds)
    assert torch.equal(one.gates.values(), same.gates.values())
    assert not torch.equal(one.gates.values(), other.gates.values())


def test_a_copy_of_a_network_whose_root_owns_a_masked_weight_is_gated_too():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(3, 6))

        def forward(self, values):
            return nn.functional.linear(nn.functional.linear(values, self.up).relu(), self.down)

    gated = l0.Gated(Own(), torch.randn(1, 5))
    assert isinstance(copy.deepcopy(gated), l0.Gated)


def test_gates_are_in_single_precision_whatever_the_default():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        gated = l0.Gated(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.zeros(1, 4))
        budget = l0.Budget(gated, params=0.5)
        budget.penalty().backward()
        budget.step()
    finally:
        torch.set_default_dtype(before)
    assert gated.log_odds.dtype == torch.float32
