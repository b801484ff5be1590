"""A model whose weights are shared out among the processes (FSDP2), and tensors of either kind."""

from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def shard_model(model: M, device: torch.device, *, reshard: bool) -> M:
    """Leaves each process a part of every weight, on `device`; a block's are together while it is
    computed. Every process has built the same model.

    https://arxiv.org/abs/2304.11277, as torch.distributed.fsdp.fully_shard does it: tensors keep
    their names, and each is cut along its first axis.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for name, module in list(model.named_modules()):
        if name.endswith("blocks") and isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh, reshard_after_forward=reshard)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    register_fsdp_forward_method(model, "hints")  # a teacher's, which come before the step
    return model


def like(whole: Tensor, other: Tensor) -> Tensor:
    """`whole`, which every process has, shared out as `other` is."""
    if type(other.detach()) is Tensor:
        return whole.to(other.device)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(other, DTensor), "tensors are whole or sharded"
    return distribute_tensor(
        whole.to(other.device), other.device_mesh, other.placements, src_data_rank=None
    )


def own_part(tensor: Tensor) -> Tensor:
    """What this process has of it; a change of that changes the tensor."""
    return tensor if type(tensor) is Tensor else tensor.to_local()  # pyright: ignore[reportAttributeAccessIssue]
