"""Fine-tuning, as the training loop sees it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from omnimask.data.samples import Unreadable
from omnimask.data.streams import StreamReader
from omnimask.foundation.json_lines import append_line
from omnimask.training.checkpoint import Checkpoint
from omnimask.training.checkpoint_writer import save_checkpoint
from omnimask.training.fitting import fit_modalities
from omnimask.training.going_on import changed_optim
from omnimask.training.optimisation import build_optimizer
from omnimask.training.progress import say
from omnimask.transfer.adapting import adapt
from omnimask.transfer.finetuning.evaluate import predict_all
from omnimask.transfer.finetuning.head_start import start_head
from omnimask.transfer.finetuning.labels import Readers, fit_task, open_readers
from omnimask.transfer.finetuning.layers import rate_scale
from omnimask.transfer.finetuning.model import FinetunedModel, build_finetuned
from omnimask.transfer.finetuning.recipe import FinetuneRecipe
from omnimask.transfer.finetuning.scores import main_value
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

BEST = "best"  # in the run folder: a folder with the checkpoint of the best weights
EVALUATIONS = "evaluations.jsonl"


@dataclass(kw_only=True, slots=True)
class FineTuning:
    """A supervised run by a `FinetuneRecipe`, from `start` or from scratch."""

    recipe: FinetuneRecipe
    start: PretrainedEncoder | None = None
    readers: list[Readers] = field(default_factory=list)
    built: FinetunedModel | None = None
    best: dict[str, Any] = field(default_factory=lambda: {"score": None, "step": 0, "since": 0})
    ended: bool = False

    @property
    def model(self) -> FinetunedModel:
        assert self.built is not None, "prepared before it is asked for"
        return self.built

    def prepare(self, resumed: Checkpoint[Any] | None) -> FinetunedModel:
        recipe = self.recipe
        if resumed is not None:
            optim = changed_optim(resumed.recipe.optim, recipe.optim)
            recipe = replace(resumed.recipe, run=recipe.run, data=recipe.data, optim=optim)
            self.built = build_finetuned(recipe)
            self.built.load_state_dict(resumed.weights)
            self.best = dict(resumed.state["best"])
            self.ended = bool(resumed.state["ended"])
        else:
            recipe = fit_task(recipe)
            if self.start is None:
                recipe = replace(recipe, modalities=fit_modalities(recipe.modalities, recipe.data))
                self.built = build_finetuned(recipe)
            else:
                recipe, start = take_encoder(recipe, self.start)
                self.built = build_finetuned(recipe, start)
        self.recipe, self.readers = recipe, open_readers(recipe)
        if resumed is None and recipe.head_norm == "probe":
            print(start_head(self.model, [part.train for part in self.readers]))
        return self.model

    def open_streams(self) -> list[StreamReader]:
        return [part.train for part in self.readers]

    def optimizer(self) -> torch.optim.Optimizer:
        recipe = self.recipe

        def scale_of(name: str) -> float:
            return rate_scale(name, depth=recipe.encoder.depth, decay=recipe.layer_decay)

        return build_optimizer(self.model, recipe.optim, scale_of)

    def numbers(self, progress: float) -> dict[str, float]:
        return {}

    def check(self, step: int, out: Path, *, write: bool) -> bool:
        validation = self.recipe.validation
        last = step == self.recipe.optim.steps
        if validation.every == 0 or (step % validation.every and not last):
            return False
        aside = [part.validation for part in self.readers if part.validation is not None]
        held_out = [part.held_out for part in self.readers]
        task = self.recipe.task
        unreadable = Unreadable()
        score = main_value(task, predict_all(self.model, aside or held_out, unreadable))
        if write:
            part = "validation" if aside else "held out"
            line = {"step": step, "part": part, task.main_score: score}
            bad = {"unreadable": unreadable.errors} if unreadable.errors else {}
            append_line(out / EVALUATIONS, {**line, **bad})
            say(
                [
                    f"step {step}: could not read {name}: {e}"
                    for name, e in unreadable.errors.items()
                ]
            )
        if validation.patience == 0:
            return False
        if self.best["score"] is None or score > self.best["score"]:
            self.best = {"score": score, "step": step, "since": 0}
            if write:
                self._keep(out, step)
        else:
            self.best = {**self.best, "since": self.best["since"] + 1}
        self.ended = last or self.best["since"] >= validation.patience
        return self.ended

    def _keep(self, out: Path, step: int) -> None:
        """A checkpoint of its own, without the optimizer: no run goes on from it."""
        checkpoint = Checkpoint(
            recipe=self.recipe,
            weights=self.model.state_dict(),
            optimizer={},
            state={"step": step, **self.state()},
        )
        save_checkpoint(out / BEST, checkpoint, keep=1)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "ended": self.ended}


def take_encoder(
    recipe: FinetuneRecipe, start: PretrainedEncoder
) -> tuple[FinetuneRecipe, PretrainedEncoder]:
    """The recipe with the encoder's configuration and statistics, and the encoder adapted to the
    recipe's modalities. Prints what was adapted.

    RecipeError for a modality that the encoder never saw.
    """
    adapted, lines = adapt(start, recipe.modalities)
    for line in lines:
        print(line)
    encoder = adapted.info.encoder
    return replace(recipe, encoder=encoder, modalities=adapted.info.modalities), adapted
