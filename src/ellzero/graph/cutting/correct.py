"""Numbers that modules remember, made to agree with their cut tensors."""

__all__ = ["correct_attributes", "corrected"]

from typing import cast

from torch import Tensor, nn

from ellzero.errors import SurgeryError
from ellzero.graph.cutting.modules import Convolution, NoChannels, OnlyBias
from ellzero.graph.plans.layout import Layout


def corrected(module: nn.Module) -> nn.Module | None:
    """Make a module's attributes agree with its cut tensors.

    Args:
        module: changed in place.

    Returns:
        A stand-in where nothing is left of it, otherwise none.
    """
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, Convolution):
        return _correct_convolution(module)
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        stored = module.weight if module.weight is not None else module.running_mean
        if stored is not None:
            module.num_features = len(stored)
            return None if len(stored) else nn.Identity()
    elif isinstance(module, nn.GroupNorm) and module.weight is not None:
        module.num_groups = len(module.weight) * module.num_groups // module.num_channels
        module.num_channels = len(module.weight)
        return None if len(module.weight) else nn.Identity()
    elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.RNNBase):
        module.input_size = cast(Tensor, module.weight_ih_l0).shape[1]
        module.proj_size = len(cast(Tensor, module.weight_hr_l0)) if module.proj_size else 0
        module.hidden_size = cast(Tensor, module.weight_hr_l0 if module.proj_size else module.weight_hh_l0).shape[1]
        module._init_flat_weights()
    elif isinstance(module, nn.RNNCellBase):
        module.input_size, module.hidden_size = module.weight_ih.shape[1], module.weight_hh.shape[1]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
        return None if len(module.weight) else nn.Identity()
    elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    return None


def _correct_convolution(module: Convolution) -> nn.Module | None:
    first, second = module.weight.shape[:2]
    depthwise = module.groups > 1 and module.groups == module.in_channels
    if depthwise and not module.transposed:
        module.groups = first // (module.out_channels // module.in_channels)
    elif depthwise:
        module.groups = first
    module.out_channels = second * module.groups if module.transposed else first
    module.in_channels = first if module.transposed else second * module.groups
    if not module.out_channels:
        return NoChannels(module)
    return None if module.in_channels else OnlyBias(module)


def correct_attributes(model: nn.Module, layout: Layout, is_open: Tensor) -> None:
    """Bring down the numbers that go with the width of a group.

    Args:
        model: cut, changed in place.
        layout: the order of the gates.
        is_open: a settled set of open gates, bool, shape `(gates,)`.

    Raises:
        SurgeryError: if the network has no such number.
    """
    modules = dict(model.named_modules())
    for group, place in layout.slices():
        for one in group.attributes:
            module = modules.get(one.module)
            if type(vars(module).get(one.name) if module is not None else None) is not int:
                raise SurgeryError(
                    f"group {group.name!r} sets the number {one.name!r} of {one.module!r}, which the network does not "
                    "have; is it the same architecture?"
                )
            setattr(module, one.name, one.multiple * int(is_open[place].sum()))
