"""The task of a class per place, beside torch's own losses."""

import math

import pytest
import torch
import torch.nn.functional as F

from modalities.image import LabelPatches
from omnimask.foundation.errors import RecipeError
from omnimask.transfer.finetuning.segmentation import Segmentation

LABELS = LabelPatches(size=(4, 4), patch=(2, 2), stride=1, num_classes=3)


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and ids of two samples with sixteen places, a third of them unknown."""
    seeded = torch.Generator().manual_seed(0)
    ids = torch.randint(-1, 3, (2, 16), generator=seeded)
    return torch.randn(2, 16, 3, generator=seeded), ids


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 5.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_torch(weights: tuple[float, ...], smoothing: float):
    logits, ids = random_case()
    task = Segmentation(labels=LABELS, class_weights=weights, smoothing=smoothing)
    targets = task.targets(ids.float(), None)
    total, count = task.loss(logits, targets), task.count(targets)
    expected = F.cross_entropy(
        logits.flatten(0, 1),
        ids.flatten(),
        weight=torch.tensor(weights) if weights else None,
        ignore_index=-1,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(total / count, expected)


def test_no_known_place_is_a_loss_of_zero():
    logits, ids = random_case()
    task, unknown = Segmentation(labels=LABELS), torch.full_like(ids, -1).float()
    assert (float(task.loss(logits, unknown)), float(task.count(unknown))) == (0.0, 0.0)


def test_balanced_weights_are_those_of_enet():
    task = Segmentation(labels=LABELS, weights="balanced")
    assert task.needs_counts
    task = task.weighed((75, 25, 0))
    assert not task.needs_counts
    expected = [1 / math.log(1.02 + share) for share in (0.75, 0.25, 0.0)]
    assert task.class_weights == pytest.approx(expected)


def test_samples_count_by_their_folders():
    task = Segmentation(labels=LABELS).fit([("mug",), ("chair",), (None,)], ("label",))
    assert task.folders == ("chair", "mug")
    vectors = [task.encode((name,)) for name in ("mug", "chair", "new", None)]
    assert vectors == [(1.0,), (0.0,), (-1.0,), (-1.0,)]
    assert task.kinds((1.0,)) == (1,)


def test_wrong_weights_are_refused():
    with pytest.raises(RecipeError, match=r"one number for each of 3 classes .*, got 2"):
        Segmentation(labels=LABELS, class_weights=(1.0, 2.0))
    with pytest.raises(RecipeError, match="smoothing"):
        Segmentation(labels=LABELS, smoothing=1.0)
