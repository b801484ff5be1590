"""What the `cpu` and `debug` sizes of all methods share: small modalities on the sample data.

A method says in `Parts` what it adds to modalities, an encoder and data; `small_recipe` makes a
recipe of it, for one modality or for several with the parts of each merged. What is particular to a
modality stands in recipes/sample_modalities.py alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from omnimask.decoders import Decoder, SelfAttentionDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import Hint, Masker, PerModality, RandomMask, TubeMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Loss, Objective
from omnimask.objectives.targets import Target, TrainedTarget
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.recipe.teacher import FrozenTeacher, SnapshotTeacher, Teacher
from omnimask.tokens.modality import Files, Modality
from recipes.sample_modalities import SAMPLE_MODALITIES, sample_modality

ROOT = "data/sample"
MODALITIES = tuple(SAMPLE_MODALITIES)
# Those whose tokens stand on a grid.
GRIDS = tuple(name for name, record in SAMPLE_MODALITIES.items() if record.small.grid is not None)
# Those with a time axis, and those on a grid of two axes.
TIMED = tuple(name for name in GRIDS if "t" in (SAMPLE_MODALITIES[name].small.grid or {}))
PLANE = tuple(name for name in GRIDS if len(SAMPLE_MODALITIES[name].small.grid or {}) == 2)
ENCODER = Encoder(width=128, depth=4, num_heads=4)
DECODER = SelfAttentionDecoder(width=64, depth=2, num_heads=4)


def modality(name: str) -> Modality:
    """A modality at a size at which two CPU cores make hundreds of steps in minutes."""
    return sample_modality(name).small


def grid(name: str) -> tuple[int, ...]:
    """How many tokens such a modality has along each axis; only of those in `GRIDS`."""
    found = modality(name).grid
    if found is None:
        raise RecipeError(f"tokens of {name!r} stand on no grid; those of {', '.join(GRIDS)} do")
    return tuple(found.values())


def files(name: str, split: str) -> Files:
    """The sample data's files of a modality; `split` is "train" or "held_out"."""
    record = sample_modality(name)
    return record.files(f"{record.folder}/{split}")


def stream(name: str, *, batch_size: int | None = None) -> Stream:
    """The sample data's stream of one modality."""
    return Stream(
        name=name,
        files={name: files(name, "train")},
        held_out={name: files(name, "held_out")},
        batch_size=batch_size or sample_modality(name).batch_size,
    )


def masker(name: str) -> RandomMask | TubeMask:
    """The mask of the modality's own paper, at its ratio."""
    return sample_modality(name).masker


def content(name: str, *, decoder: str = "main") -> tuple[Objective, ...]:
    """Reconstruction of a modality's own content, as the paper of that modality does it."""
    return tuple(
        Objective(name=f"{name}_{what}", modality=name, target=target, loss=loss, decoder=decoder)
        for what, target, loss in sample_modality(name).content
    )


def latent(
    name: str, target: Target | TrainedTarget, loss: Loss, *, decoder: str = "main"
) -> Objective:
    """One objective on a teacher's features, the same for every modality."""
    return Objective(
        name=f"{name}_features", modality=name, target=target, loss=loss, decoder=decoder
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a method adds: everything of a recipe but modalities, encoder, data and schedule."""

    masker: Masker
    objectives: tuple[Objective, ...]
    decoders: dict[str, Decoder]
    hidden: str = "drop"
    hints: dict[str, Hint] = field(default_factory=dict)
    teacher: Teacher | SnapshotTeacher | FrozenTeacher | None = None


def own_decoders(name: str, parts: Parts) -> Parts:
    """The same with decoders that are this modality's alone and called after it.

    One that several modalities share learns late to use places, and the encoder with it
    (docs/learning.md).
    """
    alone = len(parts.decoders) == 1
    names = {old: name if alone else f"{name}_{old}" for old in parts.decoders}
    return replace(
        parts,
        decoders={names[old]: decoder for old, decoder in parts.decoders.items()},
        objectives=tuple(replace(o, decoder=names[o.decoder]) for o in parts.objectives),
    )


def merge(parts: dict[str, Parts]) -> Parts:
    """One set of parts for several modalities, each masked by its own masker."""
    first = next(iter(parts.values()))
    whole = (first.hidden, first.hints, first.teacher)
    assert all((p.hidden, p.hints, p.teacher) == whole for p in parts.values())
    decoders: dict[str, Decoder] = {}
    for part in parts.values():
        for name, decoder in part.decoders.items():
            assert decoders.setdefault(name, decoder) == decoder, f"two decoders called {name}"
    return replace(
        first,
        masker=PerModality(masks={name: part.masker for name, part in parts.items()}),
        objectives=tuple(o for part in parts.values() for o in part.objectives),
        decoders=decoders,
    )


def small_recipe(
    name: str,
    parts: Parts,
    modalities: Sequence[str],
    *,
    optim: Optim | None = None,
    encoder: Encoder = ENCODER,
) -> Recipe:
    """The `cpu` size of a method on the sample data of the given modalities."""
    return Recipe(
        name=name,
        modalities=tuple(modality(m) for m in modalities),
        masker=parts.masker,
        encoder=encoder,
        decoders=parts.decoders,
        objectives=parts.objectives,
        data=Data(root=ROOT, streams=tuple(stream(m) for m in modalities)),
        optim=optim or Optim(steps=600, lr=1e-3, warmup_steps=60),
        hidden=parts.hidden,  # pyright: ignore[reportArgumentType]
        hints=parts.hints,
        teacher=parts.teacher,
        run=Run(num_workers=1, checkpoint_every=200),
    )


def debug_size(recipe: Recipe) -> Recipe:
    """The same parts with four samples per stream and four steps: what the tests run."""
    streams = tuple(replace(s, batch_size=4) for s in recipe.data.streams)
    return replace(
        recipe,
        name=f"{recipe.name}-debug",
        data=replace(recipe.data, streams=streams),
        optim=replace(recipe.optim, steps=4, warmup_steps=1, accumulate=1),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )
