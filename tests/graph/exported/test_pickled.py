"""An exported graph can be pickled and saved whole, with its conditions on inputs and what it knows of its surgery."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.graph import Plan, trace
from ellzero.graph.recording.conditions import write_out_conditions
from ellzero.graph.recording.exported import exported_graph
from networks.fixed_sizes import Shuffled

pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")  # of PyTorch 2.13, about itself


def pickled(graph):
    return pickle.loads(pickle.dumps(graph))


def saved(graph):
    file = io.BytesIO()
    torch.save(graph, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [pickled, saved, copy.deepcopy, lambda graph: saved(pickled(graph))])
@pytest.mark.parametrize("word", ["groups", "a tied weight", "flattened positions", "an hourglass"])
def test_what_is_loaded_computes_the_same_and_knows_how_it_was_cut(gated, random_plan, word, again):
    network, example = gated(word)
    plan = random_plan(network)
    small = l0.prune(network, plan=plan)
    twin = again(small)
    more = torch.cat([example, example.flip(-1), example])
    assert torch.equal(twin(more), small(more))
    assert dict(twin.named_parameters()).keys() == dict(small.named_parameters()).keys()
    assert twin.training == small.training
    assert l0.structure_of(twin).plan == l0.structure_of(small).plan


def test_what_is_loaded_refuses_the_same_inputs(gated):
    network, example = gated("a shuffled width")
    small = l0.prune(network, plan=Plan({"fc1": (1,)}))
    for graph in (small, pickled(small), saved(small)):
        with pytest.raises(AssertionError, match=r"Guard failed: x.size\(\)\[1\] == 10; .*give such inputs, or trace"):
            graph(torch.cat([example, example[:, :1]], 1))


def test_a_structure_of_inputs_and_outputs_is_saved_with_it():
    class Nested(Shuffled):
        def forward(self, parts, shift=None):
            found = super().forward(parts["x"] + parts["more"][0])
            return {"y": found if shift is None else found + shift, "both": (found, [found])}

    torch.manual_seed(0)
    parts = {"x": torch.randn(3, 10), "more": [torch.randn(3, 10)]}
    network = l0.Gated(Nested(), {"parts": parts, "shift": torch.randn(3, 1)}, exported=True)
    small = l0.prune(network, plan=Plan({"fc1": (0, 3)}))
    found, again = (graph(parts, shift=torch.ones(3, 1)) for graph in (small, saved(small)))
    assert torch.equal(found["y"], again["y"])
    assert torch.equal(found["both"][1][0], again["both"][1][0])


def test_weights_only_loading_is_refused_by_pytorch(gated):
    network, _ = gated("a shuffled width")
    file = io.BytesIO()
    torch.save(l0.prune(network, plan=Plan({"fc1": (1,)})), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file)


def test_conditions_that_are_alternatives_stay_a_module_of_their_own():
    graph = exported_graph(Shuffled(), torch.randn(3, 10))
    graph._guards_fn = nn.Module()
    graph._guards_fn.forward = lambda x: torch._assert(x.size()[0] == 3 or x.size()[0] == 4, "three or four")
    (placeholder,) = graph.graph.find_nodes(op="placeholder")
    with graph.graph.inserting_after(placeholder):
        graph.graph.call_module("_guards_fn", (placeholder,))
    nodes = list(graph.graph.nodes)
    write_out_conditions(graph)
    assert list(graph.graph.nodes) == nodes
    graph.recompile()
    assert graph(torch.randn(4, 10)).shape == (4, 3)
    with pytest.raises(AssertionError, match="three or four"):
        graph(torch.randn(5, 10))


def test_arguments_that_the_exporter_does_not_follow_are_named():
    class Loose(Shuffled):
        def forward(self, **values):
            return super().forward(values["x"])

    example = {"x": torch.randn(3, 10)}
    assert trace(Loose(), example).group("fc1").size == 8
    with pytest.raises(TraceError, match=r"name 'x' in its signature: the exporter does not follow \*\*kwargs"):
        trace(Loose(), example, exported=True)
