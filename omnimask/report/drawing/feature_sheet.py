"""What the encoder of a run makes of tokens, as a sheet."""

from dataclasses import replace

from omnimask.data.samples import readable
from omnimask.data.streams import StreamReader
from omnimask.network.encoder import Backbone
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Stream
from omnimask.report.drawing.features import EXPLAINED, paint, painted_features
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.panels import whole_drawing
from omnimask.report.drawing.sheet import Sheet
from omnimask.training.step import MaskedModel, build_model

_OTHER_SEED = 1000  # added to the recipe's: of an encoder that has not been trained


def untrained_like(recipe: Recipe) -> Backbone:
    """The recipe's encoder with other random weights."""
    return build_model(replace(recipe, seed=recipe.seed + _OTHER_SEED)).backbone.eval()


def draw_features(model: MaskedModel, *, samples: int = 2) -> Sheet:
    """For every stream, `samples` held-out (else training) samples."""
    untrained = untrained_like(model.recipe)
    return Sheet(
        title=f"Features of {model.recipe.name}",
        note=EXPLAINED,
        sections=tuple(
            section
            for stream in model.recipe.data.streams
            for section in _stream_sections(model, untrained, stream, samples)
        ),
    )


def _stream_sections(
    model: MaskedModel, untrained: Backbone, stream: Stream, samples: int
) -> list[Section]:
    reader = StreamReader(stream, stream.held_out or stream.files, model.recipe)
    forgiving = model.recipe.data.max_bad_files > 0
    group = reader.held_out_group(readable(reader, samples, forgiving=forgiving))
    (view,) = model.views([group.to(next(model.parameters()).device)])
    sections = []
    for name, parts in painted_features(model.backbone, untrained, view).items():
        pictures = [
            whole_drawing(paint(model.modalities[name], group.raw[name], part, index=index))
            for index, part in enumerate(parts)
        ]
        sections.append(
            Section(
                heading=stream.name if stream.name == name else f"{stream.name}: {name}",
                details=(),
                roles=("",),
                lines=(Line(label="", samples=tuple((picture,) for picture in pictures)),),
            )
        )
    return sections
