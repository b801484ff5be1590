"""Masked self-supervised pretraining of one transformer encoder on many modalities.

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnimask.adapting import adapt
    from omnimask.decoders import CrossAttentionDecoder, NoDecoder, SelfAttentionDecoder
    from omnimask.embedding.embed import embed, iter_embeddings
    from omnimask.embedding.vectors import EmbedOptions
    from omnimask.encoder import Encoder, vit
    from omnimask.encoder_file import load_encoder, load_model, save_encoder
    from omnimask.errors import DataError, OmnimaskError, RecipeError
    from omnimask.exporting.write import export
    from omnimask.finetuning.classifier import load_classifier
    from omnimask.finetuning.recipe import FinetuneRecipe
    from omnimask.finetuning.run import finetune
    from omnimask.importing.run import import_encoder
    from omnimask.losses import bce, cross_entropy, l1, mse, smooth_l1
    from omnimask.masking import JointBudget, PerModality, RandomMask, TubeMask
    from omnimask.objective import Objective
    from omnimask.pretraining import pretrain
    from omnimask.probing.attentive import Attentive
    from omnimask.probing.results import ProbeResults
    from omnimask.probing.run import probe
    from omnimask.probing.settings import Probes
    from omnimask.recipe import Data, Optim, Recipe, Run, Stream
    from omnimask.searching.features import open_features
    from omnimask.start import Start
    from omnimask.targets import Content, TeacherFeatures
    from omnimask.teacher import Teacher

_PLACES = {
    "CrossAttentionDecoder": "decoders",
    "NoDecoder": "decoders",
    "SelfAttentionDecoder": "decoders",
    "EmbedOptions": "embedding.vectors",
    "Encoder": "encoder",
    "embed": "embedding.embed",
    "iter_embeddings": "embedding.embed",
    "open_features": "searching.features",
    "vit": "encoder",
    "load_encoder": "encoder_file",
    "load_model": "encoder_file",
    "save_encoder": "encoder_file",
    "DataError": "errors",
    "OmnimaskError": "errors",
    "RecipeError": "errors",
    "export": "exporting.write",
    "import_encoder": "importing.run",
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
    "pretrain": "pretraining",
    "Attentive": "probing.attentive",
    "ProbeResults": "probing.results",
    "Probes": "probing.settings",
    "probe": "probing.run",
    "Start": "start",
    "FinetuneRecipe": "finetuning.recipe",
    "finetune": "finetuning.run",
    "load_classifier": "finetuning.classifier",
    "adapt": "adapting",
}

__all__ = [
    "Attentive",
    "Content",
    "CrossAttentionDecoder",
    "Data",
    "DataError",
    "EmbedOptions",
    "Encoder",
    "FinetuneRecipe",
    "JointBudget",
    "NoDecoder",
    "Objective",
    "OmnimaskError",
    "Optim",
    "PerModality",
    "ProbeResults",
    "Probes",
    "RandomMask",
    "Recipe",
    "RecipeError",
    "Run",
    "SelfAttentionDecoder",
    "Start",
    "Stream",
    "Teacher",
    "TeacherFeatures",
    "TubeMask",
    "adapt",
    "bce",
    "cross_entropy",
    "embed",
    "export",
    "finetune",
    "import_encoder",
    "iter_embeddings",
    "l1",
    "load_classifier",
    "load_encoder",
    "load_model",
    "mse",
    "open_features",
    "pretrain",
    "probe",
    "save_encoder",
    "smooth_l1",
    "vit",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'omnimask' has no attribute {name!r}")
    return vars(importlib.import_module(f"omnimask.{_PLACES[name]}"))[name]
