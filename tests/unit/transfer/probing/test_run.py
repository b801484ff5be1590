"""All probes of a small encoder on toy streams."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import omnimask
from omnimask.commands.main import main
from omnimask.data.samples import Unreadable
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Stream
from omnimask.training.fitting import fit
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.intervals import wilson_interval
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from omnimask.transfer.probing.attentive import Attentive
from omnimask.transfer.probing.features import Kept, encode_samples, encode_with
from omnimask.transfer.probing.run import probe, untrained_encoder
from omnimask.transfer.probing.settings import Probes
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import toy_recipe

FEW = Probes(random_seeds=(1000,), max_train=24, max_test=12)


def encoder_of(recipe: Recipe, seed: int = 0) -> PretrainedEncoder:
    info = EncoderInfo(
        name="toy", modalities=fit(recipe).modalities, encoder=recipe.encoder, origin={}
    )
    return untrained_encoder(info, seed)


def with_files(train: ToyFiles, held_out: ToyFiles) -> Recipe:
    recipe = toy_recipe()
    stream = Stream(name="toy", files={"toy": train}, held_out={"toy": held_out})
    return replace(recipe, data=replace(recipe.data, streams=(stream, *recipe.data.streams[1:])))


def test_every_labelled_stream_has_every_probe_beside_random_encoders(tmp_path: Path):
    recipe = toy_recipe()
    settings = Probes(
        layers=None,
        few_shot=(1, 3),
        episodes=5,
        attentive=Attentive(epochs=2),
        random_seeds=(1000, 1001),
    )
    results = probe(encoder_of(recipe), recipe=recipe, settings=settings, out=tmp_path / "out")
    assert {score.stream for score in results.scores} == {"toy", "other", "both"}
    of_toy = [(score.probe, score.layer) for score in results.scores if score.stream == "toy"]
    by_layer = ("knn", "linear", "few-shot 1", "few-shot 3")
    assert set(of_toy) == {(p, n) for p in by_layer for n in (-2, -1)} | {("attentive", -1)}
    for score in results.scores:
        assert len(score.random) == 2
        assert 0 <= score.low <= score.value <= score.high <= 1
        assert (score.num_train, score.num_test, score.num_classes) == (24, 12, 3)
        assert score.chance == pytest.approx(1 / 3)
        if not score.probe.startswith("few-shot"):
            assert (score.low, score.high) == pytest.approx(
                wilson_interval(round(score.value * 12), 12)
            )
    saved = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert saved["scores"][0]["value"] == results.scores[0].value
    assert saved["versions"]["scikit-learn"]
    assert saved["hardware"]["cpu"]
    assert "few-shot 3" in (tmp_path / "out" / "probe.txt").read_text()


def test_the_same_again_and_nothing_random_is_used_up():
    recipe = toy_recipe()
    settings = Probes(
        few_shot=(2,), episodes=4, attentive=Attentive(epochs=2), random_seeds=(1000,)
    )
    encoder = encoder_of(recipe)
    before = torch.get_rng_state(), str(np.random.get_state())
    first = probe(encoder, recipe=recipe, settings=settings)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == str(np.random.get_state())
    torch.manual_seed(77)
    assert probe(encoder, recipe=recipe, settings=settings).scores == first.scores


def test_a_random_encoder_scores_as_the_one_of_its_seed():
    recipe = toy_recipe()
    results = probe(encoder_of(recipe, seed=1000), recipe=recipe, settings=FEW)
    assert [score.random for score in results.scores] == [(s.value,) for s in results.scores]


def test_the_baseline_is_every_other_random_encoder_in_turn():
    recipe = toy_recipe()
    settings = replace(FEW, random_seeds=(1000, 1001))
    results = probe(encoder_of(recipe), recipe=recipe, settings=settings)
    others = [probe(encoder_of(recipe, seed=s), recipe=recipe, settings=FEW) for s in (1000, 1001)]
    for number, other in enumerate(others):
        expected = [score.value for score in other.scores]
        assert [score.random[number] for score in results.scores] == expected
    assert len({encoder_of(recipe, seed=seed).hash() for seed in (0, 1000, 1001)}) == 3


def test_a_layer_is_the_output_of_its_own_block():
    recipe = toy_recipe()
    encoder, kept = encoder_of(recipe).eval(), Kept(layers=(-1, -2))
    stream = recipe.data.streams[0]
    reader = StreamReader(stream, stream.files, recipe)

    def pooled() -> Mapping[int, np.ndarray]:
        encode = encode_with(encoder, kept)
        sides = encode_samples([encode], reader, range(4), kept, torch.device("cpu"), Unreadable())
        assert sides is not None
        return sides[0].pooled

    def disturb(block: int) -> Mapping[int, np.ndarray]:
        name = f"encoder.blocks.{block}.mlp.fc2.bias"
        (bias,) = (value for key, value in encoder.named_parameters() if key.endswith(name))
        with torch.no_grad():
            bias += torch.linspace(-1.0, 1.0, len(bias))
        return pooled()

    before, last, first = pooled(), disturb(1), disturb(0)
    assert np.array_equal(before[-2], last[-2])
    assert np.abs(before[-1] - last[-1]).max() > 0.1
    assert np.abs(last[-2] - first[-2]).max() > 0.1


def test_only_the_streams_with_a_modality():
    recipe = toy_recipe()
    results = probe(encoder_of(recipe), recipe=recipe, modalities=["toy"], settings=FEW)
    assert {score.stream for score in results.scores} == {"toy", "both"}


def test_a_share_of_the_labels_is_of_every_class():
    recipe = toy_recipe()
    results = probe(encoder_of(recipe), recipe=recipe, settings=replace(FEW, label_share=0.2))
    assert results.score("toy", "knn").num_train == 6  # two of the eight in each of three classes


def test_an_encoder_folder_needs_a_recipe(tmp_path: Path):
    recipe = toy_recipe()
    folder = save_encoder(encoder_of(recipe), tmp_path / "encoder")
    with pytest.raises(RecipeError, match="name a recipe whose streams do"):
        probe(folder, settings=FEW)
    found = omnimask.probe(folder, recipe=recipe, settings=FEW)
    assert found.scores == probe(encoder_of(recipe), recipe=recipe, settings=FEW).scores


def test_a_modality_that_was_never_seen_is_refused_or_left_out():
    recipe = toy_recipe()
    encoder = encoder_of(recipe)
    info = replace(encoder.info, modalities=encoder.info.modalities[:1])
    only_toy = untrained_encoder(info, 0)
    with pytest.raises(RecipeError, match="never saw 'other'"):
        probe(only_toy, recipe=recipe, modalities=["other"], settings=FEW)
    results = probe(only_toy, recipe=recipe, settings=FEW)
    assert {score.stream for score in results.scores} == {"toy"}
    assert "never saw other" in results.notes["other"][0]


class Unlabelled(ToyFiles):
    def open(self, root, modality):
        source = super().open(root, modality)
        return type("Silent", (type(source),), {"label": lambda self, index: None})(self, modality)


def test_streams_without_labels_are_left_out_or_refused():
    recipe = with_files(Unlabelled(), Unlabelled(path="held_out"))
    encoder = encoder_of(toy_recipe())
    results = probe(encoder, recipe=recipe, settings=FEW)
    assert "0 training and 0 held-out samples have a label" in results.notes["toy"][0]
    with pytest.raises(DataError, match="'toy' cannot be probed: 0 training"):
        probe(encoder, recipe=recipe, settings=FEW, modalities=["toy"])
    others = tuple(replace(stream, held_out=None) for stream in recipe.data.streams[1:])
    alone = replace(recipe, data=replace(recipe.data, streams=(recipe.data.streams[0], *others)))
    with pytest.raises(DataError, match="no stream of the recipe 'toy' can be probed"):
        probe(encoder, recipe=alone, settings=FEW)


def test_a_class_with_one_sample_is_said_and_stops_larger_episodes():
    recipe = with_files(ToyFiles(num_samples=4), ToyFiles(path="held_out", num_samples=12))
    encoder = encoder_of(toy_recipe())
    settings = replace(FEW, few_shot=(1, 2), episodes=3)
    results = probe(encoder, recipe=recipe, settings=settings)
    told = " | ".join(results.notes["toy"])
    assert "one training sample: class-1, class-2" in told
    assert "left out: few-shot 2: of the training samples 'class-1' has 1" in told
    assert results.score("toy", "few-shot 1").num_train == 4
    with pytest.raises(KeyError):
        results.score("toy", "few-shot 2")
    with pytest.raises(DataError, match="ask for at most 1 per class"):
        probe(encoder, recipe=recipe, settings=settings, modalities=["toy"])


def test_held_out_classes_without_a_training_sample_are_said():
    recipe = with_files(ToyFiles(num_samples=2), ToyFiles(path="held_out", num_samples=12))
    results = probe(encoder_of(toy_recipe()), recipe=recipe, settings=FEW)
    assert "without a training sample: class-2" in " | ".join(results.notes["toy"])


def test_files_that_cannot_be_read_are_listed():
    recipe = with_files(ToyFiles(bad=(3,)), ToyFiles(path="held_out"))
    results = probe(encoder_of(toy_recipe()), recipe=recipe, settings=FEW)
    assert list(results.unreadable) == ["class-0/train-003.toy"]
    assert results.score("toy", "knn").num_train == 23


def test_what_the_encoder_does_not_have():
    recipe = toy_recipe()
    with pytest.raises(RecipeError, match=r"layers must be in \[-2, -1\]"):
        probe(encoder_of(recipe), recipe=recipe, settings=replace(FEW, layers=(-3,)))
    recipe = replace(recipe, encoder=replace(recipe.encoder, class_token=False))
    with pytest.raises(RecipeError, match=r"no \[CLS\] token"):
        probe(encoder_of(recipe), recipe=recipe, settings=replace(FEW, pooling="cls"))


@pytest.mark.parametrize(
    "wrong",
    [{"label_share": 10.0}, {"episodes": 1}, {"few_shot": (0,)}, {"max_train": 0}],
)
def test_settings_are_checked(wrong: dict):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Probes(**wrong)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = save_encoder(encoder_of(toy_recipe()), tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    arguments = ["probe", str(folder), "--recipe", "tests.unit.toy_recipe:toy_recipe"]
    arguments += ["--modality", "toy", "--max-train", "24", "--max-test", "12"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    scores = json.loads((tmp_path / "runs" / "probe-mine" / "probe.json").read_text())["scores"]
    linear = next(s for s in scores if (s["stream"], s["probe"]) == ("toy", "linear"))
    assert f"{linear['value']:.3f} [{linear['low']:.2f}, {linear['high']:.2f}]" in printed
    assert main([*arguments, "--modality", "sound", "--out", str(tmp_path / "other")]) == 2
    assert "never saw 'sound'" in capsys.readouterr().err
