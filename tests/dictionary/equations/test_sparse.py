"""`SparseDictionary`: terms are channels; budgets in numbers of terms, surgery, refit, files, compile and export."""

import copy

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.dictionary import Output, SparseDictionary, fourier, polish, polynomial
from ellzero.errors import NonFiniteError


def samples(num=400):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, generator=generator, dtype=torch.float64) * torch.tensor([8.0, 9, 8]) + 1


def lorenz(x):
    a, b, c = x.T
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)


def build(per_output=False, output=None):
    model = SparseDictionary(
        polynomial("x y z", 2), 3, per_output=per_output, output=output, targets=["x'", "y'", "z'"]
    )
    return model.double()


def filled(per_output=False, output=None):
    model = build(per_output, output)
    with torch.no_grad():
        model.coefficients.copy_(torch.randn(model.coefficients.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.mark.parametrize("per_output", [False, True])
def test_the_outputs_are_sums_of_terms(per_output):
    model, x = filled(per_output), samples(20)
    expected = model.dictionary(x) @ model.matrix().T
    assert torch.allclose(model(x), expected, rtol=1e-14)
    assert model.matrix().reshape(-1).tolist() == model.coefficients.reshape(-1).tolist()


def test_one_gate_per_term_is_found():
    channels = l0.Gated(filled(), samples(4)).channels
    (group,) = channels.gated
    assert (group.name, group.size, group.readers) == ("dictionary", 10, ["coefficients"])


def test_one_gate_per_coefficient_is_found_when_asked_for():
    channels = l0.Gated(filled(per_output=True), samples(4)).channels
    (group,) = channels.gated
    assert (group.size, group.readers) == (30, ["coefficients"])


@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize("output", [None, "tanh", Output("clip", low=-3, high=3), ["tanh", "identity", "sin"]])
def test_pruning_leaves_fewer_terms_and_the_same_outputs(per_output, output):
    x = samples(50)
    gated = l0.Gated(filled(per_output, output), x)
    (group,) = gated.channels.gated
    plan = l0.Plan({group.name: tuple(i for i in range(group.size) if i % 10 not in (1, 2, 6))})
    small = l0.prune(gated, plan=plan)
    assert small.dictionary.names == ("x", "y", "x z")[: len(small.dictionary)] or per_output
    assert small.num_terms == (9 if per_output else 3)
    gated.eval()
    with gated.planned(plan):
        assert torch.allclose(gated(x), small(x), rtol=1e-12, atol=1e-12)


def test_unused_terms_leave_the_dictionary_when_single_coefficients_are_cut():
    gated = l0.Gated(filled(per_output=True), samples(4))
    (group,) = gated.channels.gated
    small = l0.prune(gated, plan=l0.Plan({group.name: tuple(i for i in range(30) if i not in (1, 12, 22))}))
    assert small.dictionary.names == ("x", "y")
    assert small.support.tolist() == [[True, False], [False, True], [False, True]]
    again = l0.prune(l0.Gated(small, samples(4)), plan=l0.Plan({group.name: (0, 1)}))
    assert (again.dictionary.names, again.num_terms) == (("y",), 1)


def test_all_coefficients_may_go():
    gated = l0.Gated(filled(per_output=True), samples(4))
    (group,) = gated.channels.gated
    small = l0.prune(gated, plan=l0.Plan({group.name: tuple(range(30))}))
    assert small.num_terms == 0
    assert not small(samples(4)).any()


@pytest.mark.parametrize(("per_output", "terms"), [(False, 5), (True, 7)])
def test_a_budget_of_terms_is_kept_and_finds_a_simple_law(per_output, terms):
    torch.manual_seed(0)
    x = samples(2000).float()
    x, y = (
        x / 8,
        torch.stack([x[:, 1] - x[:, 0], x[:, 0] * x[:, 2] / 8 - x[:, 1], x[:, 0] * x[:, 1] / 8 - x[:, 2]], -1) / 8,
    )
    model = build(per_output).float()
    model.normalise(x)
    gated = l0.Gated(model, x[:4])
    budget = l0.Budget(gated, terms=terms, steps=800)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=0.03, gate_lr=0.03))
    for step in range(800):
        batch = slice(250 * (step % 8), 250 * (step % 8) + 250)
        loss = (gated(x[batch]) - y[batch]).square().mean() + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    small = l0.prune(gated, budget)
    assert small.num_terms <= terms
    small.refit(x, y)
    assert set(small.dictionary.names) <= {"x", "y", "z", "x y", "x z"}
    assert (small(x) - y).abs().max() < 1e-4


@pytest.mark.parametrize(("terms", "message"), [(0, "whole number"), (0.5, "whole number"), (11, "there are 10")])
def test_a_number_of_terms_that_means_nothing_is_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        l0.Budget(l0.Gated(filled(), samples(4)), terms=terms)


def test_networks_without_terms_refuse_a_budget_of_terms():
    gated = l0.Gated(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="is a candidate term"):
        l0.Budget(gated, terms=2)


def test_a_plan_for_a_number_of_terms_is_made_without_training():
    channels = l0.trace(filled(), samples(4))
    plan = l0.make_plan(channels, terms=4, scores={"dictionary": torch.arange(10.0)})
    assert plan == l0.Plan({"dictionary": (0, 1, 2, 3, 4, 5)})


def test_a_penalty_has_a_price_for_each_term():
    gated = l0.Gated(filled(), samples(4))
    penalty = l0.Penalty(gated, terms=0.5)
    assert penalty.penalty().item() == pytest.approx(0.5 * gated.prob_open().sum().item())


def test_normalising_changes_nothing_but_the_scales():
    for per_output in (False, True):
        model, x = filled(per_output), samples()
        before, equations = model(x), model.equations()
        model.normalise(x)
        assert torch.allclose(model(x), before, rtol=1e-12)
        rms = (model.dictionary(x) * model.scales).square().mean(0).sqrt()
        assert torch.allclose(rms, torch.ones_like(rms))
        assert torch.allclose(torch.tensor(model.equations().coefficients), torch.tensor(equations.coefficients))


@pytest.mark.parametrize("per_output", [False, True])
def test_refitting_finds_the_law_on_the_support(per_output):
    model, x = build(per_output), samples()
    model.normalise(x)
    model.refit(x, lorenz(x))
    equations = model.equations()
    assert equations.rounded(6).trimmed().text(6).splitlines()[0].startswith("x' =")
    assert torch.allclose(model(x), lorenz(x), rtol=1e-9, atol=1e-9)


def test_refitting_under_a_clip_leaves_saturated_samples_out():
    x = samples()
    model = SparseDictionary(polynomial("x y z", 1), 1, output=Output("clip", scale=2.0, low=-4, high=4)).double()
    target = 2 * (1.5 * x[:, :1] - x[:, 1:2]).clamp(-4, 4)
    model.refit(x, target)
    assert torch.allclose(model.coefficients, torch.tensor([[0, 1.5, -1, 0]]).double(), atol=1e-10)


def test_what_cannot_be_refitted_is_refused():
    x = samples(8)
    with pytest.raises(ValueError, match="8 samples cannot tell 10 terms apart"):
        build().refit(x, lorenz(x))
    with pytest.raises(ValueError, match="bends the sum"):
        build(output="tanh").refit(samples(), lorenz(samples()))
    with pytest.raises(ValueError, match="the targets have shape"):
        build().refit(samples(), lorenz(samples())[:, :2])
    with pytest.raises(NonFiniteError, match="1200 targets"):
        build().refit(samples(), lorenz(samples()) * float("nan"))
    circle = torch.linspace(0, 6, 50, dtype=torch.float64)
    circle = torch.stack([circle.cos(), circle.sin()], -1)
    with pytest.raises(ValueError, match=r"'1', 'x\^2', 'y\^2' cannot be told apart"):
        SparseDictionary(polynomial("x y", 2), 1).double().refit(circle, circle[:, :1])


def test_the_head_of_a_network_is_gated_with_the_rest_of_it():
    torch.manual_seed(0)
    head = SparseDictionary(polynomial(2, 2), 1)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2), head)
    with torch.no_grad():
        head.coefficients.normal_()
    gated = l0.Gated(net.double(), torch.randn(5, 4, dtype=torch.float64))
    assert {group.name: group.size for group in gated.channels.gated} == {"0": 6, "3.dictionary": 6}
    small = l0.prune(gated, plan=l0.Plan({"0": (1, 2), "3.dictionary": (0, 3)}))
    assert (small[0].out_features, len(small[3].dictionary)) == (4, 4)


def test_outputs_that_are_read_further_on_can_be_cut():
    torch.manual_seed(0)
    first = filled(output=["tanh"] * 3)
    net = nn.Sequential(first, nn.Linear(3, 2).double())
    gated = l0.Gated(net, samples(5))
    small = l0.prune(gated, plan=l0.Plan({"0": (1,)}))
    assert small[0].targets == ("x'", "z'")
    assert small[0].num_outputs == len(small[0].outputs) == 2


class Actor(nn.Module):
    """A mean action within limits, and a spread that does not depend on the state."""

    def __init__(self):
        super().__init__()
        self.mean = SparseDictionary(fourier("angle", 2) + polynomial("angle speed", 3), 1, output=Output("tanh", 2.0))
        self.log_std = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.mean.coefficients)

    def forward(self, state):
        mean = self.mean(state)
        return mean, self.log_std.exp().expand_as(mean)


def test_the_actor_of_a_policy_is_gated_and_printed():
    torch.manual_seed(0)
    actor = Actor()
    gated = l0.Gated(actor, torch.randn(3, 2))
    budget = l0.Budget(gated, terms=4)
    small = l0.prune(gated, budget)
    assert small.mean.num_terms == 4
    assert str(small.mean.equations()).startswith("y0 = 2 tanh(")


@pytest.mark.parametrize("per_output", [False, True])
def test_a_pruned_model_is_saved_and_loaded(per_output, tmp_path):
    x = samples(20)
    model = filled(per_output)
    model.normalise(x)
    gated = l0.Gated(model, x)
    (group,) = gated.channels.gated
    small = l0.prune(gated, plan=l0.Plan({group.name: (0, 4, 9)}))
    l0.save(small, tmp_path / "small")
    again = l0.load(tmp_path / "small", lambda: build(per_output))
    assert torch.equal(again(x), small(x))
    assert again.dictionary.names == small.dictionary.names
    assert str(again.equations()) == str(small.equations())


@pytest.mark.parametrize("per_output", [False, True])
def test_it_compiles_and_exports(per_output):
    model, x = filled(per_output), samples(20)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), model(x))
    program = torch.export.export(model, (x,))
    assert torch.allclose(program.module()(x), model(x))


def test_a_gated_model_compiles_and_trains():
    model, x = filled(), samples(20)
    gated = l0.Gated(model, x)
    compiled = torch.compile(gated, fullgraph=True, backend="aot_eager")
    compiled(x).square().mean().backward()
    assert gated.log_odds.grad.abs().sum() > 0


def test_a_copy_shares_nothing():
    model = filled()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.coefficients.zero_()
    assert model(samples(4)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_outputs": 0}, "num_outputs"),
        ({"num_outputs": 2, "targets": ["a"]}, "1 names for 2 outputs"),
        ({"num_outputs": 2, "output": ["tanh"]}, "1 output functions for 2"),
        ({"num_outputs": 1, "output": "tan_h"}, "did you mean 'tanh'"),
        ({"num_outputs": 1, "output": "clip"}, "needs low < high"),
    ],
)
def test_a_layer_that_means_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseDictionary(polynomial("x", 2), **arguments)


def test_gated_coefficients_are_not_set_in_vain():
    model = SparseDictionary(polynomial("x y", 2), 1)
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    l0.Gated(model, points[:1])
    with pytest.raises(ValueError, match="after prune"):
        model.refit(points, points[:, :1])


def test_gates_and_the_exact_stage_find_lorenz_with_coefficients_of_all_sizes():
    generator = torch.Generator().manual_seed(0)
    x = 1.2 * torch.randn(1000, 3, generator=generator)
    a, b, c = x.unbind(1)
    y = torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)
    y = y + 0.1 * torch.randn(1000, 3, generator=generator)
    torch.manual_seed(0)
    model = SparseDictionary(polynomial("x y z", 3), 3, per_output=True)
    model.normalise(x)
    model.refit(x, y)
    gated = l0.Gated(model, x[:1])
    budget = l0.Budget(gated, terms=7, steps=1000)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=0.03, gate_lr=0.03))
    for _ in range(1000):
        loss = (gated(x) - y).square().mean() + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    small = l0.prune(gated, budget)
    found = polish(small, x, y, model.dictionary)
    assert found.equations().text(1) == "y0 = -1e+01 x + 1e+01 y\ny1 = 3e+01 x - y - x z\ny2 = -3 z + x y"


def test_single_precision_hides_no_dependence_of_the_terms():
    angle = 6.3 * torch.rand(500, generator=torch.Generator().manual_seed(0))
    measured = torch.stack([angle.cos(), angle.sin()], -1)  # c^2 + s^2 is 1 but for rounding errors
    model = SparseDictionary(polynomial("c s", 2), 1)
    with pytest.raises(ValueError, match=r"'1', 'c\^2', 's\^2' cannot be told apart"):
        model.refit(measured, measured[:, 1:])
    model = SparseDictionary(polynomial("c s", 2).without(["s^2"]), 1)
    model.refit(measured, measured[:, 1:])
    expected = torch.tensor([[0.0, 0, 1, 0, 0]])  # of 1, c, s, c^2, c s
    torch.testing.assert_close(model.coefficients.detach(), expected, atol=1e-6, rtol=0)


def test_two_layers_of_one_dictionary_live_on_devices_of_their_own():
    terms = polynomial("x y z", 2)
    first, second = SparseDictionary(terms, 1), SparseDictionary(terms, 1)
    first.to("meta")
    assert second.dictionary.order.device.type == terms.order.device.type == "cpu"
    assert first.dictionary.order.device.type == "meta"
