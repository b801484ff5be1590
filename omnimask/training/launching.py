"""What a launcher asks for beside the recipe: done, or refused by name; never ignored.

`accelerate launch` hands its settings on in the environment, before a process begins.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.run_recipe import RunRecipe

Precision = Literal["fp32", "bf16"]

_SHARD = "ACCELERATE_USE_FSDP"
_REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed: FSDP2 shards as its stage 3 does; launch with "
    "--use_fsdp --fsdp_version 2",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM; launch with --multi_gpu, or --use_fsdp "
    "--fsdp_version 2",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor, context and hybrid parallelism; launch with "
    "--use_fsdp --fsdp_version 2",
    "FSDP_OFFLOAD_PARAMS": "weights that lie on the host (--fsdp_offload_params); leave it out",
    "FSDP_ACTIVATION_CHECKPOINTING": "--fsdp_activation_checkpointing; write "
    "--set encoder.checkpoint_blocks=True",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How the processes work together. `sharded`: each has a part of the weights alone (FSDP2);
    `reshard` frees those of a block between forward and backward pass.
    """

    precision: Precision
    sharded: bool = False
    reshard: bool = True


def read_launch(recipe: RunRecipe) -> Launch:
    """What the environment and `recipe.run` ask for; RecipeError for what there is not."""
    sharded = _on(_SHARD)
    for name, what in _REFUSED.items():
        if _on(name) and (sharded or not name.startswith("FSDP_")):
            raise RecipeError(f"accelerate launch asks for {what}: {name} is not supported")
    dynamo = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no")
    if dynamo.lower() != "no":
        raise RecipeError(
            f"accelerate launch asks for --dynamo_backend {dynamo}, which is not supported: steps "
            "have another length each; leave it out"
        )
    if sharded:
        _check_sharded(recipe)
    return Launch(
        precision=_precision(recipe),
        sharded=sharded,
        reshard=os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() != "false",
    )


@contextmanager
def without_wrapping() -> Iterator[None]:
    """Within, Accelerate does not prepare for sharding, which we do: it asks for names of classes
    to wrap, and knows no FSDP on CPUs.
    """
    asked = os.environ.pop(_SHARD, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_SHARD] = asked


def _on(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("1", "true", "yes")


def _check_sharded(recipe: RunRecipe) -> None:
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise RecipeError(
            f"accelerate launch asks for FSDP version {version}, which is not supported; launch "
            "with --fsdp_version 2"
        )
    policy = os.environ.get("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
    if policy != "TRANSFORMER_BASED_WRAP":
        raise RecipeError(
            f"accelerate launch asks for --fsdp_auto_wrap_policy {policy}: weights are sharded by "
            "block, which is TRANSFORMER_BASED_WRAP"
        )
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            "accelerate launch asks for FSDP, which is for pretraining alone; fine-tune with "
            "--multi_gpu, or on one device"
        )
    for field, every in (
        ("probe_every", recipe.run.probe_every),
        ("pictures_every", recipe.run.pictures_every),
    ):
        if every:
            raise RecipeError(
                f"run.{field}={every}: with FSDP no process has the whole model to look at; write "
                f"--set run.{field}=0, and look at checkpoints with omnimask probe or report"
            )


def _precision(recipe: RunRecipe) -> Precision:
    stated = recipe.run.precision
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in ("no", "bf16"):
        raise RecipeError(
            f"accelerate launch asks for --mixed_precision {launched}, which is not supported; "
            "launch with --mixed_precision bf16, or leave it out for run.precision"
        )
    if launched == "bf16" and stated == "fp32":
        raise RecipeError(
            "accelerate launch asks for --mixed_precision bf16, the recipe for run.precision=fp32; "
            "leave one of them out"
        )
    if stated == "auto":  # "no" is also what is launched with where nobody asked
        return "bf16" if launched == "bf16" or torch.cuda.is_available() else "fp32"
    return stated
