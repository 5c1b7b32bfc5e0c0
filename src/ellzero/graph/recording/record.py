"""Run a network once on tensors without data and write down every operation."""

__all__ = ["Call", "Recorder", "Recording", "Value", "record"]

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakTensorKeyDictionary

from ellzero.errors import TraceError
from ellzero.graph.recording.example import Example
from ellzero.graph.recording.outputs import tensors_in
from ellzero.graph.recording.progress import BESIDES, module_names
from ellzero.graph.recording.shadow import NEEDS_DATA, Shadow, on_shadow

_ONE_DTYPE = frozenset(f"aten.{name}" for name in ["mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "convolution"])


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that flowed through the network: its number, its shape, and whether it picks elements as a mask does."""

    number: int
    shape: tuple[int, ...]
    is_mask: bool = False


@dataclass(frozen=True)
class Call:
    """One ATen operation: arguments and results with `Value` in place of tensors, and the module it ran in."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: Any
    module: str

    @cached_property
    def sources(self) -> tuple[Value, ...]:
        """All tensors it reads."""
        return tuple(values_in((self.args, self.kwargs)))

    @cached_property
    def targets(self) -> tuple[Value, ...]:
        """All tensors it returns."""
        return tuple(values_in(self.results))


@dataclass(frozen=True)
class Recording:
    """The calls of one forward pass, and which values are the inputs, the outputs and the stored tensors.

    `needs_data` says whether the network ran on numbers, because it looks at them; `unreached` names weights that no
    operation used, but may use on other inputs.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    stored: dict[str, Value]
    unreached: tuple[str, ...] = ()
    needs_data: bool = False


def values_in(tree: Any) -> Iterator[Value]:
    """All values in nested lists, tuples and dictionaries, in order."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from values_in(part)
    elif isinstance(tree, dict):
        yield from values_in(list(tree.values()))


def record(model: nn.Module, example: Example) -> tuple[Recording, Shadow]:
    """Write down every ATen operation of one forward pass in evaluation mode.

    The network runs on fake tensors, which have shapes and no data; where its control flow depends on data,
    it runs on a copy with the real ones. The network itself is not touched.

    Args:
        model: any module.
        example: its inputs; see `forward`.

    Returns:
        The recording, and the copy of the network that it was made with.

    Raises:
        TraceError: if the forward pass fails on the example.
    """
    return on_shadow(model, example, lambda shadow: (_record(shadow), shadow))


def _record(shadow: Shadow) -> Recording:
    model = shadow.model
    recorder = Recorder()
    stored = {name: recorder.value(tensor) for name, tensor in _stored(model)}
    inputs: list[Value] = []

    def recorded(*args: Any, **kwargs: Any) -> Any:
        inputs.extend(recorder.value(leaf) for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor))
        _refuse_empty(inputs)
        with recorder:
            return model(*args, **kwargs)

    with module_names(model, recorder.stack):
        try:
            output = shadow.run(recorded)
        except (TraceError, *NEEDS_DATA):
            raise
        except Exception as error:
            raise _failed(recorder, inputs, error) from error
    outputs = [recorder.value(tensor) for tensor in tensors_in(output)]
    if not outputs:
        raise TraceError(
            f"the forward pass returned {type(output).__name__} without any tensor in it; return at least one"
        )
    unreached = _unreached(model, stored, recorder.calls)
    return Recording(tuple(recorder.calls), tuple(inputs), tuple(outputs), stored, unreached, shadow.has_data)


def _failed(recorder: "Recorder", inputs: list[Value], error: Exception) -> TraceError:
    where = recorder.module or "the network itself"
    shapes = ", ".join(str(value.shape) for value in inputs) or "no tensor"
    what = str(error) or type(error).__name__
    return TraceError(
        f"the forward pass failed in {where!r} on an example of shape {shapes}{recorder.failed}: {what}; "
        "give an example that the network accepts"
    )


def _unreached(model: nn.Module, stored: dict[str, Value], calls: list[Call]) -> tuple[str, ...]:
    used = {value.number for call in calls for value in call.sources}
    return tuple(name for name, p in model.named_parameters() if p.dim() > 1 and stored[name].number not in used)


def _refuse_empty(inputs: list[Value]) -> None:
    for value in inputs:
        if 0 in value.shape:
            raise TraceError(f"the example has shape {value.shape} and so holds no data; give at least one sample")


def _stored(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name; a tied tensor appears once, under its first name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _refuse_mixed(name: str, args: Any) -> None:
    """Tensors without numbers can be multiplied whatever their dtypes are; others cannot."""
    if name in _ONE_DTYPE:
        dtypes = list(dict.fromkeys(one.dtype for one in args if isinstance(one, Tensor)))
        if len(dtypes) > 1:
            names = " and ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise TypeError(f"it was given {names}, and takes operands of one dtype only")


class Recorder(TorchDispatchMode):
    """Within it every ATen operation is written down in `calls`, as one of the module on top of `stack`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.stack: list[str] = []
        self.failed = ""
        self._values: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._count = itertools.count()

    @property
    def module(self) -> str:
        return self.stack[-1] if self.stack else ""

    def value(self, tensor: Tensor) -> Value:
        """The same for the same tensor."""
        known: Value | None = self._values.get(tensor)
        shape = tuple(tensor.shape)
        if known is None or known.shape != shape:  # the shape of a tensor may be changed in place
            number = next(self._count) if known is None else known.number
            known = self._values[tensor] = Value(number, shape, tensor.dtype in (torch.bool, torch.uint8))
        return known

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch guards every single call against being compiled; nothing here is."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in BESIDES:
            return func(*args, **kwargs or {})
        kwargs = kwargs or {}
        before = self.as_values(args), self.as_values(kwargs)
        try:
            _refuse_mixed(str(func.overloadpacket), args)
            result = func(*args, **kwargs)
        except Exception:
            self.failed = f", at {func.overloadpacket}"
            raise
        self.calls.append(Call(func, *before, self.as_values(result), self.module))
        return result

    def as_values(self, tree: Any) -> Any:
        """Nested lists, tuples and dictionaries with values in place of tensors."""
        if isinstance(tree, Tensor):
            return self.value(tree)
        if isinstance(tree, (list, tuple)):
            return (list if isinstance(tree, list) else tuple)(map(self.as_values, tree))
        return {key: self.as_values(part) for key, part in tree.items()} if isinstance(tree, dict) else tree
