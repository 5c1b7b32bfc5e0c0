"""An exported graph is a module like others: it can be called, trained, copied, exported, and says how it was cut."""

import copy
import inspect

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.artifacts.errors import ArtifactUnsavedError
from ellzero.graph import Plan
from networks.fixed_sizes import Shuffled


@pytest.mark.parametrize("word", ["groups", "a tied weight", "flattened positions", "PyTorch's encoder layer"])
def test_the_graph_can_be_trained_copied_and_exported_again(gated, random_plan, word):
    network, example = gated(word)
    small = l0.prune(network, plan=random_plan(network))
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    small(example).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in small.parameters())
    before = small(example)
    optimizer.step()
    assert not torch.equal(small(example), before)
    program = torch.export.export(small, (example,))
    assert torch.equal(program.module()(example), small(example))


def test_tied_weights_are_one_parameter_under_the_first_name(gated, random_plan):
    network, _ = gated("a tied weight")
    small = l0.prune(network, plan=random_plan(network))
    names = dict(small.named_parameters(remove_duplicate=False))
    assert "embed.weight" in names
    assert "head.weight" not in names


def test_gradients_stop_where_the_network_stops_them(gated, random_plan):
    network, example = gated("a state of zeros")
    small = l0.prune(network, plan=random_plan(network))
    assert any(node.target is torch.ops.aten.detach.default for node in small.graph.nodes)
    assert small(example).requires_grad


def test_the_graph_calls_like_the_network_and_returns_what_it_does():
    class Named(Shuffled):
        def forward(self, x, shift=None):
            return {"y": super().forward(x) + (0 if shift is None else shift)}

    example = {"x": torch.randn(3, 10), "shift": torch.randn(3, 1)}
    network = l0.Gated(Named(), example, exported=True).eval()
    small = l0.prune(network, plan=Plan({"fc1": (0, 3)}))
    assert list(inspect.signature(small.forward).parameters) == ["x", "shift"]
    with network.planned(Plan({"fc1": (0, 3)})):
        torch.testing.assert_close(small(**example)["y"], network(**example)["y"])


def test_training_uses_the_network_itself_with_its_dropout(gated, random_plan):
    network, example = gated("PyTorch's encoder layer")
    network.train()
    assert not torch.equal(network(example), network(example))
    assert network.model[1].training
    small = l0.prune(network, plan=random_plan(network))
    assert network.model[1].training
    assert torch.equal(small.train()(example), small.eval()(example))


def test_moments_of_the_optimizer_follow(gated):
    network, example = gated("a shuffled width")
    optimizer = torch.optim.Adam(network.parameter_groups(lr=1e-3))
    network.train()(example).square().mean().backward()
    optimizer.step()
    small = l0.prune(network, plan=Plan({"fc1": (1, 2, 5)}))
    after = l0.transfer_optimizer(optimizer, small)
    (state,) = (after.state[parameter] for name, parameter in small.named_parameters() if name == "fc1.weight")
    assert state["exp_avg"].shape == (80, 10)


@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")  # of PyTorch 2.13, about its own copying
def test_a_copy_of_the_graph_knows_how_it_was_cut(gated):
    network, _ = gated("a shuffled width")
    small = l0.prune(network, plan=Plan({"fc1": (1,)}))
    twin = copy.deepcopy(small)
    assert l0.structure_of(twin).plan == Plan({"fc1": (1,)})
    assert "fc1" in str(l0.report(network, small))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")  # of PyTorch 2.9, about itself
def test_saving_is_refused_and_names_what_does_it(gated, tmp_path):
    network, example = gated("a shuffled width")
    small = l0.prune(network, plan=Plan({"fc1": (1,)}))
    with pytest.raises(ArtifactUnsavedError, match=r"torch\.export\.save\("):
        l0.save(small, tmp_path / "small")
    batch = torch.export.Dim("batch", max=64)
    program = torch.export.export(small, (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "small.pt2")
    loaded = torch.export.load(tmp_path / "small.pt2").module()
    assert torch.equal(loaded(example[:2]), small(example[:2]))


def test_what_runs_in_training_only_is_left_out():
    class Auxiliary(Shuffled):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(128, 2)

        def forward(self, x):
            main = super().forward(x)
            return (main, self.extra(self.fc1(x))) if self.training else (main, main)

    network = l0.Gated(Auxiliary(), torch.randn(3, 10), exported=True)
    assert network.train()(torch.randn(3, 10))[1].shape == (3, 2)
    small = l0.prune(network, plan=Plan({"fc1": (0,)}))
    assert not [name for name, _ in small.named_parameters() if name.startswith("extra")]
    assert network.training
