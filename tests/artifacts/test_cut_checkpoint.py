"""A cut checkpoint holds exactly what the pruned network holds, bit by bit, and is written whole or not at all."""

import copy
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ellzero import Gated, cut_checkpoint, cut_module, make_plan, prune, trace
from ellzero.artifacts import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMismatchError,
    ArtifactMissingError,
    ArtifactUnsafeError,
    ArtifactUnsavedError,
    stream,
)
from ellzero.errors import SurgeryError
from ellzero.graph import Plan

INDEX = "model.safetensors.index.json"


class Mixed(nn.Module):
    """Convolutions with batch norm around a branch that may go entirely, flattened positions, tied words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.stem = nn.Conv2d(8, 6, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv2d(6, 5, 1, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 1))
        self.inner = nn.Linear(6 * 4, 9)
        self.outer = nn.Linear(9, 8)
        self.last = nn.Linear(8, 11, bias=False)
        self.last.weight = self.words.weight
        self.register_buffer("table", torch.ones(8), persistent=False)

    def forward(self, word):
        x = self.stem(self.words(word).transpose(1, 2).unflatten(2, (2, 2)))
        x = x + self.branch(x)
        return self.last(self.outer(self.inner(x.relu().flatten(1)).relu()) * self.table)


WORD = torch.zeros(1, 4, dtype=torch.long)
SHARDS = {"model-00001-of-00003.safetensors": ("words", "stem"), "model-00002-of-00003.safetensors": ("branch",),
          "model-00003-of-00003.safetensors": ("inner", "outer", "last")}  # fmt: skip


class Case:
    """A network, its twin on the meta device, and a plan that shuts half of it."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = Mixed().eval()
        for parameter in self.network.parameters():
            parameter.data.normal_()
        with torch.device("meta"):
            self.blank = Mixed()
        self.channels = trace(self.blank, WORD)
        scores = {group.name: torch.randn(group.size) for group in self.channels.gated}
        self.plan = make_plan(self.channels, params=0.5, scores=scores)

    def cut(self, source, target, **options):
        cut_checkpoint(self.blank, self.channels, self.plan, source, target, **options)

    def pruned(self):
        """The pruned network; gates that are open are exactly one, so that its weights are those of the dense one."""
        gated = Gated(copy.deepcopy(self.network), WORD)
        with torch.no_grad():
            gated.log_odds.fill_(20)
        return prune(gated, plan=self.plan)


@pytest.fixture
def case():
    return Case()


def stored(network, *, both=False):
    """What is in a checkpoint, tied words once or twice."""
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return tensors if both else {name: tensor for name, tensor in tensors.items() if name != "last.weight"}


def write_folder(folder, tensors):
    """A checkpoint as the Hugging Face libraries write it, in three files with an index."""
    folder.mkdir(parents=True)
    weight_map = {}
    for file, parts in SHARDS.items():
        mine = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in parts}
        save_file(mine, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(mine, file)
    size = sum(tensor.nbytes for tensor in tensors.values())
    params = sum(p.numel() for p in Mixed().parameters())
    about = {"total_size": size, "total_parameters": params, "made_by": "hand"}
    (folder / INDEX).write_text(json.dumps({"metadata": about, "weight_map": weight_map}))


def read_folder(folder):
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("both", [False, True])
def test_a_cut_file_is_the_state_of_the_pruned_network(tmp_path, case, both):
    save_file(stored(case.network, both=both), tmp_path / "dense.safetensors", metadata={"format": "pt", "by": "hand"})
    case.cut(tmp_path / "dense.safetensors", tmp_path / "deep" / "small.safetensors")
    small = case.pruned()
    assert sum(p.numel() for p in small.parameters()) <= 0.5 * sum(p.numel() for p in case.network.parameters())
    assert_same(load_file(tmp_path / "deep" / "small.safetensors"), stored(small, both=both))
    with safe_open(tmp_path / "deep" / "small.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "by": "hand"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["small.safetensors"]


@pytest.mark.parametrize("both", [False, True])
def test_a_cut_folder_is_the_state_of_the_pruned_network(tmp_path, case, both):
    write_folder(tmp_path / "dense", stored(case.network, both=both))
    case.cut(tmp_path / "dense", tmp_path / "small")
    small = case.pruned()
    assert_same(read_folder(tmp_path / "small"), stored(small, both=both))
    before, after = (json.loads((tmp_path / name / INDEX).read_text()) for name in ("dense", "small"))
    assert after["weight_map"] == before["weight_map"]
    assert after["metadata"] == {
        "total_size": sum(tensor.nbytes for tensor in stored(small, both=both).values()),
        "total_parameters": sum(parameter.numel() for parameter in small.parameters()),
        "made_by": "hand",
    }


def test_a_folder_with_one_file_needs_no_index(tmp_path, case):
    (tmp_path / "dense").mkdir()
    save_file(stored(case.network), tmp_path / "dense" / "model.safetensors")
    case.cut(tmp_path / "dense", tmp_path / "small")
    assert_same(load_file(tmp_path / "small" / "model.safetensors"), stored(case.pruned()))
    assert len(list((tmp_path / "small").iterdir())) == 1


def test_the_cut_module_takes_the_cut_checkpoint_and_computes_what_the_pruned_network_does(tmp_path, case):
    write_folder(tmp_path / "dense", stored(case.network, both=True))
    case.cut(tmp_path / "dense", tmp_path / "small")
    case.blank.table = torch.ones(8)  # no checkpoint holds it
    small = cut_module(case.blank, case.channels, case.plan)
    assert all(tensor.is_meta for tensor in small.state_dict().values())
    assert small.last.weight is small.words.weight
    small.load_state_dict(read_folder(tmp_path / "small"), assign=True)
    words = torch.randint(11, (5, 4))
    assert torch.equal(small.eval()(words), case.pruned().eval()(words))


def test_an_emptied_branch_leaves_no_tensor_behind(tmp_path, case):
    case.plan = Plan({"branch.0": tuple(range(5))})
    assert case.channels.group("branch.0").removable
    write_folder(tmp_path / "dense", stored(case.network))
    case.cut(tmp_path / "dense", tmp_path / "small")
    assert_same(read_folder(tmp_path / "small"), stored(case.pruned()))
    assert set(read_folder(tmp_path / "small")) & {"branch.0.weight", "branch.1.weight"} == set()


DTYPES = [
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.complex64,
    torch.bool,
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_any_dtype_are_moved_bit_by_bit(tmp_path, dtype):
    build = lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))  # noqa: E731
    channels, plan = trace(build(), torch.zeros(1, 4)), Plan({"0": (0, 3, 4)})
    dense = {name: torch.randn(tensor.shape).to(dtype) for name, tensor in build().state_dict().items()}
    save_file(dense, tmp_path / "dense.safetensors")
    cut_checkpoint(build(), channels, plan, tmp_path / "dense.safetensors", tmp_path / "small.safetensors")
    stay = torch.tensor([1, 2, 5])
    bits = lambda tensor: tensor.view(torch.uint8).reshape(*tensor.shape, -1)  # noqa: E731
    found = {name: bits(tensor) for name, tensor in load_file(tmp_path / "small.safetensors").items()}
    assert_same(found, {
        "0.weight": bits(dense["0.weight"])[stay], "0.bias": bits(dense["0.bias"])[stay],
        "2.weight": bits(dense["2.weight"])[:, stay], "2.bias": bits(dense["2.bias"]),
    })  # fmt: skip


@pytest.mark.parametrize("block", [1, 100, 1000])
def test_no_more_than_a_block_or_a_row_is_ever_read_at_once(tmp_path, case, monkeypatch, block):
    write_folder(tmp_path / "dense", stored(case.network))
    read, real = [], stream._read

    def counted(source, start, num_bytes):
        read.append(num_bytes)
        return real(source, start, num_bytes)

    monkeypatch.setattr(stream, "BLOCK", block)
    monkeypatch.setattr(stream, "_read", counted)
    case.cut(tmp_path / "dense", tmp_path / "small")
    longest = max(tensor[0].nbytes for tensor in stored(case.network).values() if tensor.dim())
    assert max(read) <= max(block, longest)
    assert sum(read) <= sum(tensor.nbytes for tensor in stored(case.network).values())
    assert_same(read_folder(tmp_path / "small"), stored(case.pruned()))


def test_names_in_the_checkpoint_may_have_a_prefix_or_lack_one(tmp_path, case):
    expected = stored(case.pruned())
    save_file(
        {f"model.{name}": tensor for name, tensor in stored(case.network).items()}, tmp_path / "longer.safetensors"
    )
    paths = tmp_path / "longer.safetensors", tmp_path / "a.safetensors"
    with pytest.raises(ArtifactMismatchError, match=r"holds 'model\..*did you mean .*rename"):
        case.cut(*paths)
    case.cut(*paths, rename="model.{}".format)
    assert_same(load_file(paths[1]), {f"model.{name}": tensor for name, tensor in expected.items()})
    short = {name.removeprefix("branch."): tensor for name, tensor in stored(case.network).items()}
    save_file(short, tmp_path / "shorter.safetensors")
    paths = tmp_path / "shorter.safetensors", tmp_path / "b.safetensors"
    case.cut(*paths, rename=lambda name: name.removeprefix("branch."))
    assert_same(load_file(paths[1]), {name.removeprefix("branch."): tensor for name, tensor in expected.items()})


def test_a_rename_that_gives_two_tensors_one_name_is_refused(tmp_path, case):
    save_file(stored(case.network), tmp_path / "dense.safetensors")
    with pytest.raises(ValueError, match="rename calls both"):
        case.cut(tmp_path / "dense.safetensors", tmp_path / "small", rename=lambda _: "x")


def test_tensors_that_the_network_does_not_have_are_copied_only_if_named(tmp_path, case):
    extra = {"rotary.inv_freq": torch.arange(3.0), "scale": torch.tensor(2.0)}
    save_file(stored(case.network) | extra, tmp_path / "dense.safetensors")
    paths = tmp_path / "dense.safetensors", tmp_path / "small.safetensors"
    with pytest.raises(ArtifactMismatchError, match=r"holds '.*', which the network does not have.*copy=\["):
        case.cut(*paths)
    case.cut(*paths, copy=["*.inv_freq", "scale"])
    assert_same(load_file(paths[1]), stored(case.pruned()) | extra)


def damage(folder, how):
    """Spoil the checkpoint in one way."""
    shard = folder / "model-00002-of-00003.safetensors"
    tensors, index = load_file(shard), json.loads((folder / INDEX).read_text())
    name = "branch.0.weight"
    match how:
        case "missing tensor":
            del tensors[name], index["weight_map"][name]
        case "misspelt":
            tensors["branch.0.wieght"] = tensors.pop(name)
            index["weight_map"]["branch.0.wieght"] = index["weight_map"].pop(name)
        case "shape":
            tensors[name] = tensors[name][1:].clone()
        case "elsewhere":
            index["weight_map"][name] = "model-00001-of-00003.safetensors"
        case "unlisted":
            del index["weight_map"][name]
        case "outside":
            index["weight_map"][name] = "../model.safetensors"
        case "no map":
            del index["weight_map"]
    save_file(tensors, shard)
    (folder / INDEX).write_text(json.dumps(index))
    if how == "missing file":
        shard.unlink()
    if how == "cut short":
        shard.write_bytes(shard.read_bytes()[:-3])
    if how == "two indices":
        (folder / "other.safetensors.index.json").write_text("{}")


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("missing tensor", ArtifactMismatchError, r"does not hold 'branch.0.weight'.*did you mean 'branch.\d.weight'"),
        ("misspelt", ArtifactMismatchError, r"'branch.0.wieght', which the network .*did you mean 'branch.0.weight'"),
        ("shape", ArtifactMismatchError, r"shape \(4, 6, 1, 1\) in the checkpoint, expected \(5, 6, 1, 1\)"),
        ("elsewhere", ArtifactDamagedError, r"places 'branch.0.weight' in 'model-00001"),
        ("unlisted", ArtifactDamagedError, r"places 'branch.0.weight' in 'no file'"),
        ("outside", ArtifactUnsafeError, r"expected one in the same folder"),
        ("no map", ArtifactDamagedError, r"no index of shards"),
        ("missing file", ArtifactMissingError, r"names the file 'model-00002-of-00003.safetensors', which is not"),
        ("cut short", ArtifactDamagedError, r"is no safetensors file"),
        ("two indices", ArtifactMissingError, r"expected one \*.safetensors.index.json"),
    ],
)
def test_an_unsound_checkpoint_is_refused_before_anything_is_written(tmp_path, case, how, error, message):
    write_folder(tmp_path / "dense", stored(case.network))
    damage(tmp_path / "dense", how)
    with pytest.raises(error, match=message):
        case.cut(tmp_path / "dense", tmp_path / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]


def test_a_tied_tensor_that_is_missing_under_all_its_names_is_refused(tmp_path, case):
    tensors = {name: tensor for name, tensor in stored(case.network).items() if name != "words.weight"}
    save_file(tensors, tmp_path / "dense.safetensors")
    with pytest.raises(ArtifactMismatchError, match=r"'words.weight' \(nor 'last.weight', tied to it\)"):
        case.cut(tmp_path / "dense.safetensors", tmp_path / "small.safetensors")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_already_is_replaced_only_on_request(tmp_path, case, kind):
    source, target = tmp_path / "dense", tmp_path / "small"
    if kind == "file":
        save_file(stored(case.network), source)
        save_file({"old": torch.ones(1)}, target)
    else:
        write_folder(source, stored(case.network))
        write_folder(target, stored(case.network))
    before = target.read_bytes() if kind == "file" else read_folder(target)
    with pytest.raises(ArtifactExistsError, match="overwrite=True"):
        case.cut(source, target)
    assert kind == "folder" or target.read_bytes() == before
    case.cut(source, target, overwrite=True)
    found = load_file(target) if kind == "file" else read_folder(target)
    assert_same(found, stored(case.pruned()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dense", "small"]


def test_a_folder_that_holds_anything_else_is_never_replaced(tmp_path, case):
    write_folder(tmp_path / "dense", stored(case.network))
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.tex").write_text("precious")
    with pytest.raises(ArtifactExistsError, match=r"thesis.tex"):
        case.cut(tmp_path / "dense", tmp_path / "small", overwrite=True)
    assert (tmp_path / "small" / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_write_that_fails_halfway_leaves_nothing_behind(tmp_path, case, kind, monkeypatch):
    source = tmp_path / "dense"
    if kind == "file":
        save_file(stored(case.network), source)
    else:
        write_folder(source, stored(case.network))
    calls, real = [], stream._read

    def full(*args):
        calls.append(args)
        if len(calls) > 4:
            raise OSError("no space left on device")
        return real(*args)

    monkeypatch.setattr(stream, "_read", full)
    with pytest.raises(ArtifactUnsavedError, match="no space left"):
        case.cut(source, tmp_path / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]


def test_source_and_target_must_differ(tmp_path, case):
    write_folder(tmp_path / "dense", stored(case.network))
    with pytest.raises(ValueError, match="are both"):
        case.cut(tmp_path / "dense", tmp_path / "x" / ".." / "dense", overwrite=True)


def test_a_plan_that_shuts_inputs_is_refused_because_a_selection_needs_numbers(tmp_path):
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    channels = trace(network, torch.zeros(1, 4), inputs=True)
    with pytest.raises(SurgeryError, match="shuts inputs or positions before '0'"):
        cut_module(network, channels, Plan({"input": (0,)}))
    assert cut_module(network, channels, Plan({"0": (0,)}))[2].in_features == 2


def test_numbers_that_share_a_byte_are_copied_but_not_cut(tmp_path):
    build = lambda: nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False))  # noqa: E731
    header = {"0.weight": {"dtype": "F4", "shape": [6, 4], "data_offsets": [0, 12]},
              "2.weight": {"dtype": "F4", "shape": [2, 6], "data_offsets": [12, 18]}}  # fmt: skip
    text, numbers = json.dumps(header).encode(), bytes(range(18))
    (tmp_path / "dense").write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    channels = trace(build(), torch.zeros(1, 4))
    with pytest.raises(ArtifactMismatchError, match=r"'0.weight' is stored as F4, several numbers to a byte"):
        cut_checkpoint(build(), channels, Plan({"0": (1,)}), tmp_path / "dense", tmp_path / "small")
    cut_checkpoint(build(), channels, Plan({}), tmp_path / "dense", tmp_path / "small")
    assert (tmp_path / "small").read_bytes().endswith(numbers)
    with safe_open(tmp_path / "small", "np") as file:
        assert file.get_slice("2.weight").get_shape() == [2, 6]
