"""What a frozen teacher's run folder tells, and what is said where it does not fit."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from omnimask.commands.pretrain import train
from omnimask.decoders import QuantisedDecoder, SelfAttentionDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import ShowAll
from omnimask.objectives.objective import Objective, cross_entropy, mse
from omnimask.objectives.targets import Target, TeacherCodes, TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.fitting import fit
from omnimask.training.frozen_teacher import check_grids
from omnimask.training.pretraining import Pretraining
from omnimask.transfer.encoder_folder import encoder_of, save_encoder
from tests.unit.toy import Toy
from tests.unit.toy_recipe import TOYS, toy_recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherToy(Toy):
    """The same by another type."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a codebook of 12 codes in its decoder `main`, and another decoder beside it."""
    folder = tmp_path_factory.mktemp("frozen") / "run"
    recipe = toy_recipe()
    codebook = QuantisedDecoder(num_codes=12, code_dim=4, width=8, depth=1, num_heads=2)
    first, second = (replace(o, where="all") for o in recipe.objectives)
    recipe = replace(
        recipe,
        masker=ShowAll(),
        decoders={"main": codebook, "plain": SelfAttentionDecoder(width=8, depth=1, num_heads=2)},
        objectives=(first, replace(second, decoder="plain")),
    )
    train(replace(recipe, optim=replace(recipe.optim, steps=2, warmup_steps=0)), folder)
    return folder


def taught(run: Path, *, decoder: str | None = None, num_codes: int = 12) -> Recipe:
    """Hidden tokens of one toy modality are asked for a run's features, or for its codes."""
    target: Target = TeacherCodes(num_codes=num_codes) if decoder else TeacherFeatures()
    objective = Objective(
        name="asked", modality="toy", target=target, loss=cross_entropy if decoder else mse
    )
    return replace(
        toy_recipe(),
        modalities=TOYS[:1],
        objectives=(objective,),
        data=Data(root=".", streams=toy_recipe().data.streams[:1]),
        teacher=FrozenTeacher(run=str(run), decoder=decoder),
    )


def test_a_codebook_is_that_of_its_run(run: Path, tmp_path: Path):
    train(taught(run, decoder="main"), tmp_path / "run")
    checkpoint = load_checkpoint(last_checkpoint(tmp_path / "run"))
    source = load_checkpoint(last_checkpoint(run)).weights
    book = {name: value for name, value in source.items() if name.startswith("decoders.main.")}
    assert "decoders.main.codebook.codes" in book
    for name, value in book.items():
        taken = checkpoint.weights[name.replace("decoders.main", "teacher.codebook")]
        assert torch.equal(taken, value), name


def test_a_missing_run_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"no run folder .*nowhere; .*--set teacher\.run="):
        fit(taught(tmp_path / "nowhere"))
    with pytest.raises(RecipeError, match=r"teacher\.run: .* has no checkpoint yet.*finished run"):
        fit(taught(tmp_path))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Toy(num_tokens=4), r"modalities\.toy has the grid t=4, .*teacher\.run=.* the grid t=8"),
        (Toy(num_values=5), r"modalities\.toy has 5 values in a token, .*teacher\.run=.* 4: "),
        (OtherToy(), r"modalities\.toy is a OtherToy, .*teacher\.run=.* has a Toy of that name"),
    ],
)
def test_a_teacher_that_cuts_samples_otherwise_is_refused(run: Path, other: Toy, message: str):
    with pytest.raises(RecipeError, match=message):
        check_grids(replace(fit(taught(run)), modalities=(other,)))


def test_a_teacher_that_never_saw_the_modality_is_refused(run: Path):
    recipe = taught(run)
    (stream,) = recipe.data.streams
    stream = replace(stream, files={"third": stream.files["toy"]}, held_out=None)
    recipe = replace(
        recipe,
        modalities=(Toy(name="third"),),
        objectives=(replace(recipe.objectives[0], modality="third"),),
        data=replace(recipe.data, streams=(stream,)),
    )
    with pytest.raises(RecipeError, match=r"teacher\.run: .* never saw 'third'; it knows other"):
        fit(recipe)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ("mian", r"decoder 'mian' of teacher\.run=.* is not in that run; write .*decoder=main"),
        ("plain", r"'plain' of .* without a codebook; write --set teacher\.decoder=main"),
    ],
)
def test_a_decoder_without_a_codebook_is_refused(run: Path, decoder: str, message: str):
    with pytest.raises(RecipeError, match=message):
        fit(taught(run, decoder=decoder))


def test_a_run_without_any_codebook_is_refused(run: Path, tmp_path: Path):
    recipe = taught(run)
    train(replace(recipe, optim=replace(recipe.optim, steps=2)), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"none of its decoders has .* in teacher\.run"):
        fit(taught(tmp_path / "run", decoder="main"))


def test_another_number_of_codes_is_refused(run: Path):
    message = r"TeacherCodes\.num_codes is 9, teacher\.codebook\.num_codes is 12 .*num_codes=12"
    with pytest.raises(RecipeError, match=message):
        fit(taught(run, decoder="main", num_codes=9))


def test_an_encoder_folder_teaches_as_the_run_it_comes_from(run: Path, tmp_path: Path):
    """As an import or an export leaves it: no decoders, no checkpoints."""
    folder = save_encoder(encoder_of(load_checkpoint(last_checkpoint(run))), tmp_path / "encoder")
    of_run, of_folder = (Pretraining(recipe=taught(path)).prepare(None) for path in (run, folder))
    for name, value in of_run.teacher.backbone.state_dict().items():
        assert torch.equal(value, of_folder.teacher.backbone.state_dict()[name]), name
    assert of_folder.recipe.teacher.encoder == of_run.recipe.teacher.encoder
    with pytest.raises(RecipeError, match="holds an encoder without decoders"):
        fit(taught(folder, decoder="main"))
