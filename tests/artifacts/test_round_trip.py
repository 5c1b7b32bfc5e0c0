"""What is loaded is what was saved: outputs, dtypes, ties, gradients, and every byte when saved again."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ellzero.artifacts
from ellzero.artifacts import ArtifactMismatchError, ArtifactUnsavedError, load, save
from ellzero.errors import SurgeryError
from ellzero.gates import Gated
from ellzero.graph import NoChannels, OnlyBias, Plan, Select, structure_of
from ellzero.surgery import prune


class Residual(nn.Module):
    """Convolutions with batch norm around a branch that may go entirely, and flattened positions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1)
        )
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, value: Tensor) -> Tensor:
        value = self.stem(value)
        return self.head((value + self.norm(self.branch(value))).relu().flatten(1))


class Tied(nn.Module):
    """An embedding that is also the last layer."""

    def __init__(self, *, is_tied: bool = True) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.inner = nn.Linear(8, 6)
        self.outer = nn.Linear(6, 8, bias=False)
        self.last = nn.Linear(8, 11)
        if is_tied:
            self.last.weight = self.words.weight

    def forward(self, word: Tensor) -> Tensor:
        return self.last(self.outer(self.inner(self.words(word)).tanh()))


class Heads(nn.Module):
    """Two layers that share a weight, but not a bias, read the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.two.weight = self.one.weight

    def forward(self, value: Tensor) -> Tensor:
        value = self.body(value).relu()
        return self.one(value) - self.two(value.square())


class Scaled(nn.Module):
    """Holds one buffer that is stored and one that is not."""

    scale: Tensor
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 2)
        self.register_buffer("scale", torch.tensor([0.1, 0.7]), persistent=False)
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, value: Tensor) -> Tensor:
        return self.two(self.one(value).relu()) * self.scale


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


IMAGE = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
VECTOR = torch.linspace(-1, 1, 20).view(5, 4)
WORDS = torch.tensor([[1, 5, 10]])
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, dict[str, bool], dict[str, tuple[int, ...]]]] = {
    "nothing shut": (mlp, VECTOR, {}, {}),
    "multilayer perceptron": (mlp, VECTOR, {}, {"0": (1, 4)}),
    "inputs selected": (mlp, VECTOR, {"inputs": True}, {"0": (1, 4), "input": (0, 3)}),
    "one layer, inputs selected": (lambda: nn.Linear(4, 3), VECTOR, {"inputs": True}, {"input": (2,)}),
    "convolutions with batch norm": (Residual, IMAGE, {}, {"stem": (0, 7), "branch.0": (2,)}),
    "an emptied branch": (Residual, IMAGE, {}, {"stem": (3,), "branch.0": tuple(range(6))}),
    "positions selected": (Residual, IMAGE, {"positions": True}, {"stem": (3,), "head inputs": (0, 5, 100)}),
    "tied weights": (Tied, WORDS, {}, {"inner": (0, 5)}),
    "two readers with one weight": (Heads, VECTOR, {}, {"body": (0, 3)}),
    "buffers": (Scaled, VECTOR, {}, {"one": (4,)}),
}


def pruned(name: str) -> tuple[nn.Module, Callable[[], nn.Module], Tensor]:
    """A case's cut network with statistics unlike those of a fresh one."""
    build, example, options, shut = CASES[name]
    torch.manual_seed(1)
    gated = Gated(build(), example, **options)
    for module in gated.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight)
    return prune(gated, plan=Plan(shut)).eval(), build, example


@pytest.mark.parametrize("name", CASES)
def test_the_loaded_network_computes_the_same_bits(tmp_path: Path, name: str):
    small, build, example = pruned(name)
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build).eval()
    assert torch.equal(again(example), small(example))
    assert structure_of(again) == structure_of(small)
    assert str(again) == str(small)


@pytest.mark.parametrize("name", CASES)
def test_saving_what_was_loaded_writes_the_same_bytes(tmp_path: Path, name: str):
    small, build, _ = pruned(name)
    save(small, tmp_path / "one")
    save(load(tmp_path / "one", build), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_the_cases_contain_every_stand_in():
    kinds = {type(module) for name in CASES for module in pruned(name)[0].modules()}
    assert kinds >= {Select, NoChannels, OnlyBias, nn.Identity}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["convolutions with batch norm", "inputs selected", "buffers"])
def test_the_dtype_is_that_of_the_saved_network(tmp_path: Path, name: str, dtype: torch.dtype):
    small, build, example = pruned(name)
    small, example = small.to(dtype), example.to(dtype)
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build).eval()
    assert [tensor.dtype for tensor in again.state_dict().values()] == [t.dtype for t in small.state_dict().values()]
    assert torch.equal(again(example), small(example))


def test_integer_buffers_are_stored_and_others_made_anew(tmp_path: Path):
    small, build, _ = pruned("buffers")
    small.get_buffer("steps").fill_(2**40 + 1)
    small.get_buffer("scale").fill_(9.0)
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build)
    assert again.get_buffer("steps").item() == 2**40 + 1
    assert torch.equal(again.get_buffer("scale"), build().get_buffer("scale"))


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path: Path):
    small, build, _ = pruned("tied weights")
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build)
    assert again.get_parameter("last.weight") is again.get_parameter("words.weight")
    numbers = sum(parameter.numel() for parameter in small.parameters())
    header = int.from_bytes((tmp_path / "artifact/weights.safetensors").read_bytes()[:8], "little")
    assert (tmp_path / "artifact/weights.safetensors").stat().st_size == 8 + header + 4 * numbers


def test_a_build_function_that_does_not_tie_is_refused(tmp_path: Path):
    small, _, _ = pruned("tied weights")
    save(small, tmp_path / "artifact")
    with pytest.raises(ArtifactMismatchError, match=r"'last.weight' not tied, expected it tied to 'words.weight'"):
        load(tmp_path / "artifact", lambda: Tied(is_tied=False))


def test_a_build_function_that_ties_what_was_not_tied_is_refused(tmp_path: Path):
    torch.manual_seed(0)
    save(prune(Gated(Tied(is_tied=False), WORDS), plan=Plan({"inner": (1,)})), tmp_path / "artifact")
    with pytest.raises(ArtifactMismatchError, match="expected it not tied"):
        load(tmp_path / "artifact", Tied)


def test_frozen_parameters_stay_frozen_and_others_learn(tmp_path: Path):
    small, build, _ = pruned("convolutions with batch norm")
    small.get_parameter("stem.weight").requires_grad_(False)
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build)
    assert {n: p.requires_grad for n, p in again.named_parameters()} == {
        n: p.requires_grad for n, p in small.named_parameters()
    }
    again(IMAGE).sum().backward()
    assert again.get_parameter("stem.weight").grad is None
    assert again.get_parameter("head.weight").grad is not None


def test_training_flags_are_those_of_the_build_function(tmp_path: Path):
    small, build, _ = pruned("inputs selected")
    save(small.eval(), tmp_path / "artifact")
    assert all(module.training for module in load(tmp_path / "artifact", build).modules())
    assert not any(module.training for module in load(tmp_path / "artifact", lambda: build().eval()).modules())


def test_weights_of_any_memory_layout_are_stored(tmp_path: Path):
    small, build, example = pruned("multilayer perceptron")
    first, last = small.get_parameter("0.weight"), small.get_parameter("2.weight")
    first.data = first.data.T.contiguous().T
    last.data = torch.cat([last.data, last.data], 1)[:, : last.shape[1]]
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build)
    assert torch.equal(again.get_parameter("0.weight"), first)
    assert torch.equal(again.get_parameter("2.weight"), last)
    torch.testing.assert_close(again(example), small(example), rtol=1e-6, atol=1e-6)


def test_views_of_one_storage_are_stored_each(tmp_path: Path):
    small, build, _ = pruned("multilayer perceptron")
    common = torch.randn(7)
    small.get_parameter("0.bias").data, small.get_parameter("2.bias").data = common[:4], common[4:]
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build)
    assert torch.equal(torch.cat([again.get_parameter("0.bias"), again.get_parameter("2.bias")]), common)


def test_saving_changes_nothing_in_the_network(tmp_path: Path):
    small, _, _ = pruned("tied weights")
    before = {name: (id(tensor), tensor.clone()) for name, tensor in small.state_dict(keep_vars=True).items()}
    save(small, tmp_path / "artifact")
    for name, tensor in small.state_dict(keep_vars=True).items():
        assert id(tensor) == before[name][0]
        assert torch.equal(tensor, before[name][1])


def test_loading_leaves_the_random_numbers_alone(tmp_path: Path):
    small, build, _ = pruned("multilayer perceptron")
    save(small, tmp_path / "artifact")
    before = torch.random.get_rng_state()
    load(tmp_path / "artifact", build)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_built_network_is_left_alone(tmp_path: Path):
    small, build, _ = pruned("multilayer perceptron")
    save(small, tmp_path / "artifact")
    dense = build()
    before = copy.deepcopy(dense.state_dict())
    load(tmp_path / "artifact", lambda: dense)
    assert all(torch.equal(tensor, before[name]) for name, tensor in dense.state_dict().items())


def test_the_network_goes_where_it_is_told(tmp_path: Path):
    small, build, _ = pruned("buffers")
    save(small, tmp_path / "artifact")
    again = load(tmp_path / "artifact", build, device="meta")
    assert {tensor.device.type for tensor in [*again.parameters(), *again.buffers()]} == {"meta"}


def test_a_network_pruned_twice_is_built_by_loading_the_first(tmp_path: Path):
    small, build, example = pruned("multilayer perceptron")
    save(small, tmp_path / "first")
    smaller = prune(Gated(load(tmp_path / "first", build), example), plan=Plan({"0": (0,)})).eval()
    save(smaller, tmp_path / "second")
    again = load(tmp_path / "second", lambda: load(tmp_path / "first", build)).eval()
    assert torch.equal(again(example), smaller(example))


def test_a_compiled_network_is_saved_as_itself(tmp_path: Path):
    small, build, example = pruned("multilayer perceptron")
    save(torch.compile(small, backend="eager"), tmp_path / "artifact")
    assert torch.equal(load(tmp_path / "artifact", build)(example), small(example))


def test_a_network_that_was_not_pruned_is_refused(tmp_path: Path):
    small, build, example = pruned("multilayer perceptron")
    for model in (build(), Gated(small, example), nn.Sequential(small)):
        with pytest.raises(SurgeryError, match="was not pruned"):
            save(model, tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


class Extra(nn.Linear):
    """Has a state that is no tensor."""

    def get_extra_state(self) -> object:
        return {"calls": 3}

    def set_extra_state(self, state: object) -> None:
        del state


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda small: setattr(small, "2", Extra(4, 3)), "extra state"),
        (lambda small: small.to("meta"), "meta device"),
        (lambda small: setattr(small[0], "weight", nn.Parameter(torch.eye(4).to_sparse())), "sparse"),
        (lambda small: small.register_buffer("phase", torch.zeros(2, dtype=torch.complex128)), "cannot write"),
    ],
)
def test_what_is_no_plain_tensor_is_refused_and_nothing_is_left(tmp_path: Path, spoil, match: str):
    small, _, _ = pruned("multilayer perceptron")
    spoil(small)
    with pytest.raises(ArtifactUnsavedError, match=match):
        save(small, tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_no_file_of_the_room_knows_pickle():
    for path in Path(ellzero.artifacts.__file__).parent.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not [word for word in ("import pickle", "torch.load", "torch.save", "eval(", "exec(") if word in code]


def test_saving_and_loading_never_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small, build, example = pruned("an emptied branch")

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something was pickled")

    for name in ("Pickler", "Unpickler", "dump", "dumps", "load", "loads", "_Pickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    save(small, tmp_path / "artifact")
    assert torch.equal(load(tmp_path / "artifact", build).eval()(example), small(example))
