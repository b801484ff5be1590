"""Pictures that go to the tracker while training."""

from dataclasses import replace
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from omnimask.commands.pretrain import train
from omnimask.recipe.recipe import Recipe
from tests.unit.runs import assert_same_weights
from tests.unit.toy_recipe import toy_recipe


def drawing(every: int) -> Recipe:
    """Branches are dropped in training mode alone, so that a mode left behind shows."""
    recipe = toy_recipe()
    return replace(
        recipe,
        encoder=replace(recipe.encoder, drop_path=0.3),
        optim=replace(recipe.optim, steps=3),
        run=replace(recipe.run, tracker="tensorboard", pictures_every=every, report_samples=1),
    )


def test_pictures_are_in_the_tracker_and_change_nothing(tmp_path: Path):
    train(drawing(0), tmp_path / "without")
    train(drawing(2), tmp_path / "with")
    assert_same_weights(tmp_path / "without", tmp_path / "with")
    events = EventAccumulator(str(tmp_path / "with" / "tensorboard"))
    events.Reload()
    names = {"toy", "other", "both/toy", "both/other"}
    assert set(events.Tags()["images"]) == {f"reconstructions/{name}" for name in names}
    pictures = events.Images("reconstructions/both/toy")
    assert [picture.step for picture in pictures] == [2, 3]
    assert pictures[0].encoded_image_string != pictures[1].encoded_image_string
    assert pictures[0].width > pictures[0].height > 10
