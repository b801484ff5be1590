"""What is particular to volumes: axes of NIfTI, crops, voxel sizes, classes, and what is filled."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from modalities.volume import VolumeFiles, VolumeLabelFiles, VolumeLabels, VolumePatches
from modalities.volume.modality import VolumePatches as Patches
from modalities.volume.readers import open_scan
from modalities.volume.views import Grain, resampled, view_of
from omnimask.commands.finetune import finetune
from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Visit
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Validation
from omnimask.transfer.finetuning.results import read_results
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.imputing.file import impute_file
from omnimask.transfer.imputing.request import Hide, Request
from tests.modalities.case_volume import SPACING, nifti, scan

CENTRE = Visit(key=0, augment=False)
WHOLE = (slice(0, 10), slice(0, 16), slice(0, 20))
PLAIN = VolumePatches(size=(8, 12, 16), patch=(4, 4, 4), mean=(0.0,), std=(1.0,))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LPI", "PIR", "SAL"])
def test_axes_are_those_of_the_body_whatever_the_file_has(codes: str, tmp_path: Path):
    """As nibabel's own reorientation gives them; a box is that part of the whole."""
    path = nifti(tmp_path / "a.nii.gz", scan(0), codes=codes)
    found = open_scan(path)
    image = nibabel.as_closest_canonical(nibabel.load(path))
    expected = np.asarray(image.dataobj).transpose(2, 1, 0)
    assert found.spacing_mm == SPACING
    np.testing.assert_allclose(found.affine, image.affine)
    np.testing.assert_array_equal(found.cut(WHOLE, max_voxels=10**6)[..., 0], expected)
    box = (slice(2, 7), slice(0, 16), slice(5, 6))
    np.testing.assert_array_equal(found.cut(box, max_voxels=10**6)[..., 0], expected[box])


def test_a_ramp_stays_one_at_another_voxel_size():
    """Middles of voxels keep their places: linear in millimetres before and after."""
    z, y, x = np.meshgrid(*((np.arange(n) + 0.5) * mm for n, mm in zip((12, 20, 30), (2, 1, 1))),
                          indexing="ij")  # fmt: skip
    ramp = torch.from_numpy(z + 10 * y + 100 * x).float()[None]
    small = resampled(ramp, (6, 10, 10))[0]
    assert torch.allclose(small[1:-1, 2, 2].diff(), torch.tensor(4.0), atol=1e-3)
    assert small[3, 5, 5].item() == pytest.approx(14 + 110 + 1650, 1e-4)


@pytest.mark.parametrize(
    ("spacing", "box", "size"),
    [
        (None, (8, 12, 16), (8, 12, 16)),
        ((2.0, 1.5, 1.0), (8, 12, 16), (8, 12, 16)),
        ((1.0, 1.5, 0.5), (4, 12, 8), (8, 12, 16)),
        ((4.0, 3.0, 2.0), (10, 16, 20), (5, 8, 10)),  # the scan is smaller than asked for
    ],
)
def test_a_view_has_the_voxel_size_asked_for(spacing, box, size, tmp_path: Path):
    found = open_scan(nifti(tmp_path / "a.nii", scan(0)))
    view = view_of(found, Grain(size=PLAIN.size, spacing_mm=spacing))
    assert tuple(part.stop - part.start for part in view.box) == box
    assert view.size == size


def test_the_window_is_zero_to_one(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.linspace(-1000, 1000, 8 * 12 * 16).reshape(8, 12, 16))
    modality = replace(PLAIN, window=(-200.0, 300.0))
    voxels = VolumeFiles().open(str(tmp_path), modality).read(0, CENTRE)["voxels"]
    assert (voxels.min(), voxels.max()) == (0.0, 1.0)
    assert (voxels == 0).float().mean() == pytest.approx(0.4, abs=0.01)
    assert (voxels == 1).float().mean() == pytest.approx(0.35, abs=0.01)


def test_padding_is_neither_shown_nor_asked_for_and_holds_nothing():
    voxels = torch.ones(5, 1, 12, 9)  # two patches of 4 deep, three high and three wide
    tokens = PLAIN.split(PLAIN.collate([{"voxels": voxels}]))
    assert tokens.num_valid == (2 * 3 * 3,)
    there = tokens.valid[0].unflatten(0, (2, 3, 4))
    assert there[:, :, :3].all()
    assert not there[:, :, 3].any()
    assert (tokens.values[0][tokens.valid[0]] == 1).all(), "the last voxels are repeated"
    assert (tokens.values[0][~tokens.valid[0]] == 0).all()


def test_classes_follow_their_scans(tmp_path: Path):
    for number in range(3):
        voxels = scan(number)
        nifti(tmp_path / f"ct/{number}.nii.gz", voxels)
        ids = np.where(voxels > 220, 7, voxels > 100).astype(np.int16)
        nifti(tmp_path / f"classes/{number}.nii.gz", ids, codes="LPI")
    scans = VolumeFiles(path="ct", flip=(0.5, 0.5, 0.5))
    labels = VolumeLabels(names=("fog", "ball"), size=PLAIN.size, unknown=7)
    source = scans.open(str(tmp_path), PLAIN)
    classes = VolumeLabelFiles(path="classes", scans=scans).open(str(tmp_path), labels)
    for index in range(3):
        for key in range(4):
            voxels = source.read(index, Visit(key=key))["voxels"][:, 0]
            ids = classes.read(index, Visit(key=key))["classes"]
            expected = torch.where(voxels > 220, -1, (voxels > 100).long())
            assert torch.equal(ids, expected)
    (found,) = labels.classes(labels.collate([classes.read(0, CENTRE)]))
    assert set(found.tolist()) == {-1, 0, 1}


def test_a_strange_class_is_named(tmp_path: Path):
    nifti(tmp_path / "a.nii.gz", np.full((10, 16, 20), 3, np.int16))
    labels = VolumeLabels(names=("fog", "ball"), size=PLAIN.size)
    source = VolumeLabelFiles(scans=VolumeFiles()).open(str(tmp_path), labels)
    with pytest.raises(DataError, match=r"a\.nii\.gz: has the class id 3; expected 0 to 1"):
        source.read(0, CENTRE)


@pytest.mark.parametrize(
    ("files", "modality", "message"),
    [
        (VolumeFiles(), replace(PLAIN, spacing_mm=(1.0, 1.0, 1.0)), "VolumeFiles.spacing_mm"),
        (VolumeFiles(max_voxels=100), PLAIN, "more than max_voxels"),
        (VolumeFiles(), replace(PLAIN, num_channels=2, mean=None, std=None), "num_channels"),
        (VolumeFiles(array="mask"), PLAIN, "VolumeFiles.array"),
    ],
)
def test_what_a_file_lacks_is_named(files, modality: Patches, message: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", volume=scan(0))
    with pytest.raises(DataError, match=rf"a\.npz: .*{message}"):
        files.open(str(tmp_path), modality).read(0, CENTRE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (8, 12, 10)}, r"write size=\(8, 12, 8\)"),
        ({"window": (3.0, 3.0)}, "low < high"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(PLAIN, **change)


def model_of(modality: VolumePatches, root: Path) -> MaskedModel:
    recipe = Recipe(
        name="one",
        modalities=(modality,),
        masker=RandomMask(ratio=0.5),
        encoder=Encoder(width=16, depth=1, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=16, depth=1, num_heads=2)},
        objectives=(Objective(name="voxels", modality="volume", target=Content(), loss=mse),),
        data=Data(root=str(root), streams=(Stream(name="one", files={"volume": VolumeFiles()}),)),
        optim=Optim(steps=1, warmup_steps=0),
        run=Run(tracker="none", report=False),
    )
    torch.manual_seed(0)
    return build_model(recipe)


def test_what_is_filled_lies_in_its_place_and_all_else_is_kept(tmp_path: Path):
    path = nifti(tmp_path / "a.nii.gz", scan(0), codes="LPS")
    modality = replace(PLAIN, window=(-300.0, 500.0))
    request = Request(
        path=path, out=tmp_path / "b.nii", hide=Hide(box=(9.0, 6.0, 4.0, 13.0, 10.0, 7.0))
    )
    done = impute_file(model_of(modality, tmp_path), request)
    assert "48 of them are predicted" in done.notes[0]
    before, after = (nibabel.load(file) for file in (path, tmp_path / "b.nii"))
    before = nibabel.as_closest_canonical(before)
    into = np.linalg.inv(before.affine) @ after.affine
    changed = 0
    values, whole = np.asarray(after.dataobj), np.asarray(before.dataobj)
    for place in np.ndindex(*values.shape):
        i, j, k = (into @ [*place, 1])[:3].round().astype(int)
        inside = 9 <= i < 13 and 6 <= j < 10 and 4 <= k < 7
        changed += inside
        assert inside or values[place] == whole[i, j, k]
    assert changed == 48


def test_segmentation_of_volumes_runs(tmp_path: Path):
    for split in ("train", "held_out"):
        for number in range(4):
            voxels = scan(number)
            nifti(tmp_path / f"{split}/ct/x/{number}.nii.gz", voxels)
            nifti(tmp_path / f"{split}/ball/x/{number}.nii.gz", (voxels > 100).astype(np.int16))

    def files(split: str) -> dict:
        scans = VolumeFiles(path=f"{split}/ct")
        return {"volume": scans, "organs": VolumeLabelFiles(path=f"{split}/ball", scans=scans)}

    recipe = FinetuneRecipe(
        name="organs",
        modalities=(PLAIN,),
        data=Data(
            root=str(tmp_path),
            streams=(
                Stream(name="ct", files=files("train"), held_out=files("held_out"), batch_size=4),
            ),
        ),
        optim=Optim(steps=2, lr=1e-3, warmup_steps=1),
        encoder=Encoder(width=16, depth=1, num_heads=2),
        task=Segmentation(labels=VolumeLabels(names=("fog", "ball"), size=PLAIN.size)),
        validation=Validation(),
        run=Run(num_workers=0, tracker="none", report=False),
    )
    finetune(recipe, tmp_path / "run")
    (scores,) = (part["scores"] for part in read_results(tmp_path / "run")["streams"].values())
    assert 0.0 <= scores["mean_iou"]["value"] <= 1.0
