"""`check_model`: what it says of sound networks, and that each of its checks can fail."""

import copy
import json

import pytest
import torch
from torch import Tensor, nn

import ellzero as l0
from ellzero.conformance import check, exactness, life, subject
from ellzero.errors import ConformanceError
from ellzero.gates.vector import GateVector

GRAPHS = ("export gated", "export pruned", "compile gated", "compile pruned")


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


def outcomes(found: l0.Conformance) -> dict[str, str]:
    return {one.name: one.outcome for one in found.checks}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1), nn.Conv2d(4, 6, 1)
        self.last = nn.Linear(6 * 16, 3)

    def forward(self, images: Tensor, *, scale: float = 1.0) -> dict[str, Tensor]:
        stream = self.stem(images).relu()
        return {"logits": scale * self.last((stream + self.head(self.branch(stream).relu())).flatten(1))}


def test_a_sound_network_passes_every_check():
    found = l0.check_model(Residual(), {"images": torch.zeros(2, 3, 6, 6), "scale": 0.5}, positions=True)
    assert set(outcomes(found).values()) == {"passed"}
    assert list(outcomes(found)) == ["trace", *check.CHECKS]
    assert found.ok
    found.raise_if_failed()


def test_the_table_shows_groups_reasons_and_checks():
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    text = str(found)
    assert "0             8  can be gated" in text
    assert "kept: is an output of the network" in text
    assert "3 random plans in float64: largest difference" in text
    assert text.endswith("Sequential: 8 passed, 4 skipped")


def test_the_counts_are_those_of_the_networks():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2, bias=False))
    found = l0.check_model(model, torch.zeros(1, 4), skip=GRAPHS, plans=1)
    assert found["parameters"].detail.startswith("56 before, ")
    assert found["multiply-adds"].detail.startswith("48 before, ")
    (left,) = (int(found[name].detail.split()[2]) for name in ("parameters",))
    assert left % 7 == 0  # four inputs, a bias and two outputs for every unit


def test_the_result_is_plain_data():
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["ok"] is True
    assert data["groups"][0] == {"name": "0", "size": 8, "kept": ""}
    assert data["checks"][0]["name"] == "trace"
    with pytest.raises(KeyError, match="did you mean 'pruning'"):
        found["prunning"]


def test_nothing_of_the_user_is_changed():
    model, example = mlp(), torch.randn(2, 4)
    model[1].eval()
    before, state = copy.deepcopy(model), torch.get_rng_state()
    kept = example.clone()
    l0.check_model(model, example)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(example, kept)
    assert [one.training for one in model.modules()] == [one.training for one in before.modules()]
    assert str(model) == str(before)
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.state_dict().values(), before.state_dict().values(), strict=True)
    )
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_same_seed_gives_the_same_result():
    one, other = (l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS, seed=3) for _ in range(2))
    assert [check.detail for check in one.checks] == [check.detail for check in other.checks]


def test_a_network_with_nothing_to_gate_is_fine_and_says_why():
    found = l0.check_model(nn.Linear(4, 2), torch.zeros(1, 4))
    assert found.ok
    assert found["trace"].detail == "0 gates; groups: 0 gated, 2 kept"
    assert found["pruning"].outcome == "skipped"
    assert found["pruning"].detail == "there is nothing to gate"


def test_a_network_that_does_not_run_fails_the_first_check():
    found = l0.check_model(mlp(), torch.zeros(2, 5))
    assert outcomes(found) == {"trace": "failed"} | dict.fromkeys(check.CHECKS, "skipped")
    with pytest.raises(ConformanceError, match=r"1 of 12 checks of Sequential failed: trace: .* failed in '0'"):
        found.raise_if_failed()


def test_an_example_of_another_dtype_fails_the_first_check():
    found = l0.check_model(mlp(), torch.zeros(2, 4, dtype=torch.float16))
    assert found["trace"].outcome == "failed"
    assert "failed in '0'" in found["trace"].detail
    assert "at aten.addmm: it was given float32 and float16" in found["trace"].detail


def test_an_index_that_only_real_numbers_refuse_fails_the_first_check():
    network = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    found = l0.check_model(network, torch.tensor([[0, 3]]))
    assert found["trace"].outcome == "failed"
    assert "does not run on the example" in found["trace"].detail
    assert "(in '0')" in found["trace"].detail


def test_a_network_without_numbers_is_traced_only():
    found = l0.check_model(mlp().to("meta"), torch.zeros(2, 4, device="meta"))
    assert found["trace"].outcome == "passed"
    assert found["pruning"].detail == "the network is on the meta device and so has no numbers"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"skip": ["prunning"]}, ValueError, "did you mean 'pruning'"),
        ({"skip": "pruning"}, ValueError, r"write skip=\['pruning'\]"),
        ({"plans": 0}, ValueError, "at least one random plan is needed, got plans=0"),
        ({"keep": ["7"]}, ValueError, "keep names '7'"),
    ],
)
def test_wrong_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        l0.check_model(mlp(), torch.zeros(2, 4), **settings)


def test_something_else_than_a_network_is_refused():
    with pytest.raises(TypeError, match=r"expected a network to check, an nn\.Module, got builtin"):
        l0.check_model(torch.relu, torch.zeros(1))


class InFloat32(nn.Module):
    """Insists on a precision of its own, as many norms do."""

    def forward(self, values: Tensor) -> Tensor:
        return values.float().tanh().to(values.dtype)


def test_a_network_that_computes_in_its_own_precision_is_held_to_that():
    model = nn.Sequential(nn.Linear(4, 8), InFloat32(), nn.Linear(8, 2))
    found = l0.check_model(model, torch.zeros(1, 4), skip=GRAPHS)
    assert found.ok
    assert "in the network's own precision" in found["pruning"].detail


class Breaking(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return values


def test_what_the_network_itself_cannot_do_is_skipped_with_the_reason():
    model = nn.Sequential(nn.Linear(4, 8), Breaking(), nn.Linear(8, 2))
    found = l0.check_model(model, torch.zeros(1, 4), skip=["export gated", "export pruned"])
    assert found["compile gated"].outcome == found["compile pruned"].outcome == "skipped"
    assert found["compile gated"].detail.startswith("the network itself does not compile into one graph: ")


class Numbers(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.argmax(1)


def test_outputs_that_cannot_be_differentiated_are_not_trained():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2), Numbers())
    found = l0.check_model(model, torch.zeros(1, 4), skip=GRAPHS)
    assert found["gated training step"].detail == "no output can be differentiated"
    assert found["pruning"].outcome == "passed"


class Baked(nn.Module):
    """Its forward pass writes out the width of its hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 12), nn.Linear(12, 2)

    def forward(self, values: Tensor) -> Tensor:
        return self.two(self.one(values).relu().view(-1, 3, 4).transpose(1, 2).reshape(-1, 12))


def test_sizes_that_the_forward_pass_fixes_are_checked_as_exported_graphs():
    assert l0.check_model(Baked(), torch.randn(2, 4)).channels.num_gates == 0
    found = l0.check_model(Baked(), torch.randn(2, 4), exported=True)
    assert set(outcomes(found).values()) == {"passed"}
    assert found["trace"].detail == "3 gates; groups: 1 gated, 2 kept; cut as exported graphs"
    assert found["parameters"].detail.startswith("86 before, ")


class Branching(Baked):
    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values if values.sum() > 0 else -values)


def test_a_network_that_cannot_be_exported_fails_the_first_check_and_says_so():
    found = l0.check_model(Branching(), torch.randn(2, 4), exported=True)
    assert outcomes(found) == {"trace": "failed"} | dict.fromkeys(check.CHECKS, "skipped")
    assert "cannot be exported" in found["trace"].detail
    assert "trace without exported=True" in found["trace"].detail


# --- each check fails where the promise is broken ---


def test_an_output_that_differs_by_little_is_found(monkeypatch):
    def spoiled(*args, **kwargs):
        small = l0.prune(*args, **kwargs)
        with torch.no_grad():
            small[-1].bias.add_(1e-8)
        return small

    monkeypatch.setattr(subject, "prune", spoiled)
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    assert [one.name for one in found.failed] == ["pruning"]
    assert "the outputs differ by 1e-08, more than the 1e-10 that rounding explains" in found["pruning"].detail


def test_a_network_that_cannot_be_cut_fails_once(monkeypatch):
    def refused(*args, **kwargs):
        raise l0.errors.SurgeryError("no")

    monkeypatch.setattr(subject, "prune", refused)
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    assert [(one.name, one.detail) for one in found.failed] == [("pruning", "no")]
    assert found["save and load"].detail == "the network could not be cut"


@pytest.mark.parametrize(("kind", "name"), [("params", "parameters"), ("macs", "multiply-adds")])
def test_a_cost_that_is_one_off_is_found(monkeypatch, kind, name):
    exact = exactness.Costs.exact

    def one_more(self, is_open):
        return [size + (self.targets[0].kind == kind) for size in exact(self, is_open)]

    monkeypatch.setattr(exactness.Costs, "exact", one_more)
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    assert [one.name for one in found.failed] == [name]
    assert "were counted, but the cost says" in found[name].detail


def test_a_file_that_is_not_what_was_saved_is_found(monkeypatch):
    def worn(folder, build):
        small = l0.load(folder, build)
        with torch.no_grad():
            small[-1].bias.mul_(1 + 2e-7)
        return small

    monkeypatch.setattr(life, "load", worn)
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    assert [one.name for one in found.failed] == ["save and load"]
    assert "1 of 11 stored tensors differ, the first is '5.bias'" in found["save and load"].detail


def test_a_graph_that_is_not_what_was_saved_is_found(monkeypatch):
    read = torch.export.load

    def worn(path):
        program = read(path)
        program.state_dict["two.bias"].data.mul_(1 + 2e-7)
        return program

    monkeypatch.setattr(torch.export, "load", worn)
    found = l0.check_model(Baked(), torch.randn(2, 4), exported=True, skip=GRAPHS, plans=1)
    assert [one.name for one in found.failed] == ["save and load"]
    assert "1 of 4 stored tensors differ, the first is 'two.bias'" in found["save and load"].detail


def test_gates_without_a_gradient_are_found(monkeypatch):
    values = GateVector.values
    monkeypatch.setattr(GateVector, "values", lambda self: values(self).detach())
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=GRAPHS)
    assert [(one.name, one.detail) for one in found.failed] == [
        ("gated training step", "no gradient reaches the gates")
    ]


def test_gates_that_are_not_the_identity_when_open_are_found(monkeypatch):
    values = GateVector.values
    monkeypatch.setattr(GateVector, "values", lambda self: values(self) * 1.01)
    found = l0.check_model(mlp(), torch.randn(2, 4), skip=GRAPHS)
    assert found["open gates"].outcome == "failed"


def test_a_graph_that_gates_break_is_found(monkeypatch):
    draw = GateVector.draw

    def broken(self, *args):
        torch._dynamo.graph_break()
        return draw(self, *args)

    monkeypatch.setattr(GateVector, "draw", broken)
    found = l0.check_model(mlp(), torch.zeros(2, 4), skip=["export gated", "export pruned"])
    assert [one.name for one in found.failed] == ["compile gated"]


class Inward(nn.Module):
    """Adds zero, whose gradient is not finite."""

    def forward(self, values: Tensor) -> Tensor:
        return values + (values - values).abs().sqrt()


def test_a_gradient_that_cutting_makes_infinite_is_found(monkeypatch):
    def spoiled(*args, **kwargs):
        small = l0.prune(*args, **kwargs)
        small[2] = nn.Sequential(nn.ReLU(), Inward())
        return small

    monkeypatch.setattr(subject, "prune", spoiled)
    found = l0.check_model(mlp(), torch.randn(2, 4), skip=GRAPHS)
    assert "pruned training step" in [one.name for one in found.failed]
    assert found["pruned training step"].detail == "the gradient of '0.weight' is NaN or infinite"


def test_a_gradient_that_was_never_finite_is_not_held_against_the_cut():
    model = nn.Sequential(nn.Linear(4, 8), Inward(), nn.Linear(8, 2))
    found = l0.check_model(model, torch.ones(1, 4), skip=GRAPHS)
    assert found["pruned training step"].outcome == "skipped"
    assert found["pruned training step"].detail.startswith(
        "the network itself cannot be trained on the example: the gra"
    )
