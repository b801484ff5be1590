"""Masked self-supervised pretraining of one transformer encoder on many modalities.

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnimask.commands.finetune import finetune
    from omnimask.commands.pretrain import pretrain
    from omnimask.decoders import CrossAttentionDecoder, NoDecoder, SelfAttentionDecoder
    from omnimask.foundation.errors import DataError, OmnimaskError, RecipeError
    from omnimask.masking import JointBudget, PerModality, RandomMask, TubeMask
    from omnimask.network.encoder import Encoder, vit
    from omnimask.objectives.objective import Objective, bce, cross_entropy, l1, mse, smooth_l1
    from omnimask.objectives.targets import Content, TeacherFeatures
    from omnimask.recipe.recipe import Recipe
    from omnimask.recipe.settings import Data, LabelTable, Mixture, Optim, Run, Stream
    from omnimask.recipe.start import Start
    from omnimask.recipe.teacher import Teacher
    from omnimask.transfer.adapting import adapt
    from omnimask.transfer.embedding.embed import embed, iter_embeddings
    from omnimask.transfer.embedding.vectors import EmbedOptions
    from omnimask.transfer.encoder_folder import save_encoder
    from omnimask.transfer.exporting.write import export
    from omnimask.transfer.finetuning.classifier import load_classifier
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe
    from omnimask.transfer.hub import from_pretrained, push_to_hub
    from omnimask.transfer.importing.run import import_encoder
    from omnimask.transfer.loading import load_encoder, load_model
    from omnimask.transfer.probing.attentive import Attentive
    from omnimask.transfer.probing.results import ProbeResults
    from omnimask.transfer.probing.run import probe
    from omnimask.transfer.probing.settings import Probes
    from omnimask.transfer.searching.features import open_features

_PLACES = {
    "CrossAttentionDecoder": "decoders",
    "NoDecoder": "decoders",
    "SelfAttentionDecoder": "decoders",
    "EmbedOptions": "transfer.embedding.vectors",
    "Encoder": "network.encoder",
    "embed": "transfer.embedding.embed",
    "iter_embeddings": "transfer.embedding.embed",
    "open_features": "transfer.searching.features",
    "vit": "network.encoder",
    "load_encoder": "transfer.loading",
    "load_model": "transfer.loading",
    "save_encoder": "transfer.encoder_folder",
    "DataError": "foundation.errors",
    "OmnimaskError": "foundation.errors",
    "RecipeError": "foundation.errors",
    "export": "transfer.exporting.write",
    "from_pretrained": "transfer.hub",
    "push_to_hub": "transfer.hub",
    "import_encoder": "transfer.importing.run",
    "bce": "objectives.objective",
    "cross_entropy": "objectives.objective",
    "l1": "objectives.objective",
    "mse": "objectives.objective",
    "smooth_l1": "objectives.objective",
    "JointBudget": "masking",
    "PerModality": "masking",
    "RandomMask": "masking",
    "TubeMask": "masking",
    "Objective": "objectives.objective",
    "Data": "recipe.settings",
    "LabelTable": "recipe.settings",
    "Mixture": "recipe.settings",
    "Optim": "recipe.settings",
    "Recipe": "recipe.recipe",
    "Run": "recipe.settings",
    "Stream": "recipe.settings",
    "Content": "objectives.targets",
    "TeacherFeatures": "objectives.targets",
    "Teacher": "recipe.teacher",
    "pretrain": "commands.pretrain",
    "Attentive": "transfer.probing.attentive",
    "ProbeResults": "transfer.probing.results",
    "Probes": "transfer.probing.settings",
    "probe": "transfer.probing.run",
    "Start": "recipe.start",
    "FinetuneRecipe": "transfer.finetuning.recipe",
    "finetune": "commands.finetune",
    "load_classifier": "transfer.finetuning.classifier",
    "adapt": "transfer.adapting",
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
    "LabelTable",
    "Mixture",
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
    "from_pretrained",
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
    "push_to_hub",
    "save_encoder",
    "smooth_l1",
    "vit",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'omnimask' has no attribute {name!r}")
    return vars(importlib.import_module(f"omnimask.{_PLACES[name]}"))[name]
