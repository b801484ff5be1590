"""`export`: an encoder in another format, checked on real samples before it is there."""

import copy
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Modality, Sample
from omnimask.transfer.encoder_folder import Which
from omnimask.transfer.exporting import encoder_format, graphs, timm_format, transformers_format
from omnimask.transfer.exporting.card import Card, write_card
from omnimask.transfer.exporting.features import (
    Features,
    Parity,
    RealSamples,
    check_parity,
    collate_samples,
    own_features,
    started,
)
from omnimask.transfer.exporting.front import Start
from omnimask.transfer.exporting.pictures import Clip, Picture
from omnimask.transfer.exporting.requirements import require
from omnimask.transfer.exporting.samples import path_samples, recipe_of, run_samples
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

GivenSamples = Sequence[Path | str] | Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """`write` makes the files of one modality in a folder, `run` reads them back and gives features
    of samples, once or several times. `takes` says which modalities it is for, `whole` that samples
    may have no padding, `tolerance` how far features may be from the encoder's; a `graph` begins at
    samples or at tokens.
    """

    write: Callable[[PretrainedEncoder, RealSamples, Path], None] | None
    run: Callable[[PretrainedEncoder, RealSamples, Path], Sequence[Features]]
    graph: bool = False
    takes: tuple[type, ...] = ()
    needs: tuple[str, ...] = ()
    whole: bool = False
    tolerance: float = 1e-5


FORMATS: Mapping[str, Format] = {
    "encoder": Format(write=None, run=encoder_format.run_encoder),
    "timm": Format(
        write=timm_format.write_timm,
        run=timm_format.run_timm,
        takes=(Picture,),
        needs=("timm",),
        whole=True,
    ),
    "transformers": Format(
        write=transformers_format.write_transformers,
        run=transformers_format.run_transformers,
        takes=(Picture, Clip),
        needs=("transformers",),
        whole=True,
    ),
    "onnx": Format(
        write=graphs.write_onnx,
        run=graphs.run_onnx,
        graph=True,
        needs=("onnx", "onnxscript", "onnxruntime"),
        tolerance=1e-4,
    ),
    "torch": Format(write=graphs.write_program, run=graphs.run_program, graph=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """Where the export is, and how near its features are to the encoder's, per modality."""

    folder: Path
    parity: tuple[Parity, ...]


def export(
    source: Path | str | PretrainedEncoder,
    *,
    format: str,
    out: Path | str,
    modality: str | None = None,
    which: Which = "student",
    samples: GivenSamples | None = None,
    start: Start = "samples",
    licence: str = "not stated",
) -> Exported:
    """Writes the encoder of a run, checkpoint or encoder folder, or one in memory, to `out`.

    Formats: "encoder" (all modalities or one, for `load_encoder`), "timm" (an image modality),
    "transformers" (ViTMAEModel or VideoMAEModel), "onnx" and "torch" (all modalities or one, a file
    each). `modality`: None takes all, or the first that the format can hold. `samples` for the
    parity check: paths of files and folders, or samples as readers return them by modality; None
    takes held-out files of the run. `start`: whether the graphs of "onnx" and "torch" take samples
    (`front_of`) or normalised tokens. `licence` is that of the weights, for the model card
    `README.md`.

    The features of the samples through what was written are compared with the encoder's own, at
    most 1e-5 apart (1e-4 for ONNX). RecipeError, and nothing at `out`, where they are further
    apart, where the format cannot hold the encoder, where `out` exists or a package is missing.
    """
    if format not in FORMATS:
        raise RecipeError(f"there is no format {format!r}; {nearest_names(format, FORMATS)}")
    kind, out = FORMATS[format], Path(out)
    require(kind.needs, of=format)
    if out.exists():
        raise RecipeError(f"{out} exists already; name a new folder in --out, or remove it")
    encoder, recipe, run = _open(source, which)
    chosen = _choose(encoder, format, modality)
    checked = [_samples(m, samples, recipe, kind.whole, alone=len(chosen) == 1) for m in chosen]
    if kind.graph:
        checked = [started(real, start) for real in checked]
    with _appearing(out) as folder:
        kept = encoder if modality is None else encoder_format.only(encoder, chosen[0])
        if kind.write is None:
            encoder_format.write_encoder(kept, folder)
        parity = []
        for real in checked:
            if kind.write is not None:
                kind.write(encoder, real, folder)
            expected = own_features(encoder, real)
            found = kind.run(encoder, real, folder)
            parity.append(check_parity(found, expected, real, tolerance=kind.tolerance))
        card = Card(
            format=format,
            info=replace(encoder.info, modalities=tuple(chosen)),
            hash=kept.hash(),
            num_parameters=sum(p.numel() for p in kept.parameters()),
            parity=tuple(parity),
            licence=licence,
            recipe=recipe,
            run=run,
        )
        write_card(card, folder, out)
    return Exported(folder=out, parity=tuple(parity))


def _open(
    source: Path | str | PretrainedEncoder, which: Which
) -> tuple[PretrainedEncoder, Recipe | None, Path | None]:
    if isinstance(source, PretrainedEncoder):
        # Features of the device that exports are checked on; a module in training drops branches.
        return copy.deepcopy(source).cpu().float().eval(), None, None
    encoder = load_encoder(source, which=which)
    path = Path(source)
    run = path.parent.parent if path.parent.name == "checkpoints" else path
    return encoder, recipe_of(path), run


def _choose(encoder: PretrainedEncoder, format: str, modality: str | None) -> list[Modality]:
    """RecipeError for one that the encoder never saw, or where none suits the format."""
    if modality is not None:
        return [encoder.info.modality(modality)]
    takes = FORMATS[format].takes
    if not takes:
        return list(encoder.info.modalities)
    fitting = [m for m in encoder.info.modalities if isinstance(m, takes)]
    if not fitting:
        names = ", ".join(m.name for m in encoder.info.modalities)
        raise RecipeError(
            f"{format} models take pixels, and this encoder has no images or clips but {names}; "
            "the formats encoder, onnx and torch hold it"
        )
    return fitting[:1]


def _samples(
    modality: Modality,
    given: GivenSamples | None,
    recipe: Recipe | None,
    whole: bool,
    *,
    alone: bool,
) -> RealSamples:
    if isinstance(given, Mapping):
        if modality.name not in given:
            raise RecipeError(
                f"samples has no {modality.name!r} to check the export on; "
                f"{nearest_names(modality.name, given)}"
            )
        return collate_samples(modality, given[modality.name], "given samples")
    if given:
        if not alone:
            raise RecipeError("samples are of one modality; say which with --modality")
        return path_samples(recipe, modality, [Path(path) for path in given], whole=whole)
    if recipe is None:
        raise RecipeError(
            f"there is no run with files to check the export on; give --modality {modality.name} "
            "--samples PATHS, or samples from Python"
        )
    return run_samples(recipe, modality, whole=whole)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` at the end, or is removed after an error."""
    folder = out.with_name(f".{out.name}.unfinished")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
