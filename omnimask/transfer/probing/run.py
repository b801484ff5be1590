"""All probes of an encoder on all labelled streams of a recipe."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from omnimask.data.samples import Unreadable
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.hardware import hardware
from omnimask.foundation.versions import installed_version, versions
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.recipe.settings import Stream
from omnimask.training.checkpoint import (
    is_checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_any_checkpoint,
)
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder, check_pooling
from omnimask.transfer.probing.choice import (
    choose_test,
    choose_train,
    class_notes,
    too_small_for,
    why_not,
)
from omnimask.transfer.probing.features import Kept, encode_samples, encode_with
from omnimask.transfer.probing.measures import Pair, score_pairs
from omnimask.transfer.probing.results import ProbeResults, ProbeScore
from omnimask.transfer.probing.settings import Probes


def probe(
    encoder: PretrainedEncoder | Path | str,
    *,
    recipe: RunRecipe | None = None,
    data: Path | str | None = None,
    modalities: Sequence[str] = (),
    settings: Probes | None = None,
    out: Path | str | None = None,
) -> ProbeResults:
    """Probes a frozen encoder beside random ones on the labelled streams of a recipe.

    A run or checkpoint folder brings its own recipe; an encoder folder or an encoder in memory
    needs one, whose streams say where the files are. `data` replaces the recipe's `data.root`.
    `modalities` takes only the streams that have one of them, and a stream that cannot be probed is
    then an error; otherwise it is left out, with the reason in `notes`. Files that cannot be read
    are left out too. With `out`, probe.json and probe.txt are written there.

    The encoder is put on the accelerator if there is one, and left there in evaluation mode.
    RecipeError for a modality that the encoder never saw; DataError where no stream is left.
    """
    settings = settings or Probes()
    if recipe is None:
        recipe = _recipe_of(encoder)
    loaded = encoder if isinstance(encoder, PretrainedEncoder) else load_encoder(encoder)
    check_pooling(loaded.info, settings.pooling)
    chosen: RunRecipe = _for_encoder(recipe, loaded.info)
    if data is not None:
        chosen = replace(chosen, data=replace(chosen.data, root=str(data)))  # pyright: ignore[reportArgumentType]  # every RunRecipe is a dataclass, which a Protocol cannot say
    for name in modalities:
        loaded.info.modality(name)
    prober = _Prober(loaded, chosen, settings, strict=bool(modalities))
    for stream in chosen.data.streams:
        if not modalities or set(modalities) & set(stream.files):
            prober.add(stream)
    results = prober.results()
    if out is not None:
        results.write(Path(out))
    return results


def untrained_encoder(info: EncoderInfo, seed: int) -> PretrainedEncoder:
    """The same tokenizers and encoder with random weights that depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PretrainedEncoder(info)


class _ImpossibleError(Exception):
    """Why a stream cannot be probed."""


class _Prober:
    """Probes streams one after another and collects what is said of them."""

    def __init__(
        self, encoder: PretrainedEncoder, recipe: RunRecipe, settings: Probes, *, strict: bool
    ) -> None:
        device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        self.recipe, self.settings, self.strict, self.device = recipe, settings, strict, device
        others = [untrained_encoder(encoder.info, seed) for seed in settings.random_seeds]
        self.encoders = [each.eval().to(device) for each in (encoder, *others)]
        self.kept = Kept(
            layers=settings.layers_of(encoder.info.encoder.depth),
            pooling=settings.pooling,
            tokens=settings.attentive is not None,
        )
        self.scores: list[ProbeScore] = []
        self.notes: dict[str, list[str]] = {}
        self.unreadable = Unreadable()

    def add(self, stream: Stream) -> None:
        """Probes one stream, or says why not."""
        try:
            self._probe(stream)
        except _ImpossibleError as reason:
            if self.strict:
                raise DataError(f"stream {stream.name!r} cannot be probed: {reason}") from reason
            self._note(stream.name, f"left out: {reason}")

    def _probe(self, stream: Stream) -> None:
        name = stream.name
        unseen = sorted(set(stream.files) - self.encoders[0].modalities.keys())
        if unseen:
            raise _ImpossibleError(f"the encoder never saw {', '.join(unseen)}")
        if stream.held_out is None:
            raise _ImpossibleError("it has no held-out files; give its Stream `held_out`")
        train = StreamReader(stream, stream.files, self.recipe)
        test = StreamReader(stream, stream.held_out, self.recipe)
        chosen = (
            choose_train(train, self.settings, self.device),
            choose_test(test, self.settings, self.device),
        )
        labels = [[r.label(i) for i in ids] for r, ids in zip((train, test), chosen, strict=True)]
        if (reason := why_not(*labels)) is not None:
            raise _ImpossibleError(reason)
        few_shot = self._possible(name, labels[0])
        encoders = [encode_with(encoder, self.kept) for encoder in self.encoders]
        sides = [
            encode_samples(encoders, reader, ids, self.kept, self.device, self.unreadable)
            for reader, ids in zip((train, test), chosen, strict=True)
        ]
        if sides[0] is None or sides[1] is None:
            raise _ImpossibleError(f"no file can be read: {self.unreadable.errors}")
        pairs = [Pair(train=a, test=b) for a, b in zip(*sides, strict=True)]
        reason = why_not(pairs[0].train.labels, pairs[0].test.labels)
        if reason is not None:  # files that could not be read took a class away
            raise _ImpossibleError(reason)
        self._note(name, *class_notes(pairs[0].train.labels, pairs[0].test.labels))
        self.scores += score_pairs(
            name,
            pairs,
            self.settings,
            layers=self.kept.layers,
            few_shot=few_shot,
            device=self.device,
        )

    def _possible(self, name: str, labels: list) -> list[int]:
        """The few-shot sizes that every class has samples for; DataError if that was asked for."""
        if not any(isinstance(label, str) for label in labels):
            if self.settings.few_shot:
                self._note(name, "few-shot probes need class names as labels, these are numbers")
            return []
        possible = []
        for k in self.settings.few_shot:
            reason = too_small_for(k, labels)
            if reason is None:
                possible.append(k)
            elif self.strict:
                raise DataError(f"{name}: {reason}")
            else:
                self._note(name, f"left out: {reason}")
        return possible

    def _note(self, name: str, *notes: str) -> None:
        if notes:
            self.notes.setdefault(name, []).extend(notes)

    def results(self) -> ProbeResults:
        """DataError where there is not one score."""
        if not self.scores:
            reasons = [f"{name}: {'; '.join(notes)}" for name, notes in self.notes.items()]
            raise DataError(
                f"no stream of the recipe {self.recipe.name!r} can be probed. {' | '.join(reasons)}"
            )
        encoder = self.encoders[0]
        sklearn = installed_version("scikit-learn") or "not installed"
        return ProbeResults(
            encoder=encoder.info.name,
            encoder_hash=encoder.hash(),
            origin=dict(encoder.info.origin),
            settings={
                **asdict(self.settings),
                "layers": self.kept.layers,
                "recipe": self.recipe.name,
                "data_root": self.recipe.data.root,
            },
            scores=tuple(self.scores),
            notes={name: tuple(notes) for name, notes in self.notes.items()},
            unreadable=self.unreadable.errors,
            versions={**versions(), "scikit-learn": sklearn},
            hardware=hardware(),
        )


def _recipe_of(encoder: PretrainedEncoder | Path | str) -> RunRecipe:
    """The recipe of a run or checkpoint folder; RecipeError for what has none."""
    if not isinstance(encoder, PretrainedEncoder):
        path = Path(encoder)
        if is_checkpoint(path):
            return load_any_checkpoint(path).recipe
        if list_checkpoints(path):
            return load_any_checkpoint(last_checkpoint(path)).recipe
        if not path.exists():
            raise RecipeError(f"there is no {path.absolute()}; expected a run or an encoder folder")
    raise RecipeError(
        "an encoder without its run does not say which files to probe it on; name a recipe whose "
        "streams do: --recipe recipes.omni:quickstart, in Python probe(encoder, recipe=...)"
    )


def _for_encoder(recipe: RunRecipe, info: EncoderInfo) -> RunRecipe:
    """The recipe with the encoder's own modalities: their sizes and statistics, by name."""
    known = {modality.name: modality for modality in info.modalities}
    parts = tuple(known.get(modality.name, modality) for modality in recipe.modalities)
    if parts == tuple(recipe.modalities):
        return recipe
    return replace(recipe, modalities=parts)  # pyright: ignore[reportArgumentType]  # every RunRecipe is a dataclass, which a Protocol cannot say
