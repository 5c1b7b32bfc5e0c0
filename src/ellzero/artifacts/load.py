"""`load`: a pruned network back from its folder, verified."""

__all__ = ["load"]

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ellzero.artifacts.description import Description
from ellzero.artifacts.errors import ArtifactDamagedError, ArtifactMismatchError
from ellzero.artifacts.manifest import STRUCTURE, WEIGHTS, read_files
from ellzero.artifacts.match import check_cut, check_dense
from ellzero.artifacts.replace import locate
from ellzero.artifacts.weights import decode, fill
from ellzero.errors import TraceError
from ellzero.graph import Layout, Structure, cut
from ellzero.graph.plans.structure import ATTRIBUTE


def load(folder: Path | str, build: Callable[[], nn.Module], *, device: torch.device | str | None = None) -> nn.Module:
    """Load a pruned network: build the dense one, cut it to the plan, fill in the weights.

    Every byte is verified first, and nothing that is read is ever executed. The build function may draw random numbers;
    the CPU's generator is put back afterwards. It is the only source of code: what the forward passes do between
    PyTorch's layers is its word and cannot be verified.

    Args:
        folder: what `save` wrote.
        build: makes the dense network that was gated, with any weights. For a network that was pruned twice it loads
            the first artifact.
        device: where the network goes; left out, it stays where the build function puts it.

    Returns:
        The network that was saved: same outputs, dtypes, ties and `requires_grad`. Training flags are those that the
        build function gives.

    Raises:
        ArtifactMissingError: if the folder or a file in it is missing.
        ArtifactDamagedError: if a file is cut short or any bit of it has changed.
        ArtifactVersionError: if the format is not known.
        ArtifactUnsafeError: if a file outside of the folder is named, or one is a link.
        ArtifactMismatchError: if the build function fails, or gives another network.
        TypeError: if it is no function.

    Example:
        >>> import tempfile
        >>> from ellzero.artifacts import save
        >>> from ellzero.gates import Gated
        >>> from ellzero.graph import Plan
        >>> from ellzero.surgery import prune
        >>> build = lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> small = prune(Gated(build(), torch.zeros(1, 4)), plan=Plan({"0": (1,)}))
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     save(small, f"{parent}/small")
        ...     again = load(f"{parent}/small", build)
        >>> torch.equal(again(torch.ones(1, 4)), small(torch.ones(1, 4)))
        True
    """
    files = read_files(locate(Path(folder)))
    description = Description.from_json(files[STRUCTURE], STRUCTURE)
    tensors = decode(files[WEIGHTS], description, WEIGHTS)
    dense = _built(build)
    check_dense(dense, description.structure.channels)
    small = _cut(dense, description.structure)
    setattr(small, ATTRIBUTE, description.structure)
    check_cut(small, description)
    fill(small, tensors, description)
    return small if device is None else small.to(device)


def _built(build: Callable[[], nn.Module]) -> nn.Module:
    if isinstance(build, nn.Module) or not callable(build):
        raise TypeError(
            f"build is a {type(build).__name__}, expected a function without arguments that returns the dense network; "
            "write load(folder, lambda: Network(...))"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            model = build()
    except Exception as error:
        raise ArtifactMismatchError(
            f"the build function raised {type(error).__name__}: {error}; expected the dense network, "
            "try calling it without load"
        ) from error
    if not isinstance(model, nn.Module):
        raise ArtifactMismatchError(
            f"the build function returned a {type(model).__name__}, expected an nn.Module; return the dense network"
        )
    return model


def _cut(dense: nn.Module, structure: Structure) -> nn.Module:
    try:
        layout = Layout.of(structure.channels)
        is_open = structure.plan.open_gates(layout)
    except TraceError as error:
        raise ArtifactDamagedError(f"{STRUCTURE!r} holds no sound plan: {error}; save the network again") from error
    try:
        return cut(dense, layout, is_open)
    except Exception as error:
        raise ArtifactMismatchError(
            f"what the build function gives cannot be cut to the plan: {error}; is this the right build function?"
        ) from error
