"""The README.md that goes into the sample data's folder."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tools.sample_data.maps import CLASSES
from tools.sample_data.parts import NAMES
from tools.sample_data.photos import PHOTOS

_ABOUT = {
    "images": """
Real. `digit-*`: the 8 × 8 handwritten digits of scikit-learn (`load_digits`, a copy of the test
set of UCI's "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak), enlarged
to 32 × 32, greyscale PNG. `photo-*`: crops of the photographs listed below, mostly 96 × 96 JPEG
(greyscale where the photograph is), some WebP, 16-bit TIFF and PNG with an alpha channel.
Held-out crops come from the quarter at one edge of a photograph, train crops from the rest, so
no pixel is in both.""",
    "video": """
Made. H.264 with an AAC stereo track, 96 × 96 or 128 × 72, mostly 2 s at 12 or 15 frames per
second. A textured object moves over a drifting textured background (textures: crops of the
photographs below, from the region of the split); the label is its motion. The sound belongs to
the picture: stereo balance = place from left to right, pitch = height in the frame, loudness =
size, timbre = shape.""",
    "audio": """
Made. Ten kinds of sound by physical or perceptual synthesis (plucked string, FM bell, formant
voice, ...) with random pitch, time and room, 0.5 to 3 s, 16, 22.05 and 44.1 kHz, mono and
stereo, WAV, FLAC and Ogg Vorbis.""",
    "points": """
Made. Twelve kinds of object with random proportions, size, place and turn about the up axis
(z). Clouds of 2048 points (some of 1024 or 300), noisy, half of them with one end missing: PLY
(binary with normals and colours, or ASCII), PCD, XYZ, NPY (n × 3), NPZ (`points`, some with
`normals` and `colors`); meshes as OBJ, OFF and STL.""",
    "voxels": """
Made. LiDAR sweeps of 17 to 23 beams × 360 azimuths to 40 m, ray-cast in made-up places, with
range noise and lost returns. KITTI `.bin`: fp32 x, y, z (metres, from the sensor, z up) and
intensity in [0, 1]; the same four columns as NPY (n × 4) and PCD.""",
    "maps": """
Made. Small scenes, ray-cast at 64 × 64: a main object, which is the label, up to three smaller
ones, the ground and a wall, in any colour, light and view. Three PNG files of the same relative
name per scene, `maps/<split>/{rgb,depth,semantic}/<label>/<file>`: colour; depth along the viewing
direction in millimetres (16-bit grey); class ids (8-bit grey):
CLASSES;
255 where an object is of no known kind.""",
    "parts": """
Made. Three kinds of object of `points` as clouds of 1024 points with the part of each: binary PLY
with a property `part`, the number of one of: PARTS.""",
    "tables": """
Real, from scikit-learn: `iris` (R. A. Fisher), `wine` and `breast_cancer` (UCI), `diabetes`
(Efron, Hastie, Johnstone, Tibshirani 2004, in its raw units). `target` is the class name, or a
number for diabetes. Not real: the empty feature cells (5 % of iris, 6 % of wine, 8 % of
breast_cancer, 10 % of diabetes, completely at random), `sampled_on` in wine (a date computed
from `alcohol` plus noise) and `overweight` in diabetes (`bmi` >= 25). `sex` in diabetes is the
package's 1 and 2 written as a and b. One row in five is held out, class by class.
`breast_cancer.parquet` holds the same rows as the CSV file.""",
}

_PART_IDS = ", ".join(f"{number} {name}" for number, name in enumerate(NAMES))
_CLASS_IDS = ", ".join(f"{number} {name}" for number, name in enumerate(CLASSES))


def readme_text(parts: Mapping[str, Mapping[str, str]]) -> str:
    """`parts` maps each part to its files' paths below the data folder."""
    sections = [
        "# omnimask sample data\n\n"
        "Made by `python tools/make_sample_data.py`, without a download. It is for trying things "
        "out and for tests;\nnumbers measured on it say nothing about a method's worth.\n\n"
        "`<part>/train/<label>/<file>` and `<part>/held_out/<label>/<file>`; tables lie in "
        "`tables/train` and `tables/held_out`,\nmaps one folder deeper. "
        "`manifest.json` lists every file with its SHA-256. Another run gives the same bytes,\n"
        "but for the Ogg files, which hold a random number and the same sound."
    ]
    for part, files in parts.items():
        about = _ABOUT[part].strip().replace("CLASSES", _CLASS_IDS).replace("PARTS", _PART_IDS)
        sections.append(f"## {part}\n\n{about}\n\n{_counts(part, files)}")
    rows = [f"| {name} | {photo.package} | {photo.licence} |" for name, photo in PHOTOS.items()]
    table = "\n".join(
        ["| photograph | package | source and terms, as stated there |", "|---|---|---|", *rows]
    )
    sections.append(
        f"## Photographs\n\n{table}\n\n"
        "scikit-learn and scikit-image are under the BSD 3-clause licence."
    )
    return "\n\n".join(sections) + "\n"


def _counts(part: str, files: Mapping[str, str]) -> str:
    splits = Counter(path.split("/")[1] for path in files)
    formats = Counter(Path(path).suffix for path in files)
    labels = sorted({Path(path).parent.name for path in files}) if part != "tables" else []
    text = f"{splits['train']} train, {splits['held_out']} held out: "
    text += ", ".join(f"{count} {suffix}" for suffix, count in sorted(formats.items())) + "."
    return text + (f"\nLabels: {', '.join(labels)}." if labels else "")
