"""Each modality at other sizes than in pretraining, with the same blocks."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from modalities.audio import AudioSpectrogram
from modalities.image import ImagePatches, LabelPatches
from modalities.points import PointGroups
from modalities.series import SeriesPatches
from modalities.tabular import Column, Table, TableCells
from modalities.video import VideoTubelets
from modalities.volume import VolumePatches
from modalities.voxels import VoxelGrid
from omnimask import RecipeError, load_encoder, save_encoder
from omnimask.network.encoder import Encoder
from omnimask.network.positions import LearnedPosition, SinCosPosition
from omnimask.tokens.modality import Modality, Sample
from omnimask.transfer.adapting import adapt
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder

GREY, EVEN = (0.5,) * 3, (0.25,) * 3
IMAGE = ImagePatches(size=(16, 16), patch=(4, 4), mean=GREY, std=EVEN)
VIDEO = VideoTubelets(num_frames=8, size=(16, 16), tubelet=(2, 8, 8), mean=GREY, std=EVEN)
AUDIO = AudioSpectrogram(window_s=0.64, num_mels=32, patch=(8, 8), mean=-4.0, std=3.0)
POINTS = PointGroups(num_points=64, num_groups=8, group_size=8, features=("colors",))
BOX = ((-8.0, 8.0), (-8.0, 8.0), (-2.0, 2.0))
VOXELS = VoxelGrid(voxel_size_m=(2.0, 2.0, 2.0), range_m=BOX, max_voxels=16)
AGE = Column(name="age", kind="numeric", mean=40.0, std=10.0, low=0.0, high=90.0)
TOWN = Column(name="town", kind="category", categories=("Bonn", "Ulm"))
TABLE = TableCells(tables=(Table(name="people", columns=(AGE, TOWN)),))
CUBE, MM = (8, 8, 8), (2.0, 2.0, 2.0)
VOLUME = VolumePatches(size=CUBE, patch=(4, 4, 4), spacing_mm=MM, mean=(0.5,), std=(0.25,))
SERIES = SeriesPatches(
    num_steps=16, num_joints=3, num_channels=2, rate_hz=10.0, mean=(0.0,) * 6, std=(1.0,) * 6
)


Positions = Literal["additive", "rotary", "both"]


def encoder_of(modality: Modality, positions: Positions = "additive") -> PretrainedEncoder:
    """One whose weights are none of those that a new one begins with."""
    torch.manual_seed(3)
    config = Encoder(width=24, depth=2, num_heads=2, positions=positions)
    info = EncoderInfo(name="test", modalities=(modality,), encoder=config, origin={})
    return PretrainedEncoder(info)


def features(encoder: PretrainedEncoder, *samples: Sample) -> torch.Tensor:
    name = encoder.info.modalities[0].name
    return encoder.embed([{name: sample} for sample in samples])


def pixels(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("modality", [IMAGE, VIDEO, AUDIO, POINTS, VOXELS, TABLE, VOLUME, SERIES])
def test_nothing_changes_where_nothing_differs(modality: Modality):
    encoder = encoder_of(modality)
    adapted, lines = adapt(encoder, [modality])
    assert lines == ()
    assert adapted.hash() == encoder.hash()


BIGGER = [
    (IMAGE, replace(IMAGE, size=(32, 24), patch=(8, 6), num_channels=1, mean=None, std=None)),
    (replace(IMAGE, positions="learned"), replace(IMAGE, positions="learned", size=(32, 32))),
    (VIDEO, replace(VIDEO, num_frames=12, tubelet=(3, 4, 4))),
    (AUDIO, replace(AUDIO, window_s=1.28, num_mels=48, patch=(16, 6))),
    (POINTS, replace(POINTS, num_groups=16, group_size=4, features=("normals", "colors"))),
    (VOXELS, replace(VOXELS, voxel_size_m=(1.0, 1.0, 1.0), with_intensity=True)),
    (VOLUME, replace(VOLUME, size=(16, 8, 8), patch=(2, 4, 4), spacing_mm=(1.0, 2.0, 2.0))),
    (replace(VOLUME, positions="learned"), replace(VOLUME, positions="learned", size=(12, 8, 8))),
    (
        SERIES,
        replace(SERIES, num_steps=32, patch=8, rate_hz=20.0, num_channels=3, mean=None, std=None),
    ),
    (TABLE, TableCells(tables=(Table(name="p", columns=(replace(AGE, name="n"), AGE)),))),
]


@pytest.mark.parametrize(("old", "new"), BIGGER)
@pytest.mark.parametrize("positions", ["additive", "rotary", "both"])
def test_the_blocks_stay_and_lines_say_what_changed(old, new, positions: Positions, tmp_path: Path):
    encoder = encoder_of(old, positions)
    adapted, lines = adapt(encoder, [new])
    before, after = encoder.backbone.encoder.state_dict(), adapted.backbone.encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert lines
    assert all(line.startswith(f"{new.name}: ") for line in lines)
    assert adapted.info.origin["adapted"] == "; ".join(lines)
    saved = load_encoder(save_encoder(adapted, tmp_path / "adapted"))
    assert saved.hash() == adapted.hash()
    assert saved.info == adapted.info


def test_a_picture_of_patches_that_grew_is_the_same_to_it():
    bigger, lines = adapt(encoder_of(IMAGE), [replace(IMAGE, size=(32, 32), patch=(8, 8))])
    assert len(lines) == 1  # four by four patches as before: positions stay
    flat = pixels(3, 4, 4).repeat_interleave(4, 1).repeat_interleave(4, 2)
    grown = pixels(3, 4, 4).repeat_interleave(8, 1).repeat_interleave(8, 2)
    expected = features(encoder_of(IMAGE), {"pixels": flat})
    torch.testing.assert_close(features(bigger, {"pixels": grown}), expected, rtol=0, atol=1e-5)


def test_a_grey_picture_is_the_same_in_one_channel_as_in_three_or_five():
    one, three = pixels(1, 16, 16), pixels(1, 16, 16).expand(3, -1, -1)
    expected = features(encoder_of(IMAGE), {"pixels": three})
    grey, _ = adapt(encoder_of(IMAGE), [replace(IMAGE, num_channels=1, mean=None, std=None)])
    assert grey.info.modality("image") == replace(IMAGE, num_channels=1, mean=(0.5,), std=(0.25,))
    torch.testing.assert_close(features(grey, {"pixels": one}), expected, rtol=0, atol=1e-5)
    six, _ = adapt(encoder_of(IMAGE), [replace(IMAGE, num_channels=6, mean=None, std=None)])
    found = features(six, {"pixels": one.expand(6, -1, -1)})
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_statistics_that_are_stated_are_used():
    stated = replace(IMAGE, mean=(0.1, 0.2, 0.3), std=None)
    adapted, lines = adapt(encoder_of(IMAGE), [stated])
    assert adapted.info.modality("image") == replace(stated, std=EVEN)
    assert lines == ("image: mean as given, 0.1 0.2 0.3, instead of pretraining's",)


@pytest.mark.parametrize("positions", ["sincos", "learned"])
def test_positions_of_a_finer_grid_stand_between_those_of_pretraining(positions):
    old = replace(IMAGE, positions=positions)
    encoder = encoder_of(old)
    finer, _ = adapt(encoder, [replace(old, size=(32, 16))])
    cells = torch.tensor([[float(i), float(j)] for i in range(8) for j in range(4)])
    between = cells * torch.tensor([0.5, 1.0]) - torch.tensor([0.25, 0.0])
    before = encoder.backbone.places.positions["image"]
    after = finer.backbone.places.positions["image"]
    assert isinstance(before, LearnedPosition if positions == "learned" else SinCosPosition)
    torch.testing.assert_close(after(cells), before(between))


@pytest.mark.parametrize("positions", ["additive", "rotary", "both"])
def test_a_shorter_window_sees_a_short_sound_as_the_longer_one_did(positions: Positions):
    encoder = encoder_of(AUDIO, positions)
    shorter, _ = adapt(encoder, [replace(AUDIO, window_s=0.32)])
    sound = {"logmel": pixels(32, 32) * 3 - 4}
    torch.testing.assert_close(features(shorter, sound), features(encoder, sound))


def test_a_shorter_window_has_its_own_learned_places():
    learned = replace(AUDIO, positions="learned")
    encoder = encoder_of(learned)
    shorter, lines = adapt(encoder, [replace(learned, window_s=0.32)])
    sound = {"logmel": pixels(32, 32) * 3 - 4}
    torch.testing.assert_close(features(shorter, sound), features(encoder, sound))
    assert "4x4 cells stand on 4x4 of the 8x4 cells" in lines[0]


@pytest.mark.parametrize("positions", ["additive", "rotary", "both"])
def test_a_clip_of_fewer_frames_is_seen_as_a_short_clip_was(positions: Positions):
    encoder = encoder_of(VIDEO, positions)
    shorter, _ = adapt(encoder, [replace(VIDEO, num_frames=4)])
    clip = {"frames": (pixels(4, 3, 16, 16) * 255).to(torch.uint8)}
    torch.testing.assert_close(features(shorter, clip), features(encoder, clip))


def test_longer_time_is_squeezed_into_what_was_trained():
    encoder = encoder_of(VIDEO)
    longer, lines = adapt(encoder, [replace(VIDEO, num_frames=16)])
    assert "squeezed by 0.5" in lines[0]
    before, after = (e.backbone.places.positions["video"] for e in (encoder, longer))
    last = after(torch.tensor([[7.0, 0.0, 0.0]]))
    torch.testing.assert_close(last, before(torch.tensor([[3.25, 0.0, 0.0]])))


def test_features_of_points_that_are_new_have_no_effect_at_first():
    encoder = encoder_of(POINTS)
    wider, _ = adapt(encoder, [replace(POINTS, features=("normals", "colors"))])
    xyz, colors, normals = (pixels(64, 3) * s for s in (1.0, 0.5, 0.7))
    expected = features(encoder, {"xyz": xyz, "features": colors})
    both = {"xyz": xyz, "features": torch.cat([normals, colors], dim=1)}
    torch.testing.assert_close(features(wider, both), expected)


@pytest.mark.parametrize("positions", ["additive", "rotary", "both"])
def test_a_smaller_crop_is_seen_as_a_small_scan_was(positions: Positions):
    """A millimetre stays one: patches of the same size at the same distances from the corner."""
    encoder = encoder_of(VOLUME, positions)
    smaller, lines = adapt(encoder, [replace(VOLUME, size=(4, 8, 8))])
    scan = {"voxels": pixels(4, 1, 8, 8)}
    torch.testing.assert_close(features(smaller, scan), features(encoder, scan))
    assert "1x2x2 cells stand on 1x2x2 of the 2x2x2 cells" in lines[0]


def test_seconds_of_a_series_stay_seconds_and_its_joints_stay():
    encoder = encoder_of(SERIES)
    faster, _ = adapt(encoder, [replace(SERIES, patch=8, rate_hz=20.0)])
    place = torch.tensor([[1.0, 2.0]])
    before, after = (e.backbone.places.positions["series"] for e in (encoder, faster))
    torch.testing.assert_close(after(place), before(place))
    others = replace(SERIES, num_joints=2, mean=None, std=None)
    with pytest.raises(RecipeError, match="write num_joints=3"):
        adapt(encoder, [others])


def test_a_metre_stays_a_metre():
    encoder = encoder_of(VOXELS)
    finer, lines = adapt(encoder, [replace(VOXELS, voxel_size_m=(1.0, 1.0, 1.0))])
    place = torch.tensor([[1.5, -3.0, 0.5]])
    before, after = (e.backbone.places.positions["voxels"] for e in (encoder, finer))
    torch.testing.assert_close(after(place), before(place))
    assert finer.info.modality("voxels").extent == encoder.info.modality("voxels").extent
    assert "positions keep their metres" in lines[0]


def test_known_columns_keep_their_embedding_wherever_they_stand():
    encoder = encoder_of(TABLE)
    town = replace(TOWN, categories=("Ulm", "Kiel", "Bonn"))
    income = replace(AGE, name="income")
    other = TableCells(tables=(Table(name="clients", columns=(income, town, AGE)),))
    adapted, lines = adapt(encoder, [other])
    assert any("2 of 3 columns" in line for line in lines)
    assert any(line.endswith("clients.income") for line in lines)
    # Values: column, number, code, categories, low, high.
    old = torch.tensor([[0, 1.5, 0, 0, -4, 5], [1, 0, 1, 2, 0, 0], [1, 0, 2, 2, 0, 0]])
    new = torch.tensor([[2, 1.5, 0, 0, -4, 5], [1, 0, 3, 3, 0, 0], [1, 0, 1, 3, 0, 0]])
    before, after = (e.backbone.contents.embeddings["table"] for e in (encoder, adapted))
    torch.testing.assert_close(after(new), before(old))
    before, after = (e.backbone.places.positions["table"] for e in (encoder, adapted))
    torch.testing.assert_close(after(new[:, :1]), before(old[:, :1]))


def test_tables_without_a_known_column_are_refused():
    other = TableCells(tables=(Table(name="x", columns=(replace(AGE, name="income"),)),))
    with pytest.raises(RecipeError, match="knew none of the columns"):
        adapt(encoder_of(TABLE), [other])


def test_the_kind_of_positions_cannot_change():
    with pytest.raises(RecipeError, match="write positions='sincos'"):
        adapt(encoder_of(IMAGE), [replace(IMAGE, positions="learned")])


def test_class_maps_keep_their_vectors_unless_the_classes_are_others():
    maps = LabelPatches(size=(16, 16), patch=(8, 8), stride=2, num_classes=4, class_dim=6)
    encoder = encoder_of(maps)
    finer, _ = adapt(encoder, [replace(maps, patch=(4, 4))])
    others, lines = adapt(encoder, [replace(maps, num_classes=7)])
    name = "backbone.contents.embeddings.semantic.classes.weight"
    before, after, new = (e.state_dict()[name] for e in (encoder, finer, others))
    assert torch.equal(before, after)
    assert new.shape == (8, 6)
    assert "7 classes are new" in lines[0]
