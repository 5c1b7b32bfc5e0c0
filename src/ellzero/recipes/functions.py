"""Functions of the user's own, named `module:function` on the command line."""

__all__ = ["build_with_example", "call_function", "find_function"]

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import nn

from ellzero.errors import EllzeroError, nearest


def find_function(name: str) -> Callable[..., Any]:
    """The function that `module:function` names; modules in the current folder are found as well.

    Raises:
        ValueError: if the name has no colon, the module or the function is not found (the nearest name is offered), or
            the import fails.

    Example:
        >>> find_function("math:sqrt")(4)
        2.0
    """
    module_name, _, function_name = name.partition(":")
    if not (module_name and function_name):
        raise ValueError(f"a function must be given as module:function, got {name!r}; e.g. mine:build")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            files = [path.stem for path in Path(here).glob("*.py")]
            raise ValueError(f"there is no module {module_name!r} in {here}{nearest(module_name, files)}") from error
        raise ValueError(f"importing {module_name} failed: {error}; install it, or mend the module") from error
    except Exception as error:
        raise ValueError(f"importing {module_name} failed: {type(error).__name__}: {error}; mend the module") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{module_name} has no function {function_name!r}{nearest(function_name, known)}")
    return cast(Callable[..., Any], function)


def call_function(name: str) -> Any:
    """What the function returns that `module:function` names.

    Raises:
        ValueError: if it is not found, or fails.

    Example:
        >>> call_function("os:getcwd") == str(Path.cwd())
        True
    """
    function = find_function(name)
    try:
        return function()
    except EllzeroError:
        raise
    except Exception as error:
        raise ValueError(f"{name} failed: {type(error).__name__}: {error}; mend it (--debug shows where)") from error


def build_with_example(build: str, example: str | None) -> tuple[nn.Module, Any]:
    """Call the user's functions for a network and for what it is called with.

    Args:
        build: function that returns the network or, if no other one is given, a pair (network, example).
        example: function that returns the example, as module:function.

    Raises:
        ValueError: if a function is not found, fails, or returns something else.
    """
    found = call_function(build)
    if example is None and not isinstance(found, nn.Module):
        if not isinstance(found, (tuple, list)) or len(found) != 2 or not isinstance(found[0], nn.Module):
            raise ValueError(f"{build} must return (network, example), got {type(found).__name__}; return such a pair")
        return found[0], found[1]
    if example is None:
        raise ValueError(
            f"{build} returns a network without an example; return (network, example), or name a function that returns "
            "one: --example mine:example"
        )
    model = found[0] if isinstance(found, (tuple, list)) and found else found
    if not isinstance(model, nn.Module):
        raise ValueError(f"{build} must return an nn.Module, got {type(model).__name__}; return the network")
    return model, call_function(example)
