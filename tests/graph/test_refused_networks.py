"""Networks and examples with which no trace would be one are refused, and the message says what to give instead."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import ellzero as l0
from ellzero.errors import TraceError
from ellzero.graph import check_fit, trace


def network():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def masked(model):
    prune.l1_unstructured(model[0], "weight", amount=0.3)
    return model


def normalised(model):
    torch.nn.utils.weight_norm(model[2])
    return model


def spectral(model):
    torch.nn.utils.spectral_norm(model[2])(torch.zeros(1, 3))
    return model


def locked(model):
    prune.l1_unstructured(model[0], "weight", amount=0.3)
    prune.remove(model[0], "weight")
    model.generator = (number for number in range(3))
    return model


UNCOPIED = {
    "a mask": (masked, r"'0' has a mask of torch.nn.utils.prune; make it permanent first: torch.nn.utils.prune.remove"),
    "weight norm": (normalised, r"computes a weight of '2' anew .* torch.nn.utils.parametrizations instead"),
    "spectral norm": (spectral, r"computes a weight of '2' anew .* torch.nn.utils.parametrizations instead"),
    "a generator": (locked, r"keep locks, files and generators out of it"),
}


@pytest.mark.filterwarnings("ignore:.torch.nn.utils.weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("word", UNCOPIED)
def test_a_network_that_cannot_be_copied_is_refused_with_what_is_in_the_way(word):
    change, message = UNCOPIED[word]
    for attempt in (trace, l0.Gated):
        with pytest.raises(TraceError, match=rf"cannot be copied .*{message}"):
            attempt(change(network()), torch.zeros(1, 4))
    found = l0.check_model(change(network()), torch.zeros(1, 4))
    assert [one.name for one in found.failed] == ["trace"]


def test_a_mask_that_was_made_permanent_is_no_obstacle():
    model = masked(network())
    prune.remove(model[0], "weight")
    assert trace(model, torch.zeros(1, 4)).num_gates == 3


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: nn.Sequential(nn.DataParallel(model))])
def test_a_network_that_runs_in_several_copies_is_refused(wrap):
    channels = trace(network(), torch.zeros(1, 4))
    model = wrap(network())
    for attempt in (trace, l0.Gated, lambda model, example: check_fit(model, example, channels)):
        with pytest.raises(TraceError, match=r"is wrapped in DataParallel, .*give what it wraps, \.module"):
            attempt(model, torch.zeros(1, 4))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("options", [{}, {"exported": True}])
def test_a_nested_tensor_is_refused_wherever_it_stands_in_the_example(layout, options):
    rows = torch.nested.nested_tensor([torch.zeros(2, 4), torch.zeros(3, 4)], layout=layout)
    for example in (rows, (rows,), {"input": rows}):
        with pytest.raises(TraceError, match=r"holds a nested tensor, .*to_padded_tensor"):
            trace(network(), example, **options)


@pytest.mark.parametrize(
    ("layer", "what"),
    [(nn.LazyLinear(3), "weight '0.weight'"), (nn.LazyBatchNorm1d(affine=False), "buffer '0.running")],
)
def test_a_layer_that_has_no_shape_yet_is_named(layer, what):
    with pytest.raises(ValueError, match=f"the {what}.* has no shape yet; call the network once"):
        trace(nn.Sequential(layer, nn.Linear(3, 2)), torch.randn(2, 3))
