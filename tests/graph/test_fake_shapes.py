"""Shapes that are looked up are those that PyTorch finds."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import networks
from ellzero.graph.recording import fake as fake_module
from ellzero.graph.recording.fake import ShapeMode, blank, fake
from ellzero.graph.recording.record import record


def described(value):
    if isinstance(value, FakeTensor):
        return tuple(value.shape), value.stride(), value.dtype, value.device
    return [described(part) for part in value] if isinstance(value, (list, tuple)) else value


OPERATIONS = [
    lambda x, w: x @ w,
    lambda x, w: (x @ w).transpose(0, 1),
    lambda x, w: x.t().contiguous(),
    lambda x, w: x.split(2, 1),
    lambda x, w: x.max(1),
    lambda x, w: x[1:],
    lambda x, w: x[1:].reshape(-1),
    lambda x, w: x.to(torch.float64) + 1,
    lambda x, w: x > 0,
    lambda x, w: torch.cat([x, x], 1),
    lambda x, w: torch.where(x > 0, x, 0.0),
    lambda x, w: x.clone().add_(1),
    lambda x, w: x.clone().unsqueeze_(0).transpose_(1, 2),
    lambda x, w: x.clone().relu_().resize_(2, 3),
    lambda x, w: torch.add(x, 1, out=x.clone()),
    lambda x, w: x.expand(5, *x.shape),
    lambda x, w: torch.full((2,), 1) + torch.full((2,), 1.0),
    lambda x, w: torch.view_as_complex(x.reshape(-1, 2)).conj().real,
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_gives_the_same_the_first_and_the_second_time_and_without_looking_up(operation):
    found = []
    for mode in (ShapeMode(), FakeTensorMode()):
        with torch.no_grad(), mode:
            x, w = torch.empty(4, 6), torch.empty(6, 3)
            found += [described(operation(x, w)) for _ in range(2)]
    assert found[0] == found[1] == found[2] == found[3]


def test_arguments_that_are_equal_but_of_other_kinds_are_told_apart():
    mode = ShapeMode()
    with torch.no_grad(), mode:
        x = torch.empty(3, dtype=torch.int64)
        assert [(x + one).dtype for one in (1, 1.0, True)] == [torch.int64, torch.float32, torch.int64]


def test_the_default_type_is_part_of_what_is_looked_up():
    mode = ShapeMode()
    with torch.no_grad(), mode:
        x = torch.empty(3, dtype=torch.int64)
        first = (x / 2).dtype
        torch.set_default_dtype(torch.float64)
        try:
            second = (x / 2).dtype
        finally:
            torch.set_default_dtype(torch.float32)
    assert (first, second) == (torch.float32, torch.float64)


@pytest.fixture
def nothing_known(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(fake_module, "_KNOWN", {})


def test_a_repeated_block_is_looked_up(nothing_known):
    mode = ShapeMode()
    calls = []
    dispatch = mode.dispatch
    mode.dispatch = lambda func, *rest: calls.append(func) or dispatch(func, *rest)
    with torch.no_grad(), mode:
        x, w = torch.empty(4, 4), torch.empty(4, 4)
        for _ in range(5):
            x = (x @ w).tanh().relu_()
    aten = torch.ops.aten
    assert [calls.count(op) for op in (aten.mm.default, aten.tanh.default, aten.relu_.default)] == [1, 1, 1]


def test_what_is_known_is_bounded(nothing_known, monkeypatch):
    monkeypatch.setattr(fake_module, "_MANY", 4)
    mode = ShapeMode()
    with torch.no_grad(), mode:
        for size in range(1, 20):
            assert torch.empty(size).tanh().shape == (size,)
            assert len(fake_module._KNOWN) <= 4


def test_an_operation_that_is_not_pytorch_s_is_not_known_to_the_next_mode(nothing_known):
    widths = iter((3, 5))

    @torch.library.custom_op("shapes::widened", mutates_args=())
    def widened(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @widened.register_fake
    def _(x):
        return x.new_empty(next(widths))

    for width in (3, 5):  # as after it has been defined anew
        with torch.no_grad(), ShapeMode():
            assert widened(torch.empty(2)).shape == (width,)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_affine", [True, False])
def test_batch_norms_are_not_taken_apart_and_give_what_pytorch_finds(
    shape, is_training, dtype, is_affine, nothing_known
):
    found = []
    for mode in (ShapeMode(), FakeTensorMode()):
        with torch.no_grad(), mode:
            x, mean, variance = torch.empty(shape, dtype=dtype), torch.empty(3), torch.empty(3)
            weight, bias = (torch.empty(3), torch.empty(3)) if is_affine else (None, None)
            made = torch.ops.aten.native_batch_norm(x, weight, bias, mean, variance, is_training, 0.1, 1e-5)
            found.append(described(made))
    assert found[0] == found[1]
    assert not any("sqrt" in str(key[0]) for key in fake_module._KNOWN)


def test_batch_norms_whose_parts_do_not_fit_are_refused_as_pytorch_does(nothing_known):
    for mode in (ShapeMode(), FakeTensorMode()):
        with torch.no_grad(), mode:
            x, stored = torch.empty(4, 3, 5), torch.empty(2)
            with pytest.raises(RuntimeError, match=r"3.*2|2.*3"):
                torch.ops.aten.native_batch_norm(x, None, None, stored, stored, False, 0.1, 1e-5)


def test_numbers_that_are_known_stay_known():
    with torch.no_grad(), ShapeMode():
        assert [int(torch.tensor(number) + 1) for number in (1, 2)] == [2, 3]


def test_a_fake_parameter_is_a_parameter_and_keeps_what_can_be_seen():
    mode = ShapeMode()
    frozen = nn.Parameter(torch.zeros(2, 3, dtype=torch.float16).t(), requires_grad=False)
    for tensor in (nn.Parameter(torch.zeros(2, 3)), frozen, torch.zeros(2)):
        made = fake(tensor, mode)
        assert isinstance(made, FakeTensor)
        assert isinstance(made, nn.Parameter) == isinstance(tensor, nn.Parameter)
        assert (made.shape, made.stride(), made.dtype) == (tensor.shape, tensor.stride(), tensor.dtype)
        assert made.requires_grad == tensor.requires_grad
        smaller = blank(made, (1,))
        assert (smaller.shape, smaller.dtype, smaller.requires_grad) == ((1,), tensor.dtype, tensor.requires_grad)
        assert isinstance(smaller, nn.Parameter) == isinstance(tensor, nn.Parameter)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_recording_is_the_same_when_nothing_is_looked_up(name, monkeypatch):
    model, example = networks.build(name)
    quick, _ = record(model, example)
    monkeypatch.setattr(ShapeMode, "_key", lambda *_: None)
    slow, _ = record(model, example)
    assert [(call.op, call.module, call.args, call.kwargs, call.results) for call in quick.calls] == [
        (call.op, call.module, call.args, call.kwargs, call.results) for call in slow.calls
    ]
