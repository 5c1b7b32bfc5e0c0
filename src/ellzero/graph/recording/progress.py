"""How far a forward pass comes before it fails, and in which module."""

__all__ = ["BESIDES", "Progress", "Seen", "module_names"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ellzero.graph.recording.shadow import Run

BESIDES = frozenset(["prim", "profiler"])
"""Operations that compute nothing: they ask for a device, as fake tensors are asked, or time a part of the network."""


class Seen(NamedTuple):
    """An operation: in which module, what it is, the shapes of its operands, and its other arguments."""

    module: str
    op: Any
    shapes: list[tuple[int, ...]]
    others: list[Any]


class Progress(TorchDispatchMode):
    """Counts modules that were entered and operations within all of them, and knows which module ran last.

    Attributes:
        module: which module ran last; none if none did.
        calls: every operation that was begun.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_operations = 0
        self.module: str | None = None
        self.calls: list[Seen] = []
        self._stack = _Stack()

    def watch(self, model: nn.Module, run: Run) -> Any:
        """Run a model on the example; afterwards, or after it failed, `count` and `module` tell how far it came."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self:
                return model(*args, **kwargs)

        with module_names(model, self._stack):
            try:
                return run(counted)
            finally:
                self.module = self._stack[-1] if self._stack else ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch guards every single call against being compiled; nothing here is."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in BESIDES:
            return func(*args, **kwargs or {})
        seen = Seen(self._stack[-1] if self._stack else "", func, [], [])
        _look((args, kwargs), seen.shapes, seen.others)
        self.calls.append(seen)
        result = func(*args, **kwargs or {})
        self._num_operations += 1
        return result

    @property
    def count(self) -> tuple[float, float]:
        """Entered modules, and operations: another broadcast may change the second, but not the first."""
        return self._stack.num_entered, self._num_operations


def _look(tree: Any, shapes: list[tuple[int, ...]], others: list[Any]) -> None:
    if isinstance(tree, Tensor):
        shapes.append(tree.shape)
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            _look(part, shapes, others)
    elif isinstance(tree, dict):
        _look(list(tree.items()), shapes, others)
    else:
        others.append(tree)


class _Stack(list[str]):
    """Names of running modules; counts how many were entered in all."""

    num_entered = 0

    def append(self, name: str) -> None:
        self.num_entered += 1
        super().append(name)


@contextmanager
def module_names(model: nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the name of the module whose forward is running on top of the stack."""

    def leave(*_: Any) -> None:
        stack.pop()

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
