"""The README.md that goes into the sample data's folder."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from omnimask.sample_data import part_module
from omnimask.sample_data.photos import PHOTOS


def readme_text(parts: Mapping[str, Mapping[str, str]]) -> str:
    """`parts` maps each part to its files' paths below the data folder."""
    sections = [
        "# omnimask sample data\n\n"
        "Made by `omnimask sample-data`, without a download. It is for trying things "
        "out and for tests;\nnumbers measured on it say nothing about a method's worth.\n\n"
        "`<part>/train/<label>/<file>` and `<part>/held_out/<label>/<file>`; tables lie in "
        "`tables/train` and `tables/held_out`,\nmaps one folder deeper. "
        "`manifest.json` lists every file with its SHA-256. Another run gives the same bytes,\n"
        "but for the Ogg files, which hold a random number and the same sound."
    ]
    for part, files in parts.items():
        about = part_module(part).ABOUT.strip()
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
