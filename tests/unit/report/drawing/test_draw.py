"""Sheets of masks and reconstructions: whose masks, which pixels, which place on the sheet."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnimask.commands.main import main
from omnimask.commands.pretrain import train
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.foundation.rng import Rng
from omnimask.masking import Copies, PredictShare, RandomMask, SeveralMasks
from omnimask.masking.plan import MaskPlan
from omnimask.recipe.loading import load_named_recipe
from omnimask.recipe.recipe import Recipe, override
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.report.drawing.masks import draw_masks, draw_visits, hint_note, mask_model
from omnimask.report.drawing.panels import (
    HIDDEN,
    PREDICTED,
)
from omnimask.report.drawing.reconstructions import draw_reconstructions
from omnimask.report.drawing.sheet import Sheet, paint
from omnimask.tokens.modality import Drawing
from omnimask.tokens.tokens import Grid, Layout, Raw, View
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.loading import load_model
from tests.unit.toy import Toy
from tests.unit.toy_recipe import toy_recipe, with_teacher

WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 128, 0), (0, 0, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class Panelled(Toy):
    """A toy that is drawn as three panels, a column for each token: blue where it is seen."""

    def draw(self, raw: Raw, *, visible: Tensor, filled: Tensor, index: int) -> Drawing:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 2), layout="constrained")
        seen = visible[index].numpy()
        columns = (np.ones_like(seen), seen, np.ones_like(seen))
        for axes, blue in zip(figure.subplots(1, 3), columns, strict=True):
            axes.imshow(np.where(blue[None, :, None], np.array(BLUE), np.array(HIDDEN)))
            axes.set_title("a title")
        return Drawing(figure=figure)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardening:
    """Hides a quarter at the start of training and three quarters at its end."""

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        return RandomMask(ratio=0.25 + 0.5 * progress)(layout, rng, hints, progress)


def only_toy(**fields) -> Recipe:
    """One stream of one modality that is drawn in panels."""
    recipe = toy_recipe()
    data = replace(recipe.data, streams=recipe.data.streams[:1])
    fields = {"objectives": recipe.objectives[:1], **fields}
    return replace(recipe, modalities=(Panelled(mean=0.0),), data=data, **fields)


def visits(recipe: Recipe, num_visits: int) -> tuple[MaskedModel, list[View]]:
    model = mask_model(recipe)
    stream = model.recipe.data.streams[0]
    reader = StreamReader(stream, stream.files, model.recipe)
    views = []
    for epoch in range(num_visits):
        keys = torch.tensor([reader.key(index, epoch) for index in (0, 1, 4)])
        (view,) = model.views([replace(reader.held_out_group([0, 1, 4]), keys=keys)])
        views.append(view)
    return model, views


def test_the_masks_are_those_of_the_recipe_s_masker():
    recipe = toy_recipe()
    model, views = visits(recipe, 2)
    masks = draw_visits(model, views, progress=0.0, draws=2)
    assert [mask.label for mask in masks] == ["mask 1", "mask 2"]
    for mask, view in zip(masks, views, strict=True):
        (plan,) = recipe.masker(view.layout, view.group.rng.child("mask"))
        for row in range(3):
            visible = plan.visible_ids[row, : plan.num_visible[row]].tolist()
            asked = plan.predict_ids[row, : plan.num_predict[row]].tolist()
            assert mask.visible[row].nonzero().flatten().tolist() == visible
            assert mask.predict[row].nonzero().flatten().tolist() == asked
    assert not torch.equal(masks[0].visible, masks[1].visible)


def test_the_copies_of_a_visit_stand_side_by_side():
    recipe = replace(toy_recipe(), masker=Copies(masker=RandomMask(ratio=0.5), copies=2))
    model, views = visits(recipe, 2)
    masks = draw_visits(model, views, progress=0.0, draws=2)
    assert [mask.label for mask in masks] == [
        f"draw {draw}, mask {mask}" for draw in (1, 2) for mask in (1, 2)
    ]
    (plan,) = model.masks(views[1], 0.0)
    for copy in range(2):
        for sample in range(3):
            row = 2 * sample + copy
            ids = plan.visible_ids[row, : plan.num_visible[row]]
            assert masks[2 + copy].visible[sample].nonzero().flatten().tolist() == ids.tolist()


def test_of_many_masks_of_a_visit_twice_the_draws_are_drawn():
    masker = SeveralMasks(masks=(Copies(masker=RandomMask(), copies=9), RandomMask()))
    model, views = visits(replace(toy_recipe(), masker=masker), 2)
    masks = draw_visits(model, views, progress=0.0, draws=2)
    assert [mask.label for mask in masks] == [f"draw 1, mask {n}" for n in range(1, 5)]


def test_pixels_show_what_is_seen_and_the_text_says_how_much():
    model = mask_model(only_toy())
    (section,) = draw_masks(model, samples=2, draws=3).sections
    assert section.roles == ("original", "mask 1", "mask 2", "mask 3")
    assert section.details == (
        "RandomMask (ratio 0.5)",
        "4 of 8 tokens visible, hidden 50 %, predicted 50 %",
    )
    assert section.legend == ()
    (line,) = section.lines
    for original, *masked in line.samples:
        assert (original == BLUE).all()
        for picture in masked:
            assert (picture == BLUE).all(axis=2).mean() == pytest.approx(0.5, abs=0.02)
            assert (picture == HIDDEN).all(axis=2).mean() == pytest.approx(0.5, abs=0.02)


def test_what_is_hidden_but_not_predicted_has_another_colour():
    recipe = only_toy(masker=PredictShare(masker=RandomMask(ratio=0.5), share=0.25))
    (section,) = draw_masks(mask_model(recipe), samples=1, draws=1).sections
    assert dict(section.legend) == {
        PREDICTED: "hidden and predicted",
        HIDDEN: "hidden, not predicted",
    }
    assert section.details[1].endswith("hidden 50 %, predicted 12 %")
    picture = section.lines[0].samples[0][1]
    tinted = (picture != BLUE).any(axis=2) & (picture != HIDDEN).any(axis=2)
    assert tinted.mean() == pytest.approx(1 / 8, abs=0.02)


def test_a_masker_that_changes_is_drawn_at_the_start_and_at_the_end():
    (section,) = draw_masks(mask_model(only_toy(masker=Hardening())), draws=2).sections
    assert [line.label for line in section.lines] == ["start of training", "end of training"]
    assert [detail.partition(" of ")[2][:1] for detail in section.details[1:]] == ["t", "t"]
    assert "hidden 25 %" in section.details[1]
    assert "hidden 75 %" in section.details[2]


def test_paired_modalities_have_a_line_each_of_the_same_masks():
    sheet = draw_masks(mask_model(toy_recipe()), samples=2, draws=1)
    assert [section.heading for section in sheet.sections] == ["toy", "other", "both"]
    both = sheet.sections[2]
    assert [line.label for line in both.lines] == ["toy", "other"]
    assert both.squares, "a toy is drawn as one panel"
    assert max(picture.shape[1] for picture in both.lines[0].samples[0]) == 8 * 23 + 3


def test_masks_need_neither_the_encoder_nor_a_frozen_teacher():
    recipe = replace(with_teacher(), teacher=FrozenTeacher(run="there/is/none"))
    recipe = override(recipe, ["encoder.depth=4"])
    model = mask_model(recipe)
    assert model.teacher is None
    assert not model.decoders
    assert model.recipe.encoder.depth == 1


def test_hints_of_an_untrained_teacher_are_said():
    assert "untrained teacher" in hint_note(load_named_recipe("recipes.hpm:debug"))
    assert hint_note(toy_recipe()) == ""


def test_a_missing_data_root_is_named_with_the_tool_that_makes_one(tmp_path: Path):
    recipe = override(toy_recipe(), [f"data.root={tmp_path}/none"])
    with pytest.raises(DataError, match=r"/none; make .*`omnimask sample-data"):
        mask_model(recipe)


@pytest.mark.slow
def test_every_modality_but_the_table_is_drawn_in_panels(sample_data: Path):
    recipe = override(load_named_recipe("recipes.omni:debug"), [f"data.root={sample_data}"])
    sheet = draw_masks(mask_model(recipe), samples=1, draws=1)
    squares = {section.heading: section.squares for section in sheet.sections}
    assert squares.pop("table")
    assert len(squares) == 6
    assert not any(squares.values())
    for section in sheet.sections:
        for line in section.lines:
            original, mask = line.samples[0]
            assert original.shape == mask.shape
            assert not np.array_equal(original, mask)


def test_reconstructions_are_drawn_from_the_last_checkpoint(tmp_path: Path):
    train(toy_recipe(), tmp_path / "run")
    assert main(["draw", "reconstructions", str(tmp_path / "run"), "--samples", "2"]) == 0
    with Image.open(tmp_path / "run" / "reconstructions.png") as image:
        assert image.width > 500
    sheet = draw_reconstructions(load_model(tmp_path / "run"), samples=2)
    headings = [section.heading for section in sheet.sections]
    assert headings == ["toy", "other", "both: toy", "both: other"]
    assert main(["draw", "masks", str(tmp_path / "run"), "--out", str(tmp_path / "m.png")]) == 0
    assert (tmp_path / "m.png").exists()


def test_latent_targets_are_said_and_not_drawn():
    latent = replace(with_teacher().objectives[2], decoder="main")
    recipe = only_toy(teacher=with_teacher().teacher, objectives=(latent,))
    (section,) = draw_reconstructions(build_model(fit(recipe)).eval(), samples=1).sections
    assert section.lines == ()
    assert "features of a teacher" in section.details[0]
    assert paint(Sheet(title="", sections=(section,))).height < 100


def test_a_panelled_reconstruction_has_its_three_roles():
    model = build_model(fit(only_toy())).eval()
    (section,) = draw_reconstructions(model, samples=2).sections
    assert section.roles == ("original", "visible", "reconstruction")
    assert [len(sample) for sample in section.lines[0].samples] == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["masks", "recipes.mae:cqu"], "did you mean cpu"),
        (["masks", "recipes.mae:cpu", "--set", "data.root=no/such"], "omnimask sample-data"),
        (["masks", "."], "has no checkpoint"),
        (["masks", ".", "--set", "seed=1"], "is a run folder"),
        (["reconstructions", "no/such"], "expected a run"),
    ],
)
def test_a_user_s_errors_are_answered(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["draw", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_command_line_imports_nothing_that_draws():
    code = "import sys, omnimask.commands.main; print(*({'matplotlib', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == ""
