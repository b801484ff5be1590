"""What `draw` is handed: originals where shown, predictions where asked, zero elsewhere."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from omnimask.data.streams import open_held_out
from omnimask.masking import Copies, RandomMask
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.report.pictures import draw_group
from omnimask.tokens.tokens import Tokens
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, View, build_model
from omnimask.transfer.imputing.fill import fill
from tests.unit.toy_recipe import toy_recipe, with_teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition(Content):
    """Restores by adding a number to the values that the objective before left."""

    amount: float = 1.0

    def restore(self, predicted: Tensor, tokens: Tokens) -> Tensor | None:
        return tokens.values + self.amount


def prepared(recipe: Recipe, stream: int = 0) -> tuple[MaskedModel, View]:
    recipe = fit(recipe)
    model = build_model(recipe).eval()
    return model, model.views([open_held_out(recipe)[stream].held_out_group([0, 4, 7])])[0]


def assert_filled_with_predictions(model: MaskedModel, view: View, *, plus: float) -> None:
    """Every predicted token of `toy` under the first copy of the mask holds prediction + `plus`."""
    filled = fill(model, view)["toy"]
    (plan,) = model.masks(view, 1.0)
    (masked,) = model.encode([view], [[plan]])
    predicted = model.predictions(masked)["toy_content"]
    for sample in range(len(filled.values)):
        row = sample * plan.copies
        for place in range(plan.num_predict[row]):
            token = plan.predict_ids[row, place]
            expected = predicted[row, place] + plus
            torch.testing.assert_close(filled.values[sample, token], expected)


def test_shown_tokens_keep_their_values_and_predictions_stand_in_the_others():
    model, view = prepared(toy_recipe())
    tokens, filled = view.tokens["toy"], fill(model, view)["toy"]
    assert filled.visible.sum(dim=1).tolist() == [4, 2, 4]
    assert torch.equal(filled.values[filled.visible], tokens.values[filled.visible])
    assert_filled_with_predictions(model, view, plus=0.0)
    invalid = ~tokens.valid
    assert invalid.any()
    assert not filled.values[invalid].any()


def test_several_objectives_restore_one_after_another():
    recipe = toy_recipe()
    second = Objective(name="more", modality="toy", target=Addition(amount=100.0), loss=mse)
    model, view = prepared(replace(recipe, objectives=(*recipe.objectives, second)))
    assert fill(model, view)["toy"].restored == ("toy_content", "more")
    assert_filled_with_predictions(model, view, plus=100.0)


def test_paired_modalities_are_filled_apart():
    model, view = prepared(toy_recipe(), stream=2)
    filled = fill(model, view)
    for name, tokens in view.tokens.items():
        part = filled[name]
        assert part.values.shape == tokens.values.shape
        assert torch.equal(part.values[part.visible], tokens.values[part.visible])
        assert not (part.visible & ~tokens.valid).any()


def test_only_the_first_of_several_masks_is_drawn():
    masker = Copies(masker=RandomMask(ratio=0.5), copies=3)
    model, view = prepared(replace(toy_recipe(), masker=masker))
    tokens, filled = view.tokens["toy"], fill(model, view)["toy"]
    assert len(filled.values) == len(tokens.values) == 3
    assert torch.equal(filled.values[filled.visible], tokens.values[filled.visible])
    assert_filled_with_predictions(model, view, plus=0.0)


def test_statistics_taken_from_the_original_are_said():
    recipe = toy_recipe()
    objective = replace(recipe.objectives[0], target=Content(norm="token"))
    model, view = prepared(replace(recipe, objectives=(objective, recipe.objectives[1])))
    (gallery,) = draw_group(model, view.group)
    assert len(gallery.pictures) == 3
    assert "own mean and deviation" in gallery.notes[0]


def test_latent_targets_are_said_and_not_drawn():
    recipe = with_teacher()
    latent = tuple(o for o in recipe.objectives if o.name != "toy_content")
    model, view = prepared(replace(recipe, objectives=latent))
    (gallery,) = draw_group(model, view.group)
    assert gallery.pictures == ()
    assert "predicts features of a teacher" in gallery.notes[0]


def test_beside_a_latent_target_the_content_is_drawn():
    model, view = prepared(with_teacher())
    (gallery,) = draw_group(model, view.group)
    assert len(gallery.pictures) == 3
    assert gallery.pictures[0].png.startswith(b"\x89PNG")


@pytest.mark.parametrize("stream", [0, 1])
def test_drawing_needs_no_gradient(stream: int):
    model, view = prepared(toy_recipe(), stream=stream)
    assert all(not part.values.requires_grad for part in fill(model, view).values())
