"""Shapes that are looked up are those that PyTorch finds."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import networks
from ellzero.graph.fake import ShapeMode, blank, fake
from ellzero.graph.record import record


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


def test_a_repeated_block_is_looked_up():
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
