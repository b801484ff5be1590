"""A fine-tuned run as something that predicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.tokens.modality import Sample
from omnimask.tokens.tokens import Group
from omnimask.training.checkpoint import (
    Checkpoint,
    fill_weights,
    is_checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_checkpoint_of,
)
from omnimask.transfer.finetuning.classification import Classification
from omnimask.transfer.finetuning.job import BEST
from omnimask.transfer.finetuning.lora import merge_lora
from omnimask.transfer.finetuning.model import FinetunedModel, build_finetuned
from omnimask.transfer.finetuning.recipe import FinetuneRecipe
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder


class Classifier:
    """A trained encoder with its head. In evaluation mode, on the CPU unless moved."""

    def __init__(self, model: FinetunedModel) -> None:
        self.model = model.eval()
        self.recipe = model.recipe

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns of what `predict` returns: classes, or numbers."""
        return self.recipe.task.outputs

    def to(self, device: torch.device | str) -> "Classifier":
        self.model.to(device)
        return self

    def predict(self, samples: Sequence[Mapping[str, Sample]]) -> Float[Tensor, "b p *k"]:
        """Probabilities of the classes (of a segmentation at every place: b p k), or numbers in the
        labels' units, on the CPU.

        `samples` are `{modality: sample}` as readers return samples, the same modalities in each.
        RecipeError for a modality that the model never saw.
        """
        for name in samples[0]:
            if name not in self.model.modalities:
                raise RecipeError(
                    f"{self.recipe.name!r} never saw {name!r}; "
                    f"{nearest_names(name, self.model.modalities)}"
                )
        raw = {
            name: self.model.modalities[name].collate([sample[name] for sample in samples])
            for name in samples[0]
        }
        keys = torch.zeros(len(samples), dtype=torch.int64)
        group = Group(stream="", raw=raw, keys=keys, names=("",) * len(samples))
        device = next(self.model.parameters()).device
        return self.model.predict(group.to(device)).cpu()

    def classes(self, samples: Sequence[Mapping[str, Sample]]) -> tuple[str, ...]:
        """The likeliest class of each sample. RecipeError for a task of another kind."""
        if not isinstance(self.recipe.task, Classification):
            raise RecipeError(
                f"{self.recipe.name!r} is a {type(self.recipe.task).__name__}, which has no one "
                "class per sample; use predict"
            )
        return tuple(self.outputs[i] for i in self.predict(samples).argmax(dim=1).tolist())


def load_classifier(run: Path | str) -> Classifier:
    """The model of a fine-tuning run: its best weights where it kept them, else the last.

    RecipeError for a folder without a checkpoint, and for a run of another kind.
    """
    return Classifier(_model_of(find_checkpoint(Path(run)), str(run)))


def find_checkpoint(run: Path) -> Checkpoint[FinetuneRecipe]:
    """The best checkpoint of a run, its last one, or the one that the folder itself is."""
    if is_checkpoint(run):
        return load_checkpoint_of(run, FinetuneRecipe)
    last = load_checkpoint_of(last_checkpoint(run), FinetuneRecipe)
    best = run / BEST
    if list_checkpoints(best):
        return load_checkpoint_of(last_checkpoint(best), FinetuneRecipe)
    return last


def encoder_of_finetuned(checkpoint: Checkpoint[FinetuneRecipe]) -> PretrainedEncoder:
    """The encoder of a fine-tuned model, the average of the weights where there is one; low-rank
    updates are merged into it."""
    model, recipe = _model_of(checkpoint, checkpoint.recipe.name), checkpoint.recipe
    backbone = model.backbone if model.average is None else model.average["backbone"]
    merge_lora(backbone) if recipe.lora.rank else None
    origin = {"recipe": recipe.name, "steps": str(checkpoint.state["step"]), "start": recipe.start}
    encoder = PretrainedEncoder(
        EncoderInfo(
            name=recipe.name,
            modalities=recipe.modalities,
            encoder=recipe.encoder,
            origin={key: value for key, value in origin.items() if value is not None},
        )
    )
    fill_weights(encoder.backbone, backbone.state_dict(), source=recipe.name)
    return encoder


def _model_of(checkpoint: Checkpoint[FinetuneRecipe], source: str) -> FinetunedModel:
    model = build_finetuned(checkpoint.recipe)
    fill_weights(model, checkpoint.weights, source=source)
    return model.eval()
