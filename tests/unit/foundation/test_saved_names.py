"""What earlier versions wrote is read for ever; what is written now has names apart from places."""

import importlib
import json
from pathlib import Path

import pytest

from omnimask.foundation import records
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import dump, from_json, to_json
from omnimask.foundation.saved_names import FORMAT, PLACES, find_part, saved_name
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import load_any_checkpoint
from omnimask.training.run_folder import claim_run_folder
from omnimask.transfer.finetuning.recipe import FinetuneRecipe
from omnimask.transfer.loading import load_encoder, load_model
from tests.recipes.catalogue import load
from tests.recipes.finetune_all import case

FORMAT_1 = Path(__file__).resolve().parents[2] / "fixtures" / "format-1"
RECIPES = json.loads((FORMAT_1 / "recipes.json").read_text())


def names_in(saved) -> set[str]:
    if isinstance(saved, dict):
        own = {saved[key] for key in ("record", "function") if key in saved}
        return own.union(*(names_in(value) for value in saved.values()))
    return set().union(*map(names_in, saved)) if isinstance(saved, list | tuple) else set()


def test_every_recipe_of_format_1_is_read_and_written_alike():
    for reference, saved in RECIPES.items():
        recipe = from_json(saved)
        assert isinstance(recipe, Recipe | FinetuneRecipe), reference
        assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_every_recipe_is_still_what_it_was_in_format_1_unless_it_changed_on_purpose():
    """What changes on purpose is named here, with a line in CHANGELOG.md."""
    published = ("base", "base_800", "base_1600", "base_ssv2", "small", "large", "huge", "audio")
    stating_their_batch = ("colormae", "data2vec2", "hpm", "mae", "multimae", "videomae")
    changed = {f"recipes.{file}:{size}" for file in stating_their_batch for size in published}
    for reference, saved in RECIPES.items():
        root = Path(saved["data"]["root"])
        name = reference.removeprefix("finetune ")
        built = load(reference, root) if name == reference else case(name, root)
        same = to_json(built) == to_json(from_json(saved))
        # The mixed recipes have a decoder for each modality since.
        assert same != (reference in changed or reference.startswith("recipes.omni:")), reference


def test_names_of_today_say_no_module_of_the_core():
    for saved in RECIPES.values():
        for name in names_in(to_json(from_json(saved))):
            module, _, part = name.partition(":")
            assert module == "omnimask" or module.count(".") == 1, name
            assert saved_name(find_part(name)) == name
            assert part


def test_a_run_of_format_1_goes_on():
    run = FORMAT_1 / "run"
    assert load_model(run).recipe.name == "format-1"
    folder = next((run / "checkpoints").iterdir())
    checkpoint = load_any_checkpoint(folder)
    assert checkpoint.state["step"] == 1
    claim_run_folder(run, from_json(json.loads((run / "recipe.json").read_text())), write=False)


def test_an_encoder_of_format_1_has_the_weights_and_the_hash_that_it_had():
    encoder = load_encoder(FORMAT_1 / "encoder")
    assert encoder.hash() == load_encoder(FORMAT_1 / "run").hash()
    assert encoder.hash() == (FORMAT_1 / "hash.txt").read_text().strip()


def test_a_fine_tuning_run_and_exports_of_format_1_are_read():
    assert load_encoder(FORMAT_1 / "finetuned").info.modalities
    for modality in ("image", "table"):
        folder = FORMAT_1
        text = (folder / f"graph.{modality}.json").read_text()
        assert records.load(json.loads(text), "graph").modality.name == modality


def test_every_place_has_the_part_that_it_names():
    for name, module in PLACES.items():
        part = vars(importlib.import_module(f"omnimask.{module}"))[name]
        assert find_part(f"omnimask:{name}") is part
        assert saved_name(part) == f"omnimask:{name}"


def test_a_later_format_is_refused():
    saved = {**dump(Encoder()), "format": FORMAT + 1}
    with pytest.raises(RecipeError, match="install the version that wrote it"):
        records.load(saved, "recipe.json")


@pytest.mark.parametrize("saved", [{"record": "omnimask:mse"}, {"function": "omnimask:Encoder"}])
def test_a_name_of_another_kind_is_refused(saved: dict[str, str]):
    with pytest.raises(RecipeError, match=r"is no (record|function)"):
        from_json(saved)


def test_what_cannot_be_found_again_is_refused_when_it_is_written():
    def loss(predicted, truth):
        return (predicted - truth).abs().mean(-1)

    with pytest.raises(RecipeError, match="define it at the top of a module"):
        to_json(loss)
