"""Low-rank updates through peft, and merging them into the weights."""

import torch
from torch import nn

from omnimask.foundation.optional import needs
from omnimask.network.encoder import Backbone
from omnimask.transfer.finetuning.recipe import Lora


def add_lora(backbone: Backbone, lora: Lora) -> None:
    """Puts updates, zero to begin with, beside the blocks' linear layers; all else is frozen."""
    needs("peft", extra="finetune", what="lora.rank > 0")
    from peft import LoraConfig, inject_adapter_in_model

    linear = [n for n, part in backbone.named_modules() if isinstance(part, nn.Linear)]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  (any number does)
        target_modules=[name for name in linear if _is_of_block(name)],
        # Without dropout: it would draw from torch's own generator, and no run could be resumed.
        lora_dropout=0.0,
    )
    inject_adapter_in_model(config, backbone)


def _is_of_block(name: str) -> bool:
    return name.startswith("encoder.blocks.")


@torch.no_grad()
def merge_lora(backbone: nn.Module) -> None:
    """Adds the updates to the weights and takes peft's layers out again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, part in list(backbone.named_modules()):
        if isinstance(part, BaseTunerLayer):
            part.merge()
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, part.get_base_layer())
