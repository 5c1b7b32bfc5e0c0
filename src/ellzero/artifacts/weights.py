"""The numbers of a network: out of it into safetensors, and from there into a network of the same structure."""

__all__ = ["decode", "fill", "write_weights"]

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from ellzero.artifacts.description import Description, Stored
from ellzero.artifacts.errors import ArtifactDamagedError, ArtifactUnsavedError
from ellzero.artifacts.places import places


def write_weights(model: nn.Module, path: Path) -> None:
    """Write every parameter and persistent buffer once, contiguous, in its own dtype.

    Args:
        model: the network.
        path: of the new file.

    Raises:
        ArtifactUnsavedError: if a tensor or a module's state cannot be written as plain numbers.
    """
    for name, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise ArtifactUnsavedError(
                f"the module {name!r} ({type(module).__name__}) has an extra state, expected only parameters and "
                "buffers, since anything else needs pickle; keep it in buffers"
            )
    found = places(model)
    plain = _separate({name: _plain(name, found.tensors[name]) for name in found.first_names().values()})
    try:
        save_file(plain, path)
    except (KeyError, ValueError) as error:
        raise ArtifactUnsavedError(
            f"safetensors cannot write this network: {error}; cast it to another dtype"
        ) from error


def decode(content: bytes, description: Description, name: str) -> dict[str, Tensor]:
    """Read the tensors and hold them against their description.

    Args:
        content: the file.
        description: of the network.
        name: of the file, for the message.

    Raises:
        ArtifactDamagedError: if it holds other tensors, or none.
    """
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ArtifactDamagedError(f"{name!r} is no safetensors file ({error}); save the network again") from error
    found = {
        key: Stored(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for key, tensor in tensors.items()
    }
    for key in sorted(found.keys() | description.tensors.keys()):
        if found.get(key) != description.tensors.get(key):
            raise ArtifactDamagedError(
                f"{name!r} holds {key!r} as {found.get(key)}, expected {description.tensors.get(key)}; the two files "
                "do not belong together, save the network again"
            )
    return tensors


def fill(model: nn.Module, tensors: Mapping[str, Tensor], description: Description) -> None:
    """Put stored numbers into a network, in their own dtypes, on its devices; ties and `requires_grad` are restored.

    Args:
        model: of the structure described; it is changed.
        tensors: by the names that the description gives them.
        description: of the network that was saved.
    """
    found = places(model).tensors
    with torch.no_grad():
        for name, stored in tensors.items():
            tensor = found[name]
            tensor.requires_grad_(False)
            # The tensor stays the same object, and so whatever shares it keeps sharing it.
            tensor.data = stored.to(tensor.device)
            can_learn = isinstance(tensor, nn.Parameter) and (stored.is_floating_point() or stored.is_complex())
            tensor.requires_grad_(can_learn and name not in description.frozen)
        for name in found.keys() & description.rebuilt.keys():
            dtype = _dtypes().get(description.rebuilt[name], found[name].dtype)
            found[name].data = found[name].to(dtype)


def _dtypes() -> dict[str, torch.dtype]:
    return {str(one).removeprefix("torch."): one for one in vars(torch).values() if isinstance(one, torch.dtype)}


def _plain(name: str, tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "on the meta device" if tensor.is_meta else "quantized" if tensor.is_quantized else str(tensor.layout)
        raise ArtifactUnsavedError(
            f"{name!r} is {kind}, expected a dense tensor with numbers; make it one before saving"
        )
    return tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give views of a common storage one each: only whole tensors can be tied."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        is_alone = storage.nbytes() == tensor.nbytes and storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        found[name] = tensor if is_alone else tensor.clone()
    return found
