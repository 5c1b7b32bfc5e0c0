"""A build function that gives another network is found out, and the first difference is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ellzero.artifacts import ArtifactMismatchError, cut_checkpoint, load, save
from ellzero.errors import ArtifactError
from ellzero.gates import Gated
from ellzero.graph import FollowsCut, Plan, trace
from ellzero.surgery import prune


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


def fail() -> nn.Module:
    raise RuntimeError("no such width")


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (fail, "raised RuntimeError: no such width"),
        (lambda: None, "returned a NoneType, expected an nn.Module"),
        (lambda: nn.Linear, "returned a type, expected an nn.Module"),
        (chain(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), r"'2.weight' of shape \(2, 6\), expected \(3, 6\)"),
        (chain(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), r"'0.weight' of shape \(4, 4\), expected \(6, 4\)"),
        (chain(nn.Linear(4, 6), nn.Linear(6, 3)), r"no tensor '2.weight', expected one of shape \(3, 6\)"),
        (chain(), "no tensor '0.weight'"),
        (chain(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), "'1' as Tanh, expected ReLU"),
        (chain(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU()), "the layer '3' .*, expected none"),
        (chain(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.Linear(3, 3)), "the tensor '3.bias' .*, expected none"),
        (chain(nn.LazyLinear(6), nn.ReLU(), nn.Linear(6, 3)), "'0.bias' without numbers .lazy."),
        (lambda: chain(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))().to("meta"), "without numbers .meta device."),
    ],
)
def test_another_network_is_refused(folder: Path, build: Callable[[], nn.Module], match: str):
    with pytest.raises(ArtifactMismatchError, match=match):
        load(folder, build)


def test_a_missing_tensor_comes_with_the_nearest_name(folder: Path):
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))

    with pytest.raises(ArtifactMismatchError, match=r"right build function\? \(.*layers.0.weight"):
        load(folder, Named)


@pytest.mark.parametrize("wrong", [nn.ReLU(), "LeNet", None])
def test_what_is_no_function_is_refused(folder: Path, wrong: object):
    with pytest.raises(TypeError, match="expected a function without arguments"):
        load(folder, wrong)


class Attentive(nn.Module):
    """Attention whose number of heads, and a convolution whose padding, shows in no shape."""

    def __init__(self, *, heads: int = 2, negative_slope: float = 0.1, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, heads, dropout=dropout, batch_first=True)
        self.inner, self.act, self.outer = nn.Linear(8, 6), nn.LeakyReLU(negative_slope), nn.Linear(6, 2)
        self.drop = nn.Dropout(dropout)

    def forward(self, value: Tensor) -> Tensor:
        return self.drop(self.outer(self.act(self.inner(self.attention(value, value, value)[0]))))


@pytest.fixture
def attentive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    gated = Gated(Attentive(), torch.randn(2, 3, 8))
    save(prune(gated, plan=Plan({"inner": (0, 2)})), tmp_path / "artifact")
    return tmp_path / "artifact"


def test_settings_that_change_outputs_but_no_shape_are_compared(attentive: Path):
    with pytest.raises(ArtifactMismatchError, match="'attention' with num_heads=4, expected num_heads=2"):
        load(attentive, lambda: Attentive(heads=4))
    with pytest.raises(ArtifactMismatchError, match=r"'act' with negative_slope=0.2, expected negative_slope=0.1"):
        load(attentive, lambda: Attentive(negative_slope=0.2))


def test_settings_that_only_matter_in_training_are_free(attentive: Path):
    load(attentive, lambda: Attentive(dropout=0.0))


def test_a_wrong_build_function_is_noticed_only_after_the_files_are_verified(folder: Path):
    (folder / "weights.safetensors").write_bytes(b"")
    calls = []
    with pytest.raises(ArtifactError):
        load(folder, lambda: calls.append(1))
    assert not calls


def test_a_module_that_reshapes_its_own_tensors_does_not_fit_a_checkpoint(tmp_path):
    class Shortened(nn.Linear, FollowsCut):
        def __init__(self):
            super().__init__(6, 2)
            self.register_buffer("table", torch.zeros(6))

        def follow_cut(self, kept):
            self.table = self.table[:1]

    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), Shortened())
    save_file(network.state_dict(), tmp_path / "dense")
    channels = trace(network, torch.zeros(1, 4))
    message = r"the plan leaves shape \(6,\) of '2.table', but the cut network has \(1,\), .* mend follow_cut"
    with pytest.raises(ArtifactMismatchError, match=message):
        cut_checkpoint(network, channels, Plan({"0": (1,)}), tmp_path / "dense", tmp_path / "small")
    assert not (tmp_path / "small").exists()
