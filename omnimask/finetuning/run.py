"""Fine-tuning and what follows it: the whole job of `omnimask finetune`."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from omnimask.checkpoint import list_checkpoints, write_json
from omnimask.encoder_file import load_encoder
from omnimask.errors import RecipeError
from omnimask.finetuning.classifier import find_checkpoint, load_classifier
from omnimask.finetuning.evaluate import predict_all
from omnimask.finetuning.job import FineTuning
from omnimask.finetuning.labels import open_readers
from omnimask.finetuning.recipe import FinetuneRecipe
from omnimask.finetuning.report import write_finetune_report
from omnimask.finetuning.scores import per_class, score
from omnimask.hardware import hardware
from omnimask.pretrained import PretrainedEncoder
from omnimask.report.samples import Unreadable
from omnimask.trainer import carry_out, is_main_process

RESULTS = "results.json"


def finetune(
    recipe: FinetuneRecipe,
    out: Path | str | None = None,
    *,
    encoder: PretrainedEncoder | Path | str | None = None,
) -> Path:
    """Trains into `out` (runs/<recipe name> by default), measures on held-out samples; returns it.

    `encoder`: a run, a checkpoint, an encoder folder or an encoder in memory; None is from scratch,
    or to go on with the run in `out`. `out/results.json` has the scores, `out/report/` the page.
    """
    out = Path("runs") / recipe.name if out is None else Path(out)
    start = encoder if isinstance(encoder, PretrainedEncoder) else None
    if encoder is not None and start is None:
        assert not isinstance(encoder, PretrainedEncoder)
        start = load_encoder(encoder)
    if start is not None:
        recipe = replace(
            recipe, start=f"{start.info.name} {start.hash()}", encoder=start.info.encoder
        )
    elif list_checkpoints(out):
        recipe = _as_begun(recipe, out)
    carry_out(FineTuning(recipe=recipe, start=start), out)
    if is_main_process():
        evaluate_run(out)
        if recipe.run.report:
            print(f"report: {write_finetune_report(out)}")
    return out


def _as_begun(recipe: FinetuneRecipe, out: Path) -> FinetuneRecipe:
    """A run that began from an encoder goes on without it: its weights are in the checkpoint."""
    begun = find_checkpoint(out).recipe
    return replace(recipe, start=begun.start, encoder=begun.encoder) if begun.start else recipe


def evaluate_run(run: Path) -> Path:
    """Writes `results.json` of a finished run: held-out scores with intervals, per stream."""
    classifier = load_classifier(run)
    recipe = classifier.recipe
    streams = {}
    for part in open_readers(recipe):
        unreadable = Unreadable()
        predicted = predict_all(classifier.model, [part.held_out], unreadable)
        streams[part.held_out.stream.name] = {
            "num_train": len(part.train),
            "num_validation": 0 if part.validation is None else len(part.validation),
            "num_held_out": len(predicted.names),
            "unreadable": unreadable.errors,
            "scores": {name: asdict(s) for name, s in score(recipe.task, predicted).items()},
            "per_class": per_class(recipe.task, predicted),
        }
    state = find_checkpoint(run).state
    write_json(
        run / RESULTS,
        {
            "recipe": recipe.name,
            "start": recipe.start,
            "steps": int(state["step"]),
            "seed": recipe.seed,
            "label_share": recipe.label_share,
            "task": type(recipe.task).__name__,
            "outputs": list(recipe.task.outputs),
            "streams": streams,
            "versions": state["versions"],
            "hardware": hardware(),
        },
    )
    return run / RESULTS


def read_results(run: Path | str) -> dict:
    """The numbers of `results.json`; RecipeError where the run is not finished."""
    path = Path(run, RESULTS)
    if not path.exists():
        raise RecipeError(f"there is no {path}; `omnimask finetune` writes it when a run is done")
    return json.loads(path.read_text())
