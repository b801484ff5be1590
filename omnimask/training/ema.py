"""The exponential moving average of a network's weights: EMA teachers, averaged fine-tuning."""

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from omnimask.training.sharding import own_part


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, parameters and floating buffers alike;
    other buffers are copied.

    `network` has the parts that the average copied, under the same names.
    """
    current = network.state_dict()
    slow, fast = [], []
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            slow.append(own_part(tensor))
            fast.append(own_part(current[name]))
        else:
            tensor.copy_(current[name])
    # One kernel for all tensors; it does not read its third argument, a number of updates.
    get_ema_multi_avg_fn(decay)(slow, fast, 0)
