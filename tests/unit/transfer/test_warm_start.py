"""Runs that begin as trained encoders: what is taken, what is new, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modalities.image import ImagePatches
from omnimask import RecipeError, adapt, load_encoder, save_encoder
from omnimask.commands.dry_run import recipe_text
from omnimask.commands.pretrain import train
from omnimask.data.streams import open_streams
from omnimask.foundation.records import from_json, load, to_json
from omnimask.masking.full import full_plan
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe, override
from omnimask.recipe.start import Start
from omnimask.recipe.teacher import Teacher
from omnimask.tokens.tokens import Group, View
from omnimask.training.pretraining import Pretraining
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from omnimask.transfer.warm_start import open_starts
from recipes.mae import cpu
from recipes.small import debug_size
from tests.unit.toy import Toy
from tests.unit.toy_recipe import TOYS, toy_recipe, with_teacher

MEAN = 0.25  # of no toy data: measured means are others


def encoder_folder(folder: Path, *toys: Toy, seed: int = 3, depth: int = 2, width: int = 16) -> str:
    config = Encoder(width=width, depth=depth, num_heads=2)
    torch.manual_seed(seed)
    info = EncoderInfo(name="source", modalities=toys, encoder=config, origin={})
    return str(save_encoder(PretrainedEncoder(info), folder))


@pytest.fixture
def toys() -> tuple[Toy, ...]:
    return tuple(replace(toy, mean=MEAN) for toy in TOYS)


@pytest.fixture
def source(tmp_path: Path, toys: tuple[Toy, ...]) -> str:
    """An encoder of both modalities."""
    return encoder_folder(tmp_path / "source", *toys)


def started(*starts: Start, recipe: Recipe | None = None) -> MaskedModel:
    return Pretraining(
        recipe=replace(recipe or toy_recipe(), start=starts), starts=open_starts
    ).prepare(None)


def group_of(name: str, model: MaskedModel) -> Group:
    readers = {reader.stream.name: reader for reader in open_streams(model.recipe)}
    return readers[name].held_out_group([0, 3, 4])


def features(model: MaskedModel, group: Group) -> torch.Tensor:
    view = View.of(group, {m.name: m for m in model.recipe.modalities})
    return model.eval().backbone([(view, full_plan(view.layout))])[0].visible[0]


def weights(module: torch.nn.Module, part: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in module.state_dict().items() if k.startswith(part)}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first, "nothing was compared"
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def means(model: MaskedModel) -> list[float | None]:
    return [toy.mean for toy in model.recipe.modalities if isinstance(toy, Toy)]


@pytest.mark.parametrize("name", ["toy", "other", "both"])
def test_a_run_begins_with_the_features_of_its_start(source: str, name: str):
    model = started(Start(encoder=source))
    group = group_of(name, model)
    assert torch.equal(features(model, group), load_encoder(source)(group).visible[0])
    assert not torch.equal(features(build_model(model.recipe), group), features(model, group))


def test_statistics_are_those_of_the_start_unless_the_recipe_states_them(source: str):
    recipe = toy_recipe()
    own = replace(recipe, modalities=(TOYS[0], replace(TOYS[1], mean=0.75)))
    model = started(Start(encoder=source), recipe=own)
    assert means(model) == [MEAN, 0.75]
    measured = started(Start(encoder=source, modalities=()), recipe=recipe)
    assert not {None, MEAN} & set(means(measured))


def test_one_modality_is_taken_and_the_others_tokenizer_is_new(
    tmp_path: Path, toys: tuple[Toy, ...], capsys: pytest.CaptureFixture[str]
):
    path = encoder_folder(tmp_path / "alone", toys[0])
    model = started(Start(encoder=path))
    group = group_of("toy", model)
    assert torch.equal(features(model, group), load_encoder(path)(group).visible[0])
    new = "backbone.contents.embeddings.other"
    assert equal(weights(model, new), weights(build_model(model.recipe), new))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"start.0: {path} (source) gives 2 blocks, toy (its mean)",
        "new: tokenizer of other, decoders",
    ]


def test_several_sources_each_give_their_modality(tmp_path: Path, toys: tuple[Toy, ...]):
    first = encoder_folder(tmp_path / "first", toys[0], seed=3)
    second = encoder_folder(tmp_path / "second", toys[1], seed=4, depth=5)
    model = started(
        Start(encoder=first, modalities=("toy",)),
        Start(encoder=second, modalities=("other",), blocks=False),
    )
    group = group_of("toy", model)
    assert torch.equal(features(model, group), load_encoder(first)(group).visible[0])
    for part in ("contents.embeddings.other", "places.modalities.other"):
        given = weights(load_encoder(second), f"backbone.{part}")
        assert equal(weights(model, f"backbone.{part}"), given)
    norm = "backbone.encoder.norm"
    assert equal(weights(model, norm), weights(load_encoder(first), norm))


def test_a_name_that_another_begins_with_is_another(tmp_path: Path, toys: tuple[Toy, ...]):
    recipe = from_json(json.loads(json.dumps(to_json(toy_recipe())).replace('other"', 'toy2"')))
    path = encoder_folder(tmp_path / "both", toys[0], replace(toys[1], name="toy2"))
    model = started(Start(encoder=path, modalities=("toy",)), recipe=recipe)
    vector = "backbone.places.modalities.toy2"
    assert equal(weights(model, vector), weights(build_model(model.recipe), vector))


def test_a_deeper_run_stacks_its_smaller_self(source: str):
    recipe = override(toy_recipe(), ["encoder.depth=5"])
    model = started(Start(encoder=source), recipe=recipe)
    blocks = load_encoder(source).backbone.encoder.blocks
    for layer, below in enumerate([0, 1, 0, 1, 0]):
        own = model.backbone.encoder.blocks[layer].state_dict()
        assert equal(own, blocks[below].state_dict())
    first, third = (set(map(id, model.backbone.encoder.blocks[i].parameters())) for i in (0, 2))
    assert not first & third


def test_an_ema_teacher_begins_as_the_student(tmp_path: Path):
    train(with_teacher(), tmp_path / "run")
    recipe = with_teacher()
    assert isinstance(recipe.teacher, Teacher)
    for which in ("student", "teacher"):
        model = started(Start(encoder=str(tmp_path / "run"), which=which), recipe=recipe)
        assert model.teacher is not None
        given = load_encoder(tmp_path / "run", which=which).backbone.state_dict()
        assert equal(model.backbone.state_dict(), given)
        assert equal(model.teacher.backbone.state_dict(), given)


def test_a_resumed_run_needs_no_source(source: str, tmp_path: Path):
    recipe = replace(toy_recipe(), start=(Start(encoder=source),))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(recipe, whole)
    shutil.copytree(whole, cut)
    last = sorted((cut / "checkpoints").glob("step-*"))
    shutil.rmtree(last[-1])
    shutil.rmtree(source)
    train(recipe, cut)
    assert len(last) > 1
    assert load_encoder(cut).hash() == load_encoder(whole).hash()
    path = cut / "recipe.json"
    assert load(json.loads(path.read_text()), str(path)) == recipe


def test_the_record_goes_through_json_and_set():
    recipe = replace(toy_recipe(), start=(Start(encoder="runs/vit", modalities=("toy",)),))
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    changes = [
        "start.0.encoder=runs/omni",
        "start.0.modalities=('other',)",
        "start.0.which=teacher",
    ]
    changed = override(recipe, changes).start
    assert changed == (Start(encoder="runs/omni", modalities=("other",), which="teacher"),)


def test_a_dry_run_says_the_statistics_of_the_start(source: str):
    said = recipe_text(replace(toy_recipe(), start=(Start(encoder=source),)))
    assert f'"mean": {MEAN}' in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "encoder.width=32",
            r"start.0: the recipe.*: width is 32 \(there 16\); write --set encoder.width=16",
        ),
        ("encoder.num_heads=4", r"num_heads is 4 \(there 2\)"),
        ("encoder.positions=both", r"positions is 'both' \(there 'additive'\)"),
        ("encoder.num_registers=1", r"num_registers is 1 \(there 0\)"),
        ("encoder.class_token=False", r"--set encoder.class_token=True"),
        ("encoder.style.swiglu=True", r"style.swiglu is True"),
        ("encoder.style.layer_scale=0.1", r"--set encoder.style.layer_scale=None"),
        ("encoder.depth=1", r"encoder.depth is 1, .* has 2 blocks.*--set encoder.depth=2"),
        ("modalities.toy.num_values=5", r"start.0: toy: the embedding of pretraining does not fit"),
    ],
)
def test_an_encoder_of_another_make_is_refused(source: str, change: str, message: str):
    recipe = override(toy_recipe(), [change])
    with pytest.raises(RecipeError, match=message):
        started(Start(encoder=source), recipe=recipe)


def test_only_what_is_taken_must_be_alike(source: str):
    recipe = override(toy_recipe(), ["encoder.style.attention=varlen", "encoder.num_registers=1"])
    model = started(Start(encoder=source, blocks=False), recipe=recipe)
    part = "backbone.contents.embeddings.toy"
    assert equal(weights(model, part), weights(load_encoder(source), part))
    part = "backbone.encoder"
    assert equal(weights(model, part), weights(build_model(model.recipe), part))


def test_a_source_that_is_not_there_or_has_not_the_modality(
    tmp_path: Path, toys: tuple[Toy, ...], source: str
):
    with pytest.raises(RecipeError, match=r"start.1: there is no .*nowhere"):
        started(
            Start(encoder=source, modalities=()),
            Start(encoder=str(tmp_path / "nowhere"), blocks=False),
        )
    alone = encoder_folder(tmp_path / "alone", toys[0])
    with pytest.raises(RecipeError, match=r"start.0: .*never saw 'other'"):
        started(Start(encoder=alone, modalities=("other",)))
    with pytest.raises(RecipeError, match=r"start.0 and start.1 both give 'toy'"):
        started(Start(encoder=source), Start(encoder=alone, blocks=False))
    renamed = encoder_folder(tmp_path / "renamed", replace(toys[0], name="wave"))
    with pytest.raises(RecipeError, match="has no modality of the recipe: it has wave"):
        started(Start(encoder=renamed, blocks=False))


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([{}, {}], r"\[0, 1\] all give their blocks.*--set start.1.blocks=False"),
        ([{"modalities": ("tyo",)}], r"start.0.modalities: 'tyo' is unknown; did you mean toy\?"),
        (
            [{"modalities": ("toy",)}, {"modalities": ("toy",), "blocks": False}],
            "start.0 and start.1 both give 'toy'",
        ),
        ([{"modalities": ("toy", "toy")}], "a name twice"),
        ([{"modalities": (), "blocks": False}], "nothing is taken from somewhere"),
        ([{"encoder": ""}], "encoder must be the path"),
    ],
)
def test_what_needs_no_files_is_refused_at_once(starts: list[dict], message: str):
    with pytest.raises(RecipeError, match=message):
        replace(toy_recipe(), start=tuple(Start(**{"encoder": "somewhere", **s}) for s in starts))


def test_an_image_encoder_of_another_size_is_resampled(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = debug_size(cpu("image"))
    recipe = replace(recipe, data=replace(recipe.data, root=str(sample_data)))
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    image = ImagePatches(size=(64, 64), patch=(8, 8), mean=mean, std=std)
    info = EncoderInfo(name="vit", modalities=(image,), encoder=recipe.encoder, origin={})
    path = str(save_encoder(PretrainedEncoder(info), tmp_path / "vit"))
    model = started(Start(encoder=path), recipe=recipe)
    (own,) = model.recipe.modalities
    assert own == ImagePatches(size=(32, 32), patch=(4, 4), mean=mean, std=std)
    assert "image (its mean, std); image: patch embedding resampled" in capsys.readouterr().out
    expected, _ = adapt(load_encoder(path), [own])
    assert equal(weights(model.backbone, ""), weights(expected.backbone, ""))
