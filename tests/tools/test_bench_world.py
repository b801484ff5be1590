"""What the world's benchmark adds of its own: the task of all factors, raw values, the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import DataError
from omnimask.sample_data.world.factors import as_row, draw_scene
from omnimask.sample_data.world.seen import CLASS_FACTORS, SEEN
from omnimask.tokens.tokens import Group
from tools.bench_world import table
from tools.factor_task import Factors
from tools.raw_features import raw_features

LABELS = (("ball", "0.5"), ("cone", "1.5"), ("ball", "2.5"), ("gem", "3.5"))


def fitted() -> Factors:
    return Factors(classes=("family",)).fit(LABELS, ("family", "size_m"))


def test_every_question_is_a_factor_and_has_an_answer() -> None:
    row = as_row(draw_scene(0, 0))
    for factors in SEEN.values():
        for name in factors:
            kind = (str, int) if name in CLASS_FACTORS else float
            assert isinstance(row[name], kind), name


def test_factors_are_read_class_by_class_and_number_by_number() -> None:
    task = fitted()
    assert task.outputs == ("family=ball", "family=cone", "family=gem", "size_m")
    assert task.encode(("gem", "1.5")) == (2.0, 1.5)
    targets = task.targets(torch.tensor([task.encode(label) for label in LABELS]), None)
    assert targets[:, 0].tolist() == [0, 1, 0, 2]
    assert targets[:, 1].mean().item() == pytest.approx(0, abs=1e-6)
    assert targets[:, 1].std().item() == pytest.approx(1)
    with pytest.raises(DataError, match="no training sample has family 'mug'"):
        task.encode(("mug", "1"))


def test_a_loss_of_one_is_knowing_nothing() -> None:
    task = fitted()
    targets = torch.tensor([[0.0, 1.0], [1.0, -1.0]])
    nothing = task.loss(torch.zeros(2, 4), targets)
    assert (nothing.total / nothing.count).item() == pytest.approx(1)
    right = torch.tensor([[40.0, 0, 0, 1.0], [0, 40.0, 0, -1.0]])
    assert task.loss(right, targets).total.item() == pytest.approx(0, abs=1e-6)
    assert nothing.count.item() == task.count(targets).item() == 2


def test_raw_values_of_a_picture_are_few_and_follow_it() -> None:
    pixels = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    pixels[1, 0] = 200
    group = Group(
        stream="image",
        raw={"image": {"pixels": pixels}},
        keys=torch.zeros(2, dtype=torch.int64),
        names=("a", "b"),
    )
    found = raw_features(group)
    assert found.shape == (2, 6 + 3 * 64)
    assert np.flatnonzero(found[1] - found[0]).tolist() == [0, *range(6, 70)]


def test_the_table_says_what_is_not_measured_yet(tmp_path: Path) -> None:
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    scores = {"motion": {"raw": score, "random": [score], "chance": 0.1}}
    folder = tmp_path / "audio" / "probes"
    folder.mkdir(parents=True)
    result = {"scores": scores, "num_train": 8, "num_test": 2}
    (folder / "result.json").write_text(json.dumps(result))
    lines = table(tmp_path).splitlines()
    assert lines[0] == "### audio (8 training, 2 held-out scenes)"
    cell = "0.50 (0.40 to 0.60)"
    assert f"| motion | accuracy | 0.10 | {cell} | {cell} | – |" in lines
    assert len(lines) == 4 + len(SEEN["audio"])
