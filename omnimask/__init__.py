"""Masked self-supervised pretraining of one transformer encoder on many modalities.

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnimask.decoders import CrossAttentionDecoder, NoDecoder, SelfAttentionDecoder
    from omnimask.encoder import Encoder, vit
    from omnimask.encoder_file import load_encoder, load_model, save_encoder
    from omnimask.errors import DataError, OmnimaskError, RecipeError
    from omnimask.losses import bce, cross_entropy, l1, mse, smooth_l1
    from omnimask.masking import JointBudget, PerModality, RandomMask, TubeMask
    from omnimask.objective import Objective
    from omnimask.pretrain import pretrain
    from omnimask.recipe import Data, Optim, Recipe, Run, Stream
    from omnimask.targets import Content, TeacherFeatures
    from omnimask.teacher import Teacher

_PLACES = {
    "CrossAttentionDecoder": "decoders",
    "NoDecoder": "decoders",
    "SelfAttentionDecoder": "decoders",
    "Encoder": "encoder",
    "vit": "encoder",
    "load_encoder": "encoder_file",
    "load_model": "encoder_file",
    "save_encoder": "encoder_file",
    "DataError": "errors",
    "OmnimaskError": "errors",
    "RecipeError": "errors",
    "bce": "losses",
    "cross_entropy": "losses",
    "l1": "losses",
    "mse": "losses",
    "smooth_l1": "losses",
    "JointBudget": "masking",
    "PerModality": "masking",
    "RandomMask": "masking",
    "TubeMask": "masking",
    "Objective": "objective",
    "Data": "recipe",
    "Optim": "recipe",
    "Recipe": "recipe",
    "Run": "recipe",
    "Stream": "recipe",
    "Content": "targets",
    "TeacherFeatures": "targets",
    "Teacher": "teacher",
    "pretrain": "pretrain",
}

__all__ = [
    "Content",
    "CrossAttentionDecoder",
    "Data",
    "DataError",
    "Encoder",
    "JointBudget",
    "NoDecoder",
    "Objective",
    "OmnimaskError",
    "Optim",
    "PerModality",
    "RandomMask",
    "Recipe",
    "RecipeError",
    "Run",
    "SelfAttentionDecoder",
    "Stream",
    "Teacher",
    "TeacherFeatures",
    "TubeMask",
    "bce",
    "cross_entropy",
    "l1",
    "load_encoder",
    "load_model",
    "mse",
    "pretrain",
    "save_encoder",
    "smooth_l1",
    "vit",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'omnimask' has no attribute {name!r}")
    return vars(importlib.import_module(f"omnimask.{_PLACES[name]}"))[name]
