"""What the last checkpoint of a run fills in."""

from omnimask.data.samples import readable
from omnimask.data.streams import StreamReader
from omnimask.recipe.settings import Stream
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.panels import Pixels, cut_panels, trim_margins, whole_drawing
from omnimask.report.drawing.sheet import Sheet
from omnimask.report.pictures import notes_below
from omnimask.tokens.tokens import Raw
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.fill import Filled, fill

_ROLES = ("original", "visible", "reconstruction")


def draw_reconstructions(model: MaskedModel, *, samples: int = 4) -> Sheet:
    """For every stream, `samples` held-out (else training) samples under their first mask."""
    recipe = model.recipe
    return Sheet(
        title=f"Reconstructions of {recipe.name}",
        sections=tuple(
            section
            for stream in recipe.data.streams
            for section in _stream_sections(model, stream, samples)
        ),
    )


def _stream_sections(model: MaskedModel, stream: Stream, samples: int) -> list[Section]:
    reader = StreamReader(stream, stream.held_out or stream.files, model.recipe)
    forgiving = model.recipe.data.max_bad_files > 0
    group = reader.held_out_group(readable(reader, samples, forgiving=forgiving))
    group = group.to(next(model.parameters()).device)
    (view,) = model.views([group])
    return [
        _section(model, name, part, group.raw[name], stream=stream.name, num_samples=len(group))
        for name, part in fill(model, view).items()
    ]


def _section(
    model: MaskedModel, name: str, part: Filled, raw: Raw, *, stream: str, num_samples: int
) -> Section:
    heading = stream if stream == name else f"{stream}: {name}"
    details = tuple(notes_below(model, name, part.restored))
    if not part.restored:
        return Section(heading=heading, details=details, roles=(), lines=())
    modality = model.modalities[name]
    figures = [
        modality.draw(raw, visible=part.visible.cpu(), filled=part.values.cpu(), index=index).figure
        for index in range(num_samples)
    ]
    cut = [cut_panels(figure) for figure in figures]
    whole = [panels for panels in cut if panels is not None]
    if len(whole) < len(figures):
        return Section(
            heading=heading,
            details=details,
            roles=("",),
            lines=(Line(label="", samples=tuple((whole_drawing(f),) for f in figures)),),
        )
    pictures: list[Pixels] = [picture for panels in whole for picture in panels.pictures]
    if not all(panels.framed for panels in whole):
        pictures = trim_margins(pictures)
    samples = tuple(tuple(pictures[i : i + 3]) for i in range(0, len(pictures), 3))
    return Section(
        heading=heading,
        details=details,
        roles=_ROLES,
        lines=(Line(label="", samples=samples),),
    )
