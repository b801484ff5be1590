"""Maps of class ids: exact ids, views aligned with those of pictures, tokens, target and loss."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from modalities.image import (
    ClassMap,
    ImageFiles,
    ImagePatches,
    LabelFiles,
    LabelPatches,
    class_map_cross_entropy,
)
from modalities.image.label_files import at_centres
from modalities.image.labels import ClassEmbedding
from modalities.image.pictures import class_colour
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Tokens
from tests.modalities.case_image import encoded, scene, write
from tests.modalities.case_image_labels import png, write_tiff
from tests.steps import truth_of


def read(path: Path, modality: LabelPatches, visit: Visit, **fields: object) -> Tensor:
    files = LabelFiles(labels="none", **fields)  # pyright: ignore[reportArgumentType] a test's short cut
    return files.open(str(path.parent), modality).read(0, visit)["classes"]


def centre_view(path: Path, *, num_classes: int, unknown: int | None = None) -> Tensor:
    """At the size of the file, so that nothing is resampled."""
    modality = LabelPatches(
        size=(40, 60), patch=(1, 1), stride=1, num_classes=num_classes, unknown=unknown
    )
    return read(path, modality, Visit(key=0, augment=False))


# Files


def numbers(most: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most, (40, 60))


@pytest.mark.parametrize("kind", ["grey", "palette", "16-bit PNG", "8-bit TIFF", "16-bit TIFF"])
def test_ids_are_the_numbers_in_the_file(tmp_path: Path, kind: str) -> None:
    most = 60_000 if kind.startswith("16") else 200
    ids = numbers(most).astype(np.uint16 if kind.startswith("16") else np.uint8)
    if "TIFF" in kind:
        path = write_tiff(tmp_path / "a.tif", ids)
    else:
        path = write(tmp_path / "a.png", png(ids, palette=kind == "palette"))
    found = centre_view(path, num_classes=most)
    assert found.dtype == torch.int32
    np.testing.assert_array_equal(found.numpy(), ids)


def test_a_map_is_upright(tmp_path: Path) -> None:
    from PIL import Image

    ids, exif = numbers(200).astype(np.uint8), Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show it upright
    Image.fromarray(np.rot90(ids).copy()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(centre_view(tmp_path / "a.png", num_classes=200).numpy(), ids)


def test_an_id_that_is_no_class_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", png(np.full((40, 60), 12, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"a\.png: has the class id 12; expected 0 to 9 and 255"):
        centre_view(path, num_classes=10, unknown=255)
    assert (centre_view(path, num_classes=10, unknown=12) == 12).all()


def test_colours_and_lossy_formats_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", encoded(scene(40, 60), "PNG"))
    with pytest.raises(DataError, match=r"a\.png: has RGB pixels; expected class ids"):
        centre_view(path, num_classes=256)
    write(path, encoded(scene(40, 60, channels=1), "JPEG"))
    with pytest.raises(DataError, match=r"is a JPEG, which need not keep numbers"):
        centre_view(path, num_classes=256)


# Views


@pytest.mark.parametrize("key", range(12))
@pytest.mark.parametrize("axis", [0, 1])
def test_views_show_the_place_that_the_picture_shows(tmp_path: Path, key: int, axis: int) -> None:
    """The id is a pixel's row or column, and the picture's grey says the same."""
    ramp = np.indices((150, 230), dtype=np.uint8)[axis]
    write(tmp_path / "rgb" / "a.png", png(ramp))
    path = write(tmp_path / "semantic" / "a.png", png(ramp))
    size, visit = (64, 64), Visit(key=key)
    pictures = ImageFiles(labels="none").open(str(tmp_path / "rgb"), ImagePatches(size=size))
    grey = pictures.read(0, visit)["pixels"][0].float()
    modality = LabelPatches(size=size, num_classes=230, unknown=None)
    ids = read(path, modality, visit).float()
    assert ids.shape == (16, 16)
    # The grey in the middle of the 4 × 4 pixels of each id; half a pixel of the file is rounding,
    # one pixel of the view is what taking the nearest may be off.
    middle = grey.unfold(0, 4, 4).unfold(1, 4, 4)[..., 1:3, 1:3].mean(dim=(2, 3))
    step = max((grey.amax() - grey.amin()).item() / 63, 1.0)
    gap = (ids - middle).abs()[1:-1, 1:-1]
    assert gap.max() <= 0.5 * step + 1.0
    assert (ids - middle)[1:-1, 1:-1].mean().abs() <= 0.6, "shifted"
    other = read(path, modality, Visit(key=key + 100)).float()
    assert (other - middle).abs().max() > 0.5 * step + 1.0, "another view would pass as well"


@pytest.mark.parametrize("key", range(8))
def test_classes_stay_on_their_colours(sample_data: Path, tmp_path: Path, key: int) -> None:
    """Colours painted over the sample maps by class are those of the map's classes in any view."""
    from PIL import Image

    root = sample_data / "maps" / "train" / "semantic"
    modality = LabelPatches(size=(64, 64), patch=(16, 16), stride=1, num_classes=10)
    maps = LabelFiles().open(str(root), modality)
    index, visit = key % len(maps), Visit(key=key)
    ids = np.asarray(Image.open(root / maps.name(index)))
    palette = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    write(tmp_path / "a.png", encoded(palette[ids], "PNG"))
    pictures = ImageFiles(interpolation="bilinear").open(str(tmp_path), ImagePatches(size=(64, 64)))
    colours = pictures.read(0, visit)["pixels"].movedim(0, -1).float()
    classes = maps.read(index, visit)["classes"]
    distance = torch.cdist(colours.reshape(-1, 3), torch.from_numpy(palette).float())
    nearest = distance.argmin(dim=1).reshape(64, 64)
    pure = distance.amin(dim=1).reshape(64, 64) < 1.0  # not mixed at an edge between classes
    assert pure.float().mean() > 0.7
    assert (nearest[pure] == classes[pure]).float().mean() > 0.995
    mirrored = classes.flip(-1)
    assert (nearest[pure] == mirrored[pure]).float().mean() < 0.98, "a mirrored view would pass"


def test_depth_of_the_sample_data_is_read_in_16_bits_and_aligned(sample_data: Path) -> None:
    from PIL import Image

    root = sample_data / "maps" / "train" / "depth"
    modality = ImagePatches(name="depth", size=(64, 64), num_channels=1)
    source = ImageFiles().open(str(root), modality)
    pixels = source.read(0, Visit(key=0, augment=False))["pixels"]
    depth_mm = np.asarray(Image.open(root / source.name(0)))
    np.testing.assert_array_equal((pixels[0].double() * 65535).round().numpy(), depth_mm)
    assert len(pixels.unique()) > 256
    fitted = modality.fit(source)
    assert fitted.std is not None
    assert 0.003 < fitted.std[0] < 0.2
    whole = [source.read(i, Visit(key=0, augment=False)) for i in range(len(source))]
    values = fitted.split(fitted.collate(whole)).values
    assert values.mean().item() == pytest.approx(0.0, abs=1e-3)
    assert values.std().item() == pytest.approx(1.0, abs=1e-2)


def test_the_three_maps_of_a_scene_have_one_name(sample_data: Path) -> None:
    root = sample_data / "maps" / "held_out"
    label = LabelPatches(size=(64, 64), num_classes=10)
    depth = ImagePatches(size=(64, 64), num_channels=1)
    sources = [
        ImageFiles(path="rgb").open(str(root), ImagePatches(size=(64, 64))),
        ImageFiles(path="depth").open(str(root), depth),
        LabelFiles(path="semantic").open(str(root), label),
    ]
    named = [[source.name(i) for i in range(len(source))] for source in sources]
    assert named[0] == named[1] == named[2]
    assert {sources[2].label(i) for i in range(len(sources[2]))} >= {"ball", "mug"}


def test_the_pixel_at_the_centre_is_taken() -> None:
    ids = torch.arange(12, dtype=torch.int32).expand(12, 12)
    assert at_centres(ids, (3, 3))[0].tolist() == [2, 6, 10]
    assert at_centres(ids, (5, 4))[0].tolist() == [1, 4, 7, 10]
    assert at_centres(ids[:, :2], (12, 4))[0].tolist() == [0, 0, 1, 1]


# Tokens


def small(**fields: object) -> LabelPatches:
    given = {"size": (8, 16), "patch": (8, 8), "stride": 4, "num_classes": 5} | fields
    return LabelPatches(**given)  # pyright: ignore[reportArgumentType] a test's short cut


def test_a_token_holds_the_ids_of_its_pixels_row_by_row() -> None:
    classes = torch.tensor([[[0, 1, 2, 3], [4, 0, 255, 255]]], dtype=torch.int32)
    tokens = small().split({"classes": classes})
    assert tokens.values.tolist() == [[[0, 1, 4, 0], [2, 3, -1, -1]]]
    assert tokens.num_scorable == (2,)


def test_large_ids_are_exact() -> None:
    classes = torch.tensor([[[65534, 65533, 1, 2], [3, 4, 65535, 7]]], dtype=torch.int32)
    modality = small(num_classes=65535, unknown=65535)
    raw = {"classes": classes}
    joined = modality.join(modality.split(raw).values, raw)
    assert torch.equal(joined["classes"], classes)  # pyright: ignore[reportArgumentType] a Tensor


def test_tokens_lie_where_those_of_the_picture_lie() -> None:
    picture = ImagePatches(size=(64, 96), patch=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)
    labels = LabelPatches(size=(64, 96), patch=(16, 16), num_classes=10)
    seen = picture.split({"pixels": torch.zeros(2, 3, 64, 96)})
    mapped = labels.split({"classes": torch.zeros(2, 16, 24, dtype=torch.int32)})
    assert torch.equal(seen.coords, mapped.coords)
    assert seen.grid == mapped.grid
    assert (labels.num_values, labels.map_size) == (16, (16, 24))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": (9, 16)}, "size must be a multiple of patch"),
        ({"stride": 3}, "patch must be a multiple of stride 3.*stride=1"),
        ({"num_classes": 0}, "must be positive"),
    ],
)
def test_impossible_maps_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        small(**fields)


def test_embedding_is_a_table_and_a_convolution_over_the_map() -> None:
    """What MultiMAE computes: embed the whole map, then one convolution of a patch's size."""
    torch.manual_seed(0)
    modality = small(size=(16, 24))
    embed = ClassEmbedding(modality, 11)
    classes = torch.randint(0, 5, (3, 4, 6), dtype=torch.int32)
    tokens = modality.split({"classes": classes}).values
    kernel = embed.project.weight.unflatten(1, (2, 2, modality.class_dim)).permute(0, 3, 1, 2)
    table = F.embedding(classes.long(), embed.classes.weight).movedim(-1, 1)
    expected = F.conv2d(table, kernel, embed.project.bias, stride=2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(tokens), expected)


def test_unknown_pixels_have_a_vector_of_their_own() -> None:
    torch.manual_seed(0)
    embed = small().embed(11)
    rows = embed(torch.tensor([[-1.0] * 4, *([float(i)] * 4 for i in range(5))]))
    assert torch.cdist(rows, rows).add(torch.eye(6)).min() > 1e-4


# Target and loss


def tokens_with(values: Tensor) -> Tokens:
    tokens = small().split({"classes": torch.zeros(len(values), 2, 4, dtype=torch.int32)})
    return replace(tokens, values=values)


def test_a_token_without_a_known_pixel_is_not_known() -> None:
    values = torch.tensor([[[0.0, 1, 2, 3], [-1, -1, -1, -1]], [[-1, -1, 4, -1], [0, 0, 0, 0]]])
    truth = truth_of(ClassMap(), small(), tokens_with(values))
    assert truth.known.tolist() == [[True, False], [True, True]]
    assert torch.equal(truth.values, values)


def test_loss_is_the_mean_cross_entropy_of_the_known_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4 * 5, generator=generator)
    truth = torch.randint(-1, 5, (2, 3, 4), generator=generator).float()
    truth[0, 0] = -1
    loss = class_map_cross_entropy(logits, truth)
    for row in range(2):
        for token in range(3):
            known = truth[row, token] >= 0
            expected = 0.0
            if known.any():
                pixels = logits[row, token].reshape(4, 5)[known]
                expected = F.cross_entropy(pixels, truth[row, token][known].long()).item()
            assert loss[row, token].item() == pytest.approx(expected, abs=1e-6)


def test_unknown_pixels_and_tokens_give_no_gradient() -> None:
    logits = torch.randn(1, 2, 4 * 5, requires_grad=True)
    truth = torch.tensor([[[1.0, -1, 2, -1], [-1, -1, -1, -1]]])
    class_map_cross_entropy(logits, truth).sum().backward()
    assert logits.grad is not None
    reached = logits.grad.reshape(2, 4, 5).abs().sum(dim=-1) > 0
    assert reached.tolist() == [[True, False, True, False], [False] * 4]


def test_the_likeliest_class_is_restored() -> None:
    values = torch.tensor([[[0.0, 1, 2, 3], [4, -1, 0, 0]]])
    logits = F.one_hot(values.clamp_min(0).long(), 5).float().flatten(2)
    target = ClassMap()
    assert target.num_predicted(small(), 0) == logits.shape[-1] == 20
    restored = target.restore(logits, tokens_with(values))
    assert restored is not None
    assert restored.tolist() == [[[0, 1, 2, 3], [4, 0, 0, 0]]]


def test_other_modalities_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"ClassMap is a target of class maps, got .*'image'"):
        ClassMap().num_predicted(ImagePatches(), 0)


def test_every_class_has_a_colour_of_its_own() -> None:
    colours = torch.tensor([class_colour(number) for number in range(40)])
    assert (torch.cdist(colours, colours) + torch.eye(40)).min() > 0.02
    assert colours.amax(dim=1).min() > 0.5, "black is for unknown"
