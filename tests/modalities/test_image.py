"""What is particular to images: formats, channels, number types, orientation, views."""

import importlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from modalities.image import ImageFiles, ImagePatches, available_readers
from modalities.image.readers import tiff
from modalities.image.readers.channels import Picture, to_channels
from modalities.image.readers.header import read_header
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.objectives.targets import Content
from omnimask.tokens.modality import Visit
from tests.modalities.case_image import bomb, encoded, scene, write, write_tiff
from tests.steps import truth_of


def read_whole(path: Path, *, channels: int = 3, size: tuple[int, int] | None = None) -> Tensor:
    """The file's centre view; at its own size where that is given, so that nothing is resampled."""
    size = size or (40, 60)
    modality = ImagePatches(size=size, patch=(1, 1), num_channels=channels)
    source = ImageFiles(labels="none").open(str(path.parent), modality)
    names = [source.name(i) for i in range(len(source))]
    return source.read(names.index(path.name), Visit(key=0, augment=False))["pixels"]


def by_pillow(path: Path, mode: str = "RGB") -> Tensor:
    array = np.array(ImageOps.exif_transpose(Image.open(path)).convert(mode))
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).movedim(-1, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_pixels_are_upright_and_those_of_pillow(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    data = encoded(scene(40, 60), kind, orientation=orientation)
    path = write(tmp_path / f"a.{kind.lower()}", data)
    size = (60, 40) if orientation >= 5 else (40, 60)
    ours, theirs = read_whole(path, size=size), by_pillow(path)
    assert ours.dtype == torch.uint8
    # Two builds of libjpeg may differ by a rounding.
    assert (ours.int() - theirs.int()).abs().max() <= (2 if kind == "JPEG" else 0)


def tiff_kinds() -> dict[str, tuple[np.ndarray, str]]:
    wide = np.random.default_rng(0).integers(0, 2**16, (40, 60, 3)).astype(np.uint16)
    return {
        "8-bit RGB": (scene(40, 60), "rgb"),
        "16-bit RGB": (wide, "rgb"),
        "16-bit big-endian": (wide.astype(">u2"), "rgb"),
        "32-bit float": ((wide / 65535).astype(np.float32), "rgb"),
        "three bands": (scene(40, 60), "minisblack"),
    }


@pytest.mark.parametrize("kind", list(tiff_kinds()))
def test_tiff_of_every_number_type_is_in_unit_range(tmp_path: Path, kind: str) -> None:
    pixels, photometric = tiff_kinds()[kind]
    ours = read_whole(write_tiff(tmp_path / "a.tif", pixels, photometric))
    largest = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0
    expected = torch.from_numpy(pixels.astype(np.float64) / largest).movedim(-1, 0)
    unit = ours.double() / 255 if ours.dtype == torch.uint8 else ours.double()
    torch.testing.assert_close(unit, expected, atol=1e-6, rtol=0)


def test_16_bit_png_keeps_its_levels(tmp_path: Path) -> None:
    ramp = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    ours = read_whole(write(tmp_path / "a.png", file.getvalue()), channels=1)
    assert ours.dtype == torch.float32
    assert len(ours.unique()) == ramp.size
    assert ours.max().item() == pytest.approx(ramp.max() / 65535)


def test_palette_png_gives_colours_and_not_palette_numbers(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(scene(40, 60)).quantize(16).save(file, "PNG")
    path = write(tmp_path / "a.png", file.getvalue())
    assert torch.equal(read_whole(path), by_pillow(path))


@pytest.mark.parametrize("options", [{}, {"exif": b"Exif\0\0"}, {"lossless": True}])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(40, 61), (1, 1), (300, 7)])
def test_headers_say_what_pillow_says(kind: str, options: dict, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.fromarray(scene(*size)).save(file, kind, **options)
    header = read_header(file.getvalue(), "")
    theirs = Image.open(file)
    assert (header.format.upper(), header.width, header.height) == (theirs.format, *theirs.size)


def test_format_is_told_by_content_and_not_by_suffix(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", encoded(scene(40, 60), "PNG"))
    assert torch.equal(read_whole(path), by_pillow(path))


@pytest.mark.parametrize("has_imagecodecs", [False, True])
@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
def test_tiff_compressed_otherwise_is_read(
    tmp_path: Path, compression: str, has_imagecodecs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_imagecodecs:
        importlib.import_module("imagecodecs")
    monkeypatch.setattr(tiff, "_has_imagecodecs", lambda: has_imagecodecs)
    file = io.BytesIO()
    Image.fromarray(scene(40, 60)).save(file, "TIFF", compression=compression)
    path = write(tmp_path / "a.tif", file.getvalue())
    assert (read_whole(path).int() - by_pillow(path).int()).abs().max() <= 2


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_tiff_is_upright(tmp_path: Path, orientation: int) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    tag = (274, "H", 1, orientation, False)
    tifffile.imwrite(path, scene(40, 60), photometric="rgb", extratags=[tag])
    size = (60, 40) if orientation >= 5 else (40, 60)
    assert torch.equal(read_whole(path, size=size), by_pillow(path))


def test_bands_come_as_they_are_if_their_number_is_right(tmp_path: Path) -> None:
    bands = scene(40, 60, channels=7)
    path = write_tiff(tmp_path / "a.tif", bands)
    assert torch.equal(read_whole(path, channels=7), torch.from_numpy(bands).movedim(-1, 0))
    with pytest.raises(DataError, match=r"a\.tif: has 7 channels; expected 5.*num_channels"):
        read_whole(path, channels=5)


def test_pages_of_one_size_are_bands(tmp_path: Path) -> None:
    import tifffile

    bands = np.random.default_rng(0).integers(0, 2**16, (5, 40, 60)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="minisblack")
    ours = read_whole(tmp_path / "a.tif", channels=5)
    torch.testing.assert_close(ours.double() * 65535, torch.from_numpy(bands).double())


# Channels


def picture(*planes: float, **kind: bool) -> Picture:
    return Picture(pixels=torch.tensor(planes).reshape(-1, 1, 1), **kind)


def test_grey_and_rgb_turn_into_each_other() -> None:
    assert to_channels(picture(0.5), 3, "a").flatten().tolist() == [0.5, 0.5, 0.5]
    grey = to_channels(picture(1.0, 0.5, 0.25), 1, "a")
    assert grey.item() == pytest.approx(0.299 + 0.587 * 0.5 + 0.114 * 0.25)


def test_transparent_places_turn_white() -> None:
    clear = picture(0.2, 0.2, 0.2, 0.25, has_alpha=True)
    assert to_channels(clear, 3, "a").flatten().tolist() == pytest.approx([0.8] * 3)
    assert to_channels(picture(0.2, 0.0, has_alpha=True), 1, "a").item() == 1.0


def test_alpha_is_the_fourth_channel_if_asked_for() -> None:
    clear = picture(0.1, 0.2, 0.3, 0.4, has_alpha=True)
    assert torch.equal(to_channels(clear, 4, "a"), clear.pixels)
    assert to_channels(picture(0.1, 0.2, 0.3), 4, "a").flatten().tolist()[3] == 1.0
    eight_bit = Picture(pixels=torch.zeros(1, 2, 2, dtype=torch.uint8))
    assert to_channels(eight_bit, 4, "a")[3].unique().tolist() == [255]


def test_premultiplied_alpha_is_undone() -> None:
    dark = picture(0.1, 0.2, 0.3, 0.5, has_alpha=True, is_premultiplied=True)
    assert to_channels(dark, 4, "a").flatten().tolist() == pytest.approx([0.2, 0.4, 0.6, 0.5])


def test_jpeg_gives_its_grey_without_a_detour(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", encoded(scene(40, 60), "JPEG"))
    luma = Image.open(path)
    luma.draft("L", luma.size)  # libjpeg's own luma plane
    expected = torch.from_numpy(np.array(luma))[None]
    assert (read_whole(path, channels=1).int() - expected.int()).abs().max() <= 1


# Views


def view(path: Path, key: int, **fields: object) -> Tensor:
    modality = ImagePatches(size=(32, 32), patch=(16, 16))
    files = ImageFiles(labels="none", **fields)  # pyright: ignore[reportArgumentType] a test's short cut
    return files.open(str(path.parent), modality).read(0, Visit(key=key))["pixels"]


def test_flip_mirrors_every_or_no_or_some_views(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", encoded(scene(50, 70), "PNG"))
    for key in range(20):
        plain, mirrored = view(path, key, flip=0.0), view(path, key, flip=1.0)
        assert torch.equal(plain.flip(-1), mirrored)
    views = [view(path, key, flip=0.5) for key in range(40)]
    flipped = sum(torch.equal(v, view(path, key, flip=1.0)) for key, v in enumerate(views))
    assert 10 <= flipped <= 30


def test_crop_scale_bounds_the_area(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 200, 3))
    path = write(tmp_path / "a.png", encoded(np.ascontiguousarray(ramp), "PNG"))
    spans = [
        int(view(path, key, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0)).float().amax())
        - int(view(path, key, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0)).float().amin())
        for key in range(20)
    ]
    assert 90 < min(spans) <= max(spans) <= 100


def test_16_bit_does_not_overshoot(tmp_path: Path) -> None:
    edge = np.zeros((20, 20, 3), dtype=np.uint16)
    edge[:, 10:] = 65535
    pixels = read_whole(write_tiff(tmp_path / "a.tif", edge, "rgb"), size=(64, 64))
    assert (pixels.amin().item(), pixels.amax().item()) == (0.0, 1.0)


def test_mixed_types_make_one_batch_with_the_same_tokens(tmp_path: Path) -> None:
    pixels = scene(32, 32)
    write(tmp_path / "a.png", encoded(pixels, "PNG"))
    write_tiff(tmp_path / "b.tif", pixels.astype(np.uint16) * 257, "rgb")
    modality = ImagePatches(size=(32, 32), patch=(8, 8))
    source = ImageFiles(labels="none").open(str(tmp_path), modality)
    modality = modality.fit(source)
    samples = [source.read(i, Visit(key=0, augment=False)) for i in range(2)]
    tokens = modality.split(modality.collate(samples))
    torch.testing.assert_close(tokens.values[0], tokens.values[1], atol=1e-5, rtol=0)


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "real" / "cat" / "a.png", encoded(scene(20, 20), "PNG"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "real" / "cat")
    source = ImageFiles(path="data").open(str(tmp_path), ImagePatches())
    assert (source.name(0), source.label(0)) == ("linked/a.png", "linked")


def test_a_file_at_the_top_has_no_label(tmp_path: Path) -> None:
    write(tmp_path / "a.png", encoded(scene(20, 20), "PNG"))
    assert ImageFiles().open(str(tmp_path), ImagePatches()).label(0) is None


# Tokens and records


def test_values_suit_the_channel_norm_of_content() -> None:
    modality = ImagePatches(size=(16, 16), patch=(8, 8), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = modality.split({"pixels": pixels})
    norm = Content(norm="channel", num_channels=3)
    truth = truth_of(norm, modality, tokens).values
    first = pixels[0, :, :8, 8:].flatten(1)
    expected = (first - first.mean(1, keepdim=True)) / (first.std(1, keepdim=True) + 1e-6)
    torch.testing.assert_close(truth[0, 1].reshape(-1, 3).T, expected, atol=1e-4, rtol=1e-4)


def test_readers_are_listed() -> None:
    readers = available_readers()
    assert readers["TIFF"].startswith("tifffile 20")
    assert any("torchvision 0." in version for version in readers.values())


def test_a_bomb_can_be_allowed_by_max_pixels(tmp_path: Path) -> None:
    write(tmp_path / "a.png", bomb(1001, 1000))
    modality = ImagePatches()
    source = ImageFiles(max_pixels=1_000_000).open(str(tmp_path), modality)
    with pytest.raises(DataError, match=r"a\.png: is 1000 × 1001 pixels.*raise max_pixels"):
        source.read(0, Visit(key=0))


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"size": (225, 224)}, "size=(224, 224)"),
        ({"num_channels": 1, "mean": (0.5, 0.5, 0.5)}, "mean=None"),
        ({"std": (1.0, 0.0, 1.0)}, "positive"),
        ({"patch": (0, 16)}, "positive"),
    ],
)
def test_impossible_records_are_refused_with_a_fix(fields: dict[str, object], fix: str) -> None:
    with pytest.raises(RecipeError) as caught:
        ImagePatches(**fields)  # pyright: ignore[reportArgumentType] wrong on purpose
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{"crop_scale": (0.0, 1.0)}, {"crop_ratio": (2.0, 1.0)}, {"flip": 50.0}]
)
def test_impossible_views_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(fields))):
        ImageFiles(**fields)  # pyright: ignore[reportArgumentType] wrong on purpose


# Standardised one by one


def each() -> ImagePatches:
    return ImagePatches(size=(20, 20), patch=(5, 5), num_channels=1, standardise="each")


def test_each_image_is_standardised_without_its_extremes() -> None:
    """Against sorting by numpy; the far tenth of a depth map does not move the rest."""
    depth = np.random.default_rng(0).uniform(0.01, 0.05, (3, 400)).astype(np.float32)
    depth[1, :30] = 1.0
    raw = {"pixels": torch.from_numpy(depth).reshape(3, 1, 20, 20)}
    modality = each()
    joined = modality.join(modality.split(raw).values, raw)["pixels"]
    torch.testing.assert_close(joined, raw["pixels"])
    values = unpatched(modality, modality.split(raw).values)
    for image, ours in zip(depth, values, strict=True):
        middle = np.sort(image)[40:360].astype(np.float64)
        expected = (image - middle.mean()) / np.sqrt(middle.var(ddof=1) + 1e-6)
        np.testing.assert_allclose(ours.flatten().numpy(), expected, rtol=1e-4, atol=1e-5)


def unpatched(modality: ImagePatches, values: Tensor) -> Tensor:
    """The standardised pixels themselves (b 20 20), by a plain loop over the patches."""
    pixels = torch.zeros(len(values), 20, 20)
    for number, patch in enumerate(values.unbind(1)):
        row, column = 5 * (number // 4), 5 * (number % 4)
        pixels[:, row : row + 5, column : column + 5] = patch.reshape(-1, 5, 5)
    return pixels


def test_each_image_alone_has_the_tokens_it_has_in_a_batch() -> None:
    pixels = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    both, alone = each().split({"pixels": pixels}), each().split({"pixels": pixels[1:]})
    assert torch.equal(both.values[1:], alone.values)


def test_a_constant_image_is_standardised_to_zeros() -> None:
    values = each().split({"pixels": torch.full((1, 1, 20, 20), 0.25)}).values
    torch.testing.assert_close(values, torch.zeros_like(values))


def test_own_statistics_need_no_fit_and_refuse_fixed_ones(tmp_path: Path) -> None:
    write(tmp_path / "unreadable.png", b"")
    assert each().fit(ImageFiles().open(str(tmp_path), each())) == each()
    with pytest.raises(RecipeError, match="must be None where standardise is 'each'"):
        ImagePatches(num_channels=1, mean=(0.0,), standardise="each")
