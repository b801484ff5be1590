"""Whole fine-tuning runs on toy data: resume, early stop, loading, errors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from omnimask.commands.finetune import finetune
from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json, to_json
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import override
from omnimask.tokens.modality import Visit
from omnimask.training.checkpoint import (
    Checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_checkpoint,
)
from omnimask.training.loop import carry_out
from omnimask.transfer.finetuning.classification import MultiLabel
from omnimask.transfer.finetuning.classifier import load_classifier
from omnimask.transfer.finetuning.heads import Head
from omnimask.transfer.finetuning.job import FineTuning
from omnimask.transfer.finetuning.recipe import (
    FinetuneRecipe,
    Freeze,
    Labels,
    Lora,
    Mix,
    Validation,
)
from omnimask.transfer.finetuning.regression import Regression
from omnimask.transfer.finetuning.results import read_results
from omnimask.transfer.loading import load_encoder, load_model
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from tests.unit.finetuning_cases import toy_finetune, write_targets
from tests.unit.runs import assert_same_weights, dies_at, lines, losses, weights
from tests.unit.toy import Toy, ToyFiles
from tests.unit.toy_recipe import toy_recipe


def everything() -> FinetuneRecipe:
    """Every part that has randomness or state of its own."""
    return toy_finetune(
        drop_path=0.2,
        mix=Mix(mixup=0.5, cutmix=0.5),
        show=RandomMask(ratio=0.25),
        ema_decay=0.9,
        frozen=Freeze(thaw=0.5),
        validation=Validation(share=0.2, every=2, patience=10),
    )


def train_until(recipe: FinetuneRecipe, run: Path, step: int, patch: pytest.MonkeyPatch) -> None:
    with dies_at(step, patch):
        carry_out(FineTuning(recipe=recipe), run)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("pretrained") / "run"
    train(toy_recipe(), run)
    return run


def from_probe() -> FinetuneRecipe:
    return toy_finetune(head_norm="probe", ema_decay=0.9)


@pytest.mark.parametrize("make", [toy_finetune, everything, from_probe])
def test_a_resumed_run_is_bit_equal(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    finetune(make(), tmp_path / "whole")
    train_until(make(), tmp_path / "killed", 5, monkeypatch)
    finetune(make(), tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    whole, killed = (read_results(tmp_path / name) for name in ("whole", "killed"))
    assert whole["streams"] == killed["streams"]


def test_looking_at_samples_does_not_change_a_run(tmp_path: Path):
    finetune(toy_finetune(drop_path=0.2), tmp_path / "blind")
    watched = toy_finetune(drop_path=0.2, validation=Validation(every=1))
    finetune(watched, tmp_path / "watched")
    assert_same_weights(tmp_path / "blind", tmp_path / "watched")
    assert len(lines(tmp_path / "watched", "evaluations.jsonl")) == 8


def test_looks_say_what_they_could_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = toy_finetune(validation=Validation(every=4))
    (stream,) = recipe.data.streams
    bad = ToyFiles(path="held_out", num_samples=12, bad=(3,))
    streams = (replace(stream, held_out={"toy": bad}),)
    carry_out(
        FineTuning(recipe=replace(recipe, data=replace(recipe.data, streams=streams))), tmp_path
    )
    looks = lines(tmp_path, "evaluations.jsonl")
    assert [list(look["unreadable"]) for look in looks] == [["class-0/held_out-003.toy"]] * 2
    assert "could not read class-0/held_out-003.toy" in capsys.readouterr().out


def test_accumulation_equals_one_large_batch(tmp_path: Path):
    recipe = toy_finetune()
    half = replace(recipe.data.streams[0], batch_size=3)
    small = replace(
        recipe,
        data=replace(recipe.data, streams=(half,)),
        optim=replace(recipe.optim, accumulate=2),
    )
    finetune(recipe, tmp_path / "large")
    finetune(small, tmp_path / "small")
    expected, got = losses(tmp_path / "large"), losses(tmp_path / "small")
    for step, loss in expected.items():
        assert got[step] == pytest.approx(loss, abs=1e-4), step


def test_waves_are_learnt_and_the_loaded_model_says_so(tmp_path: Path):
    recipe = toy_finetune(optim=replace(toy_finetune().optim, steps=80))
    finetune(recipe, tmp_path / "run")
    results = read_results(tmp_path / "run")
    accuracy = results["streams"]["toy"]["scores"]["accuracy"]
    assert accuracy["value"] > 0.9
    assert accuracy["low"] < accuracy["value"]
    classifier = load_classifier(tmp_path / "run")
    source = ToyFiles(path="held_out", num_samples=12).open(".", Toy())
    samples = [{"toy": source.read(i, Visit(key=0, augment=False))} for i in range(12)]
    right = [a == source.label(i) for i, a in enumerate(classifier.classes(samples))]
    assert sum(right) / 12 == pytest.approx(accuracy["value"])
    with pytest.raises(RecipeError, match="never saw 'sound'"):
        classifier.predict([{"sound": samples[0]["toy"]}])


def test_a_run_starts_from_the_pretrained_weights(pretrained: Path, tmp_path: Path):
    start = load_encoder(pretrained)
    still = replace(toy_finetune(), frozen=Freeze(encoder=True))
    finetune(still, tmp_path / "run", encoder=pretrained)
    before, after = start.state_dict(), weights(tmp_path / "run")
    for name, value in after.items():
        if name.startswith("backbone."):
            assert torch.equal(value, before[name]), name
    assert read_results(tmp_path / "run")["start"] == f"toy {start.hash()}"
    finetune(still, tmp_path / "run")  # the encoder is in the checkpoint; nothing is left to do


def test_statistics_are_those_of_pretraining():
    info = EncoderInfo(
        name="toy",
        modalities=(Toy(mean=0.25),),
        encoder=Encoder(width=16, depth=2, num_heads=2),
        origin={},
    )
    job = FineTuning(recipe=toy_finetune(), start=PretrainedEncoder(info))
    model = job.prepare(None)
    assert isinstance(model.modalities["toy"], Toy)
    assert model.modalities["toy"].mean == 0.25
    assert job.recipe.modalities == info.modalities, "which checkpoints keep"
    scratch = FineTuning(recipe=toy_finetune())
    scratch.prepare(None)
    assert scratch.recipe.modalities == (Toy().fit(ToyFiles().open(".", Toy())),)


def test_the_encoder_of_a_run_can_be_taken_again(pretrained: Path, tmp_path: Path):
    finetune(toy_finetune(lora=Lora(rank=2)), tmp_path / "first", encoder=pretrained)
    encoder = load_encoder(tmp_path / "first")
    tuned = load_classifier(tmp_path / "first")
    source = ToyFiles().open(".", Toy())
    samples = [{"toy": source.read(i, Visit(key=0, augment=False))} for i in range(4)]
    features = encoder.embed(samples)
    head = tuned.model.head
    assert isinstance(head, Head)
    outputs = head.linear(head.norm(features)).softmax(dim=1)
    torch.testing.assert_close(outputs, tuned.predict(samples), atol=1e-5, rtol=1e-5)
    finetune(toy_finetune(), tmp_path / "second", encoder=tmp_path / "first")


def test_lora_trains_updates_and_head_alone(pretrained: Path, tmp_path: Path):
    finetune(toy_finetune(lora=Lora(rank=2)), tmp_path / "run", encoder=pretrained)
    before, after = load_encoder(pretrained).state_dict(), weights(tmp_path / "run")
    base = after["backbone.encoder.blocks.0.attn.qkv.base_layer.weight"]
    assert torch.equal(base, before["backbone.encoder.blocks.0.attn.qkv.weight"])
    assert after["backbone.encoder.blocks.0.attn.qkv.lora_B.default.weight"].abs().max() > 0
    embedding = "backbone.contents.embeddings.toy.weight"
    assert torch.equal(after[embedding], before[embedding])


def test_early_stop_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import omnimask.transfer.finetuning.job as job

    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(job, "main_value", lambda task, predicted: next(scores))
    recipe = toy_finetune(validation=Validation(share=0.2, every=1, patience=2))
    finetune(recipe, tmp_path)
    assert [path.name for path in list_checkpoints(tmp_path)][-1] == "step-00000004"
    assert last_checkpoint(tmp_path / "best").name == "step-00000002"
    assert read_results(tmp_path)["steps"] == 2
    finetune(recipe, tmp_path)  # over: no score is asked for again
    assert len(losses(tmp_path)) == 4


def test_a_resumed_run_goes_on_with_its_best_score():
    job = FineTuning(recipe=toy_finetune())
    model = job.prepare(None)
    job.best = {"score": 0.5, "step": 3, "since": 2}
    saved = Checkpoint(
        recipe=job.recipe, weights=model.state_dict(), optimizer={}, state=job.state()
    )
    resumed = FineTuning(recipe=toy_finetune())
    resumed.prepare(saved)
    assert resumed.best == job.best


def test_early_stop_needs_samples_of_its_own():
    with pytest.raises(RecipeError, match=r"set validation.share"):
        Validation(every=5, patience=3)


@pytest.mark.parametrize("task", [Regression(), MultiLabel(separator="+")])
def test_other_tasks_run(task: Any, tmp_path: Path):
    cells = ["1", "2", "3"] if isinstance(task, Regression) else ["a", "a+b", "b", ""]
    labels = Labels(table=write_targets(tmp_path, {"y": cells}), columns=("y",))
    recipe = toy_finetune(str(tmp_path), task=task, labels=labels)
    recipe = replace(recipe, run=replace(recipe.run, report=True))
    finetune(recipe, tmp_path / "run")
    assert task.main_score in read_results(tmp_path / "run")["streams"]["toy"]["scores"]
    assert "Worst mistakes" in (tmp_path / "run/report/index.html").read_text()


def test_the_report_has_matrix_and_mistakes(tmp_path: Path):
    recipe = toy_finetune(validation=Validation(every=4))
    finetune(replace(recipe, run=replace(recipe.run, report=True)), tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    for part in ("confusion matrix", "balanced_accuracy by step", "taken for", "class-1"):
        assert part in page, part


def test_a_modality_that_the_encoder_never_saw(pretrained: Path, tmp_path: Path):
    data = toy_finetune().data
    stream = replace(
        data.streams[0], files={"new": ToyFiles()}, held_out={"new": ToyFiles(path="held_out")}
    )
    recipe = toy_finetune(modalities=(Toy(name="new"),), data=replace(data, streams=(stream,)))
    with pytest.raises(RecipeError, match="never saw 'new'"):
        finetune(recipe, tmp_path / "run", encoder=pretrained)
    assert not (tmp_path / "run").exists()


def test_runs_of_the_other_kind_are_refused(pretrained: Path, tmp_path: Path):
    finetune(toy_finetune(), tmp_path / "tuned")
    with pytest.raises(RecipeError, match="by a Recipe, expected one by a FinetuneRecipe"):
        load_classifier(pretrained)
    with pytest.raises(RecipeError, match="by a FinetuneRecipe, expected one by a Recipe"):
        load_checkpoint(last_checkpoint(tmp_path / "tuned"))
    with pytest.raises(RecipeError, match="expected one by a Recipe"):
        load_model(tmp_path / "tuned")
    with pytest.raises(RecipeError, match="expected one by a FinetuneRecipe"):
        finetune(toy_finetune(), pretrained)


def test_a_recipe_goes_through_json_and_set():
    recipe = everything()
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    changed = override(recipe, ["label_share=0.1", "task.smoothing=0.1", "show.ratio=0.5"])
    assert (changed.label_share, changed.task.smoothing) == (0.1, 0.1)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RecipeError, match="label_shar"):
        override(recipe, ["label_shar=0.1"])
