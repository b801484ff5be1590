"""One file, or one sample of the run's own, as its model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from omnimask.data.reading import read_sample
from omnimask.data.samples import spread
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.rng import fold_key
from omnimask.masking.copies import Copies
from omnimask.masking.per_modality import PerModality
from omnimask.masking.plan import Masker
from omnimask.report.demo.neighbours import DROPPED, Neighbour, Neighbours
from omnimask.report.drawing.panels import Pixels, cut_panels, whole_drawing
from omnimask.report.pictures import notes_below
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Group, Raw
from omnimask.transfer.embedding.file_reader import Reading, readings_of, recorded_files
from omnimask.transfer.embedding.listing import Kinds
from omnimask.transfer.imputing.fill import fill
from omnimask.transfer.loading import load_encoder, load_model

_OWN_SAMPLES = 12  # of each stream, offered beside files that are dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """`modality`: None tells it from the file's suffix. `row` is that of a file of rows. `ratio`:
    None masks as the recipe does. Another `seed` is another mask.
    """

    modality: str | None = None
    row: int = 0
    ratio: float | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """`panels` have a word for what they show; `html` is the modality's own interactive part, which
    `needs_plotly` or not.
    """

    modality: str
    name: str
    hidden: float
    panels: tuple[tuple[Pixels, str], ...]
    html: str
    needs_plotly: bool
    notes: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]


class Demo:
    """A run's last checkpoint, how files of its modalities are read, and vectors to compare with.

    RecipeError where `run` has no model that could reconstruct, DataError where its data are gone.
    """

    def __init__(self, run: Path) -> None:
        self.model = load_model(run)
        self.recipe = self.model.recipe
        recorded = recorded_files(run)
        self.readings = readings_of(self.recipe.modalities, recorded)
        self.readers = {
            stream.name: StreamReader(stream, stream.held_out or stream.files, self.recipe)
            for stream in self.recipe.data.streams
        }
        self.neighbours = Neighbours(load_encoder(run), list(self.readers.values()))

    def ratio_of(self, modality: str) -> float | None:
        """The recipe's mask ratio; None where its masks are not drawn by one."""
        return _ratio_of(self.recipe.masker, modality)

    @property
    def own_samples(self) -> list[tuple[str, int]]:
        """Stream and index of some held-out (else training) samples of every stream."""
        return [
            (stream, index)
            for stream, reader in self.readers.items()
            for index in spread(len(reader), _OWN_SAMPLES)
        ]

    def see_own(self, stream: str, index: int, asked: Asked) -> list[Seen]:
        """Every modality of one of the run's own samples, each hidden in part."""
        reader = self.readers[stream]
        return self._see(reader.held_out_group([index]), asked)

    def see(self, path: Path, asked: Asked) -> list[Seen]:
        """A file. DataError or RecipeError where no modality of the run reads it."""
        reading = self._reading(path, asked.modality)
        source = reading.open(str(path))
        if not 0 <= asked.row < len(source):
            raise DataError(f"{path.name} has the rows 0 to {len(source) - 1}, got {asked.row}")
        sample = read_sample(source, asked.row, Visit(key=0, augment=False))
        name = reading.modality.name
        raw = {name: reading.modality.collate([sample])}
        key = torch.tensor([fold_key(0, "demo", name)])
        return self._see(Group(stream=DROPPED, raw=raw, keys=key, names=(path.name,)), asked)

    def _reading(self, path: Path, modality: str | None) -> Reading:
        kinds = Kinds(self.readings, () if modality is None else (modality,))
        name = kinds.modality(str(path))
        if name is None:
            raise DataError(kinds.unknown(path.name, named=True).reason)
        return self.readings[name]

    def _see(self, group: Group, asked: Asked) -> list[Seen]:
        own = group.keys + asked.seed  # of the same seed, the same mask for every ratio
        group = replace(group, keys=own).to(next(self.model.parameters()).device)
        (view,) = self.model.views([group])
        masker = self.recipe.masker
        if asked.ratio is not None:
            masker = _with_ratio(masker, asked.ratio)
        filled = fill(self.model, view, masker)
        seen = []
        for name, part in filled.items():
            raw: Raw = group.raw[name]
            visible = part.visible.cpu()
            drawing = self.model.modalities[name].draw(
                raw, visible=visible, filled=part.values.cpu(), index=0
            )
            there = int(view.tokens[name].valid.sum())
            seen.append(
                Seen(
                    modality=name,
                    name=group.names[0],
                    hidden=1.0 - int(visible.sum()) / max(there, 1),
                    panels=_panels(drawing.figure, restored=bool(part.restored)),
                    html=drawing.html if part.restored else "",
                    needs_plotly=drawing.needs_plotly,
                    notes=tuple(notes_below(self.model, name, part.restored)),
                    neighbours=self.neighbours.of(replace(group, raw={name: raw})),
                )
            )
        return seen


def _panels(figure: object, *, restored: bool) -> tuple[tuple[Pixels, str], ...]:
    """Original, visible part and reconstruction; without the last where there is none."""
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure), "modalities draw with matplotlib"
    cut = cut_panels(figure)
    if cut is None:
        return ((whole_drawing(figure), "original, visible, reconstruction"),)
    roles = ("original", "visible", "reconstruction")[: 3 if restored else 2]
    return tuple(zip(cut.pictures, roles))


def _ratio_of(masker: Masker, modality: str) -> float | None:
    if isinstance(masker, PerModality):
        return _ratio_of(masker.masks[modality], modality)
    if isinstance(masker, Copies):
        return _ratio_of(masker.masker, modality)
    ratio = getattr(masker, "ratio", None)
    return ratio if isinstance(ratio, float) else None


def _with_ratio(masker: Masker, ratio: float) -> Masker:
    """The same masker hiding another share, wherever it draws by one."""
    if isinstance(masker, PerModality):
        masks = {name: _with_ratio(part, ratio) for name, part in masker.masks.items()}
        return replace(masker, masks=masks)
    if isinstance(masker, Copies):
        return replace(masker, masker=_with_ratio(masker.masker, ratio))
    if not isinstance(getattr(masker, "ratio", None), float):
        raise RecipeError(
            f"{type(masker).__name__} does not draw by a ratio; look at the recipe's own masks"
        )
    return replace(masker, ratio=ratio)  # pyright: ignore[reportArgumentType]  # a frozen record


def words_of(seen: Sequence[Seen]) -> str:
    """What was seen, in a line a modality."""
    return "\n\n".join(
        f"**{part.modality}**: {part.name}, {100 * part.hidden:.0f} % of its tokens hidden"
        + "".join(f"  \n{note}" for note in part.notes)
        for part in seen
    )
