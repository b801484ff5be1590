"""`results.json` of a fine-tuning run: held-out scores with intervals."""

import json
from dataclasses import asdict
from pathlib import Path

from omnimask.data.samples import Unreadable
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.hardware import hardware
from omnimask.training.checkpoint import write_json
from omnimask.transfer.finetuning.classifier import find_checkpoint, load_classifier
from omnimask.transfer.finetuning.evaluate import predict_all
from omnimask.transfer.finetuning.labels import open_readers
from omnimask.transfer.finetuning.scores import per_class, score

RESULTS = "results.json"


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
