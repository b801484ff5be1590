"""What streams with names in common find of each other, by frozen features of each alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from omnimask.data.samples import spread
from omnimask.data.streams import StreamReader
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.panels import Pixels, original
from omnimask.report.drawing.sheet import Sheet
from omnimask.report.evaluate import StreamFeatures
from omnimask.tokens.modality import Visit
from omnimask.transfer.searching.across import Retrieval, Seen, align, shared

SPACES = ("trained", "untrained", "raw")
QUERIES, FOUND = 2, 3
_RIGHT = (0x15, 0x80, 0x3D)
_SIDE = 220  # pixels


def seen(part: StreamFeatures) -> Seen:
    """What a stream's features are to retrieval."""
    spaces = {
        space: [(train.values, test.values) for train, test in part.encoders(space)]
        for space in SPACES
    }
    return Seen(sense=part.stream, names=part.names, spaces=spaces)


def across_sheet(
    ways: Sequence[Retrieval],
    streams: Sequence[StreamFeatures],
    held_out: Mapping[str, StreamReader],
) -> Sheet | None:
    """Some held-out samples of the first stream, and what they find in each other one: the query,
    what belongs to it, and the nearest by cosine, framed where it is right. None without any way.

    Queries are spread over the stream, not chosen by how well they do.
    """
    by_name = {part.stream: part for part in streams}
    first = next((way.query for way in ways), None)
    sections = tuple(
        _section(by_name[way.query], by_name[way.answer], held_out)
        for way in ways
        if way.query == first
    )
    return Sheet(title="", sections=sections) if sections else None


def _section(
    query: StreamFeatures, answer: StreamFeatures, held_out: Mapping[str, StreamReader]
) -> Section:
    (left, right), (asked, known) = (
        shared(query.names[side], answer.names[side]) for side in (0, 1)
    )
    fitted = align(query.trained[0].values[left], answer.trained[0].values[right])
    cosines = fitted.similarities(query.trained[1].values[asked], answer.trained[1].values[known])
    samples = []
    for row in spread(len(asked), QUERIES):
        nearest = np.argsort(-cosines[row], kind="stable")[:FOUND]
        pictures = [_picture(held_out[answer.stream], answer.names[1][known[n]]) for n in nearest]
        samples.append(
            (
                _picture(held_out[query.stream], query.names[1][asked[row]]),
                _picture(held_out[answer.stream], answer.names[1][known[row]]),
                *(_framed(p) if n == row else p for n, p in zip(nearest, pictures, strict=True)),
            )
        )
    numbers = tuple(f"{n}." for n in range(1, len(samples[0]) - 1))
    return Section(
        heading=f"{query.stream} asks {answer.stream}",
        details=(f"Among {len(known)} held-out samples that both have.",),
        roles=("query", "belongs to it", *numbers),
        lines=(Line(label="", samples=tuple(samples)),),
        legend=((_RIGHT, "found: the same scene"),),
        squares=True,
    )


def _picture(reader: StreamReader, name: str) -> Pixels:
    """A sample as its modality draws it, on a white square."""
    from PIL import Image, ImageOps

    index = next(i for i in range(len(reader)) if reader.name(i) == name)
    ((modality, sample),) = reader.read(index, Visit(key=0, augment=False)).items()
    record = reader.modalities[modality]
    image = Image.fromarray(original(record, record.collate([sample])))
    return np.asarray(ImageOps.pad(image, (_SIDE, _SIDE), color="white").convert("RGB"))


def _framed(picture: Pixels) -> Pixels:
    from PIL import Image, ImageOps

    inner = Image.fromarray(picture).resize((_SIDE - 12, _SIDE - 12))
    return np.asarray(ImageOps.expand(inner, border=6, fill=_RIGHT))
