"""Gated and pruned networks as graphs: exported, as ONNX, compiled; and never with a draw of random gates in them."""

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import ellzero as l0


class Residual(nn.Module):
    """Batch norm, an addition, and flattened positions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.hidden, self.head = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(24, 8), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.inner(stream).relu()
        return self.head(self.hidden(nn.functional.max_pool2d(stream, 4).flatten(1)).relu())


def gate() -> l0.Gated:
    torch.manual_seed(0)
    gated = l0.Gated(Residual(), torch.zeros(2, 1, 8, 8), positions=True)
    with torch.no_grad():
        gated.log_odds.copy_(3 * torch.randn(gated.log_odds.shape))
    return gated.eval()


BUILDS = {"gated": gate, "pruned": lambda: l0.prune(gate()).eval()}


@pytest.fixture(params=BUILDS)
def network(request) -> nn.Module:
    """A gated network, and the same cut to its plan."""
    return BUILDS[request.param]()


@pytest.fixture(autouse=True)
def _fresh_graphs():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def dynamic(network: nn.Module, batch) -> tuple:
    """A gated network takes whatever the network takes, `*args`, which is one level more."""
    return ((({0: batch},),)) if isinstance(network, l0.Gated) else ({0: batch},)


# PyTorch says so of every network that keeps something while it runs and gives it up afterwards.
HARMLESS = "ignore:While (compiling|exporting), we found certain side effects:UserWarning"  # the latter up to 2.9

REFUSAL = r"exported in training mode, which would make one draw .* a constant .*; call gated.eval\(\) first"


@pytest.mark.filterwarnings(HARMLESS)
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_network_computes_the_same_for_any_batch(network, strict):
    shapes = dynamic(network, torch.export.Dim("batch", max=64))
    program = torch.export.export(network, (torch.randn(2, 1, 8, 8),), dynamic_shapes=shapes, strict=strict)
    for size in (1, 5):
        images = torch.randn(size, 1, 8, 8)
        assert torch.equal(program.module()(images), network(images))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_onnx_network_computes_the_same_for_any_batch(network, tmp_path):
    shapes = dynamic(network, torch.export.Dim.DYNAMIC)
    torch.onnx.export(
        network, (torch.randn(2, 1, 8, 8),), tmp_path / "net.onnx", dynamic_shapes=shapes, dynamo=True, verbose=False
    )
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for size in (1, 5):
        images = torch.randn(size, 1, 8, 8)
        (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network(images))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_network_compiles_into_one_graph_with_the_same_outputs(network, backend):
    images = torch.randn(4, 1, 8, 8)
    compiled = torch.compile(network, fullgraph=True, backend=backend)
    assert torch.equal(compiled(images), network(images))


def test_a_training_step_compiles_into_one_graph_with_the_same_gradients():
    eager, twin = gate().train(), gate().train()
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    images = torch.randn(4, 1, 8, 8)
    for _ in range(2):
        want, have = eager(images), compiled(images)
        torch.testing.assert_close(have, want)
        for one in (want, have):
            one.square().sum().backward()
    torch.testing.assert_close(twin.log_odds.grad, eager.log_odds.grad)
    assert eager.log_odds.grad.any()


@pytest.mark.parametrize("training", [False, True])
def test_gates_break_no_graph(training):
    found = torch._dynamo.explain(gate().train(training))(torch.randn(4, 1, 8, 8))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.filterwarnings(HARMLESS, "ignore:Exporting a model while it is in training mode:UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("part", [lambda gated: gated, lambda gated: gated.model], ids=["gated", "its network"])
@pytest.mark.parametrize(
    "export",
    [
        torch.export.export,
        lambda network, args: torch.export.export(network, args, strict=True),
        lambda network, args: torch.onnx.export(network, args, dynamo=True, verbose=False),
    ],
    ids=["export", "strict export", "onnx"],
)
def test_exporting_in_training_mode_is_refused(export, part):
    gated = gate().train()
    with pytest.raises(Exception, match=REFUSAL):  # of PyTorch's own kinds, which pass the message on
        export(part(gated), (torch.randn(2, 1, 8, 8),))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tracing_to_torchscript_in_training_mode_is_refused():
    with pytest.raises(ValueError, match=REFUSAL):
        torch.jit.trace(gate().train(), (torch.randn(2, 1, 8, 8),))


def test_a_plan_can_be_exported_in_training_mode_because_it_is_not_random():
    gated = gate()
    gated.gates.train()
    images = torch.randn(2, 1, 8, 8)
    with gated.planned(gated.plan()):
        program = torch.export.export(gated, (images,))
        assert torch.equal(program.module()(images), gated(images))
