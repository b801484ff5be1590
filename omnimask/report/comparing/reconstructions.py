"""The same samples as several runs reconstruct them."""

from collections.abc import Mapping

from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.reconstructions import draw_reconstructions
from omnimask.report.drawing.sheet import Sheet
from omnimask.training.step import MaskedModel


def reconstructions_beside(models: Mapping[str, MaskedModel], *, samples: int = 3) -> Sheet:
    """By the runs' names. Streams of the same files are drawn with each original once."""
    sheets = {name: draw_reconstructions(model, samples=samples) for name, model in models.items()}
    first, *_ = models
    sections, notes = [], []
    for section in sheets[first].sections:
        beside = {name: _section_like(section, sheet) for name, sheet in sheets.items()}
        stream = section.heading.partition(":")[0]
        files = {name: _files(model, stream) for name, model in models.items()}
        same = {
            name: found
            for name, found in beside.items()
            if found is not None and found.lines and files[name] == files[first]
        }
        left = [name for name in models if name not in same]
        if left:
            notes.append(f"{section.heading}: {', '.join(left)} has no such stream or none to draw")
        if first in same:
            sections.append(_merged(section, same))
    return Sheet(title="", sections=tuple(sections), note="; ".join(notes))


def _section_like(section: Section, sheet: Sheet) -> Section | None:
    alike = (s for s in sheet.sections if (s.heading, s.roles) == (section.heading, section.roles))
    return next(alike, None)


def _files(model: MaskedModel, stream: str) -> object:
    found = next((s for s in model.recipe.data.streams if s.name == stream), None)
    return None if found is None else (model.recipe.data.root, found.held_out or found.files)


def _merged(section: Section, same: Mapping[str, Section]) -> Section:
    """Original, then of each run what it saw and what it made of it."""
    rows = [found.lines[0].samples for found in same.values()]
    samples = tuple(
        (parts[0][0], *(picture for part in parts for picture in part[1:]))
        for parts in zip(*rows, strict=True)
    )
    roles = [f"{name}: {role}" for name, found in same.items() for role in found.roles[1:]]
    return Section(
        heading=section.heading,
        details=section.details,
        roles=(section.roles[0], *roles),
        lines=(Line(label="", samples=samples),),
    )
