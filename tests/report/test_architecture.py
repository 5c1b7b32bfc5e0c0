"""Widths before and after as a picture, and the map of pixels."""

import pytest
import torch
from torch import nn

from ellzero.errors import SurgeryError
from ellzero.gates import Gated
from ellzero.graph import Plan, structure_of
from ellzero.report import architecture
from ellzero.surgery import prune

pytest.importorskip("matplotlib")


def deep(num_blocks: int) -> nn.Module:
    """A perceptron whose hidden layers are gated, pruned to a third of each width."""
    widths = [12 + 3 * (place % 7) for place in range(num_blocks)]
    layers = [nn.Linear(a, b) for a, b in zip([4, *widths], [*widths, 2], strict=True)]
    net = nn.Sequential()
    for place, layer in enumerate(layers):
        net.add_module(f"a_container_with_quite_a_long_name_{place}", layer)
    gated = Gated(net, torch.zeros(1, 4))
    return prune(
        gated, plan=Plan({group.name: tuple(range(group.size // 3, group.size)) for group in gated.channels.gated})
    )


def test_every_group_is_shown_with_its_widths(tmp_path, trained, texts_of, overlaps):
    _, _, small = trained
    architecture(small, tmp_path / "architecture.svg")
    texts = texts_of(tmp_path / "architecture.svg")
    widths = structure_of(small).plan.widths(structure_of(small).channels)
    num_params = sum(parameter.numel() for parameter in small.parameters())
    for name, (before, after) in widths.items():
        assert {name, str(before), f"{after}  ({100 * after / before:.1f} %)"} <= set(texts)
    assert f"Sequential: 243 → {num_params} parameters ({100 * num_params / 243:.1f} %)" in texts
    assert {"input before", "input after", "channels before", "channels after"} <= set(texts)
    assert not overlaps


def test_the_map_says_how_many_pixels_are_read(tmp_path, trained, texts_of, overlaps):
    _, _, small = trained
    architecture(small, tmp_path / "architecture.svg", image=(4, 4))
    kept = structure_of(small).plan.widths(structure_of(small).channels)["input"][1]
    assert f"{kept} of 16 pixels are read" in texts_of(tmp_path / "architecture.svg")
    assert not overlaps


def test_a_fine_image_is_drawn_in_runs(tmp_path, texts_of):
    torch.manual_seed(0)
    gated = Gated(nn.Sequential(nn.Linear(70 * 80, 3), nn.ReLU(), nn.Linear(3, 2)), torch.zeros(1, 5600), inputs=True)
    small = prune(gated, plan=Plan({"input": tuple(range(80, 5600))}))
    architecture(small, tmp_path / "architecture.svg", image=(70, 80))
    assert "80 of 5,600 pixels are read" in texts_of(tmp_path / "architecture.svg")
    assert (tmp_path / "architecture.svg").stat().st_size < 40_000


@pytest.mark.parametrize("num_groups", [1, 4, 20, 60])
def test_many_groups_with_long_names_stay_apart(tmp_path, texts_of, overlaps, num_groups):
    architecture(deep(num_groups), tmp_path / "architecture.svg")
    assert sum(text.startswith("a_container_with") for text in texts_of(tmp_path / "architecture.svg")) == num_groups
    assert not overlaps


def test_positions_stand_before_the_layer_that_reads_them(tmp_path, convolutional, texts_of, overlaps):
    architecture(convolutional[2], tmp_path / "architecture.svg")
    texts = texts_of(tmp_path / "architecture.svg")
    assert texts.index("0") < texts.index("3 inputs") < texts.index("3")
    assert {"positions before", "positions after"} <= set(texts)
    assert not overlaps


def test_very_uneven_widths_are_drawn_as_square_roots_and_said_so(tmp_path, texts_of):
    net = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 100), nn.ReLU(), nn.Linear(100, 2))
    architecture(prune(Gated(net, torch.zeros(1, 4))), tmp_path / "architecture.svg")
    assert "length of a bar: square root of the width" in texts_of(tmp_path / "architecture.svg")


def test_a_branch_that_is_gone_is_called_removed(tmp_path, texts_of):
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 4)

        def forward(self, x):
            return x + self.down(self.up(x).relu())

    gated = Gated(Residual(), torch.zeros(1, 4))
    architecture(prune(gated, plan=Plan({"up": tuple(range(6))})), tmp_path / "architecture.svg")
    assert "removed" in texts_of(tmp_path / "architecture.svg")


def test_the_same_network_makes_the_same_bytes(tmp_path, trained):
    for name in ("one.svg", "two.svg"):
        architecture(trained[2], tmp_path / name, image=(4, 4))
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_an_image_of_another_size_is_refused(tmp_path, trained):
    with pytest.raises(ValueError, match=r"28 x 28 has 784 pixels, but this network has gated inputs of 16"):
        architecture(trained[2], tmp_path / "architecture.svg", image=(28, 28))


def test_an_image_without_gated_inputs_is_refused(tmp_path, convolutional):
    with pytest.raises(ValueError, match="no gated inputs"):
        architecture(convolutional[2], tmp_path / "architecture.svg", image=(4, 4))


def test_a_module_that_was_not_pruned_cannot_be_drawn(tmp_path):
    with pytest.raises(SurgeryError, match="was not pruned"):
        architecture(nn.Linear(2, 2), tmp_path / "architecture.svg")
