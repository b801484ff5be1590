"""Segmentation as a job of the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omnimask.adapting import adapt
from omnimask.batch import Group
from omnimask.checkpoint import Checkpoint, last_checkpoint, load_checkpoint_of
from omnimask.data import StreamReader
from omnimask.encoder_file import load_encoder
from omnimask.errors import RecipeError
from omnimask.modality import Files
from omnimask.optim import build_optimizer
from omnimask.pretrained import PretrainedEncoder
from omnimask.segmentation.evaluate import evaluate
from omnimask.segmentation.model import SegmentationModel
from omnimask.segmentation.recipe import Segmentation
from omnimask.trainer import carry_out


def segment(recipe: Segmentation, encoder: Path | str | None, out: Path | str) -> Path:
    """Trains in the run folder `out` from an encoder of whatever `load_encoder` reads, or goes on
    with the run there; prints what was adapted and the held-out scores. Returns the last
    checkpoint. Without an encoder the recipe must have `encoder`, which then starts at random.

    Beside what every run has, `out` gets `segmentation.json` and `segmentation.png`.
    """
    start = None if encoder is None else load_encoder(encoder)
    return carry_out(SegmentationJob(recipe=recipe, start=start), Path(out))


def load_segmentation(path: Path | str) -> SegmentationModel:
    """The model of a run folder, from its last checkpoint, in evaluation mode."""
    checkpoint = load_checkpoint_of(last_checkpoint(Path(path)), Segmentation)
    model = SegmentationModel(checkpoint.recipe)
    model.load_state_dict(checkpoint.weights)
    return model.eval()


@dataclass(kw_only=True, slots=True)
class SegmentationJob:
    """One run, from the encoder `start`; None for random weights."""

    recipe: Segmentation
    start: PretrainedEncoder | None
    built: SegmentationModel | None = None

    @property
    def model(self) -> SegmentationModel:
        assert self.built is not None, "prepared before it is asked for"
        return self.built

    def prepare(self, resumed: Checkpoint[Any] | None) -> SegmentationModel:
        if resumed is not None:
            recipe = replace(resumed.recipe, run=self.recipe.run, data=self.recipe.data)
            self.recipe, self.built = recipe, _build(recipe)
            self.built.load_state_dict(resumed.weights)
            return self.built
        if self.start is None:
            self.recipe = self._fitted()
            self.built = _build(self.recipe)
            return self.built
        adapted, lines = adapt(self.start, [self.recipe.input])
        for line in lines:
            print(line)
        self.recipe = replace(
            self.recipe, input=adapted.info.modalities[0], encoder=adapted.info.encoder
        )
        self.built = _build(self.recipe)
        self.built.encoder.load_state_dict(adapted.state_dict())
        return self.built

    def open_streams(self) -> list[StreamReader]:
        streams = self.recipe.data.streams
        return [StreamReader(stream, stream.files, self.recipe) for stream in streams]

    def optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.recipe.optim, self._scale_of)

    def counts(self, groups: Sequence[Group], progress: float) -> dict[str, Tensor]:
        return self.model.counts(groups)

    def before_clip(self, progress: float) -> None:
        """Every gradient counts."""

    def after_step(self, progress: float) -> None:
        """Nothing follows the optimizer."""

    def numbers(self, progress: float) -> dict[str, float]:
        return {}

    def check(self, step: int, out: Path, *, write: bool) -> bool:
        every, last = self.recipe.evaluate_every, step == self.recipe.optim.steps
        if write and (last or (every and step % every == 0)):
            print(evaluate(self.model, out, step=step))
        return False

    def state(self) -> dict[str, Any]:
        return {}

    def _fitted(self) -> Segmentation:
        if self.recipe.encoder is None:
            raise RecipeError(
                "segmentation starts from an encoder; name one, or set `encoder` in the recipe to "
                "start from random weights"
            )
        stream, modality = self.recipe.data.streams[0], self.recipe.input
        files: Files = stream.files[modality.name]
        source = files.open(self.recipe.data.root, modality)
        return replace(self.recipe, input=modality.fit(source))

    def _scale_of(self, name: str) -> float:
        assert self.recipe.encoder is not None
        depth = self.recipe.encoder.depth
        return self.recipe.layer_decay ** _steps_from_top(name, depth)


def _build(recipe: Segmentation) -> SegmentationModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return SegmentationModel(recipe)


def _steps_from_top(name: str, depth: int) -> int:
    """0 for the head and the final norm, 1 for the last block, depth + 1 for the embeddings."""
    if not name.startswith("encoder.") or name.startswith("encoder.backbone.encoder.norm."):
        return 0
    block = name.removeprefix("encoder.backbone.encoder.blocks.").partition(".")[0]
    return depth - int(block) if block.isdigit() else depth + 1
