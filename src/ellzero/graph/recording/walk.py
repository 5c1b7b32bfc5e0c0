"""Walk through an exported graph on tensors of shape only, node by node, and write down what comes out of each."""

__all__ = ["ShapesOnly", "Walked", "walk"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node

from ellzero.errors import TraceError
from ellzero.graph.recording.exported import module_of
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.record import Recorder, Recording, values_in
from ellzero.graph.recording.shadow import muted


class ShapesOnly(Interpreter):
    """Runs a graph on the sizes of its example, and on parameters without numbers.

    Args:
        graph: what `exported_graph` made, or a cut of it.
    """

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.extra_traceback = False
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.stored = {name: self._blank(one) for name, one in [*graph.named_parameters(), *graph.named_buffers()]}

    def go(self) -> Any:
        """Run it; the values of its nodes are in `env` afterwards."""
        with torch.no_grad(), self.mode, muted():
            return self.run(enable_io_processing=False)

    def run_node(self, n: Node) -> Any:
        """Inputs are those of the example."""
        if n.op != "placeholder":
            return super().run_node(n)
        leaf = n.meta["example"]
        return self._blank(leaf, n.meta["device"]) if isinstance(leaf, Tensor) else leaf

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Stored tensors have no numbers."""
        return self.stored[target]

    def _blank(self, tensor: Tensor, device: torch.device | None = None) -> Tensor:
        where = device or (torch.device("cpu") if tensor.is_meta else tensor.device)
        with self.mode:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=where)


@dataclass(frozen=True)
class Walked:
    """A recording of a graph, and for the name of each node what came out of it, with `Value` for tensors."""

    recording: Recording
    results: Mapping[str, Any]


class _Recorded(ShapesOnly):
    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.recorder = Recorder()
        self.results: dict[str, Any] = {}

    def run_node(self, n: Node) -> Any:
        self.recorder.stack[:] = [module_of(n)]
        with self.recorder:
            result = super().run_node(n)
        self.results[n.name] = self.recorder.as_values(result)
        return result


def walk(graph: GraphModule) -> Walked:
    """Record what an exported graph does on its example.

    Args:
        graph: what `exported_graph` made; it is not changed.

    Raises:
        TraceError: if it looks at numbers.
    """
    recorded = _Recorded(graph)
    recorder = recorded.recorder
    stored = {name: recorder.value(tensor) for name, tensor in recorded.stored.items()}
    try:
        outputs = tensors_in(recorded.go())
    except Exception as error:  # whatever an operation raises on tensors without data
        place = recorder.stack[-1] if recorder.stack else ""
        raise TraceError(
            f"the exported graph does not run without numbers ({error}, in {place or 'the network itself'!r}), so that "
            "its sizes cannot be corrected; trace without exported=True"
        ) from error
    nodes = graph.graph.find_nodes(op="placeholder")
    inputs = [value for node in nodes for value in values_in(recorded.results[node.name])]
    values = tuple(recorder.value(tensor) for tensor in outputs)
    return Walked(Recording(tuple(recorder.calls), tuple(inputs), values, stored), recorded.results)
