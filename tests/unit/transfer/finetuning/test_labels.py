"""Which samples are learnt from, and where their labels come from."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.finetuning.classification import Classification, MultiLabel
from omnimask.transfer.finetuning.labels import choose, fit_task, open_readers
from omnimask.transfer.finetuning.recipe import Labels, Validation
from omnimask.transfer.finetuning.regression import Regression
from tests.unit.finetuning_cases import toy_finetune, write_targets

VECTORS = {f"{label}-{i}": (float(label),) for label in range(3) for i in range(30)}


def test_a_share_is_stratified_and_nested():
    recipe = toy_finetune(task=Classification(classes=("a", "b", "c")))
    chosen = {
        share: set(choose(VECTORS, replace(recipe, label_share=share), "toy")[0])
        for share in (0.1, 0.5, 1.0)
    }
    assert chosen[0.1] < chosen[0.5] < chosen[1.0] == set(VECTORS)
    assert Counter(name[0] for name in chosen[0.1]) == {"0": 3, "1": 3, "2": 3}
    other = choose(VECTORS, replace(recipe, label_share=0.1, seed=1), "toy")[0]
    assert set(other) != chosen[0.1]


def test_of_several_classes_each_keeps_a_sample_to_learn_from():
    """Class 0 is in every sample, 1 in a third, 2 in two; half of a tenth is set aside."""
    task = MultiLabel(classes=("a", "b", "c"))
    vectors = {f"{i:02}": (1.0, float(i % 3 == 0), float(i in (4, 17))) for i in range(30)}
    recipe = toy_finetune(task=task, validation=Validation(share=0.5))
    for seed in range(5):
        chosen = {}
        for share in (0.05, 0.1, 0.5, 1.0):
            learnt, aside = choose(vectors, replace(recipe, seed=seed, label_share=share), "toy")
            assert not learnt.keys() & aside.keys()
            assert all(sum(vector[k] for vector in learnt.values()) >= 1 for k in range(3))
            chosen[share] = {*learnt, *aside}
        assert chosen[0.05] <= chosen[0.1] <= chosen[0.5] <= chosen[1.0] == set(vectors)


def test_validation_is_set_aside_of_every_class():
    recipe = toy_finetune(validation=Validation(share=0.2), label_share=0.5)
    learnt, aside = choose(VECTORS, recipe, "toy")
    assert not learnt.keys() & aside.keys()
    assert Counter(name[0] for name in aside) == {"0": 3, "1": 3, "2": 3}
    assert len(learnt) == 36


def test_labels_of_folders():
    recipe = fit_task(toy_finetune())
    assert recipe.task.outputs == ("class-0", "class-1", "class-2")
    (part,) = open_readers(recipe)
    group = part.held_out.held_out_group([0, 4, 5])
    assert group.labels is not None
    assert group.labels[:, 0].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_a_table(tmp_path: Path, suffix: str):
    import pandas as pd

    write_targets(tmp_path, {"size": ["1.5", "2.5", ""], "kind": ["x", "y"]})
    if suffix == "parquet":
        pd.read_csv(tmp_path / "labels.csv").to_parquet(tmp_path / "labels.parquet")
    labels = Labels(table=f"labels.{suffix}", columns=("size",))
    recipe = fit_task(toy_finetune(str(tmp_path), labels=labels, task=Regression()))
    (part,) = open_readers(recipe)
    assert len(part.train) == 16  # of 24; every third cell is empty
    group = part.train.held_out_group([0, 1])
    assert group.labels is not None
    assert group.labels[:, 0].tolist() == [1.5, 2.5]


def test_a_missing_column_is_named(tmp_path: Path):
    write_targets(tmp_path, {"size": ["1.5"]})
    labels = Labels(table="labels.csv", columns=("sise",))
    with pytest.raises(RecipeError, match=r"labels.columns: .*no column 'sise'; did you mean size"):
        fit_task(toy_finetune(str(tmp_path), labels=labels, task=Regression()))


def test_a_missing_table_is_named(tmp_path: Path):
    recipe = toy_finetune(str(tmp_path), labels=Labels(table="none.csv"))
    with pytest.raises(DataError, match=r"none.csv: no such file; a table of labels"):
        fit_task(recipe)


def test_a_table_of_other_samples_is_an_error(tmp_path: Path):
    (tmp_path / "labels.csv").write_text("name,label\nstranger,x\n")
    with pytest.raises(DataError, match=r"names not one of the 24 samples.*'stranger'"):
        fit_task(toy_finetune(str(tmp_path), labels=Labels(table="labels.csv")))


def test_text_is_no_number(tmp_path: Path):
    write_targets(tmp_path, {"kind": ["x"]})
    labels = Labels(table="labels.csv", columns=("kind",))
    with pytest.raises(DataError, match="expected a number as label, got 'x'"):
        fit_task(toy_finetune(str(tmp_path), labels=labels, task=Regression()))
