"""How far a forward pass comes before it fails, and in which module."""

__all__ = ["Progress", "module_names"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ellzero.graph.shadow import Run


class Progress(TorchDispatchMode):
    """Counts modules that were entered and operations within all of them, and knows which module ran last."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_operations = 0
        self.module: str | None = None
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

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        self._num_operations += 1
        return result

    @property
    def count(self) -> tuple[float, float]:
        """Entered modules, and operations: another broadcast may change the second, but not the first."""
        return self._stack.num_entered, self._num_operations


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
