"""One encoder for images, video, audio, point clouds, voxels and tables, masked and mixed.

No paper does this; the parts are those of MAE and its descendants, one masker per modality with the
ratio of that modality's own paper.
"""

import sys
from dataclasses import replace

import recipes.capi
import recipes.data2vec2
import recipes.mae
import recipes.vjepa
from modalities.audio import AudioFiles
from omnimask.commands.main import main
from omnimask.decoders import Decoder, SelfAttentionDecoder
from omnimask.masking import PerModality
from omnimask.network.encoder import Encoder, vit
from omnimask.objectives.objective import Objective
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from recipes.sample_modalities import mixed_modalities
from recipes.small import (
    Parts,
    content,
    files,
    masker,
    merge,
    modality,
    own_decoders,
    stream,
)

MIXED = mixed_modalities()
MODALITIES = tuple(MIXED)
MASKER = PerModality(masks={name: masker(name) for name in MODALITIES})


def _objectives() -> tuple[Objective, ...]:
    return tuple(o for name in MODALITIES for o in content(name, decoder=name))


def _decoders(decoder: Decoder) -> dict[str, Decoder]:
    """One for each modality: shared, it holds the encoder back (docs/learning.md)."""
    return dict.fromkeys(MODALITIES, decoder)


def _sample_streams(batch_sizes: dict[str, int], *, paired: int) -> tuple[Stream, ...]:
    """One stream per modality, and `paired` clips with their own sound to a step."""
    single = [stream(name, batch_size=batch_sizes[name]) for name in MODALITIES]
    with_sound = Stream(
        name="video+audio",
        files={"video": files("video", "train"), "audio": AudioFiles(path="video/train")},
        held_out={"video": files("video", "held_out"), "audio": AudioFiles(path="video/held_out")},
        batch_size=paired,
    )
    return (*single, with_sound)


def quickstart() -> Recipe:
    """Six modalities of the sample data in minutes on two cores.

    Modalities: all of the sample data
    Paper: none; MAE (https://arxiv.org/abs/2111.06377) on every modality
    Status: runs; held-out losses and kNN accuracies are in its report
    """
    batch_sizes = {name: record.batch_size for name, record in MIXED.items()}
    return Recipe(
        name="quickstart",
        modalities=tuple(modality(name) for name in MODALITIES),
        masker=MASKER,
        encoder=Encoder(width=192, depth=5, num_heads=6),
        decoders=_decoders(SelfAttentionDecoder(width=128, depth=2, num_heads=4)),
        objectives=_objectives(),
        data=Data(root="data/sample", streams=_sample_streams(batch_sizes, paired=2)),
        optim=Optim(steps=400, lr=1e-3, warmup_steps=40),
        run=Run(num_workers=1, checkpoint_every=100),
    )


def debug() -> Recipe:
    """Two blocks and four samples per stream: what the tests run.

    Modalities: all of the sample data
    Paper: none
    Status: runs in seconds; learns nothing of use
    """
    recipe = quickstart()
    streams = tuple(replace(stream, batch_size=4) for stream in recipe.data.streams)
    return replace(
        recipe,
        name="debug",
        encoder=Encoder(width=48, depth=2, num_heads=2),
        decoders=_decoders(SelfAttentionDecoder(width=32, depth=1, num_heads=2)),
        data=replace(recipe.data, streams=streams),
        optim=Optim(steps=4, lr=1e-3, warmup_steps=1),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )


def _mixed(name: str, parts: dict[str, Parts]) -> Recipe:
    """The quickstart's data and encoder with another method's parts on every modality."""
    recipe = quickstart()
    merged = merge({modality: own_decoders(modality, part) for modality, part in parts.items()})
    return replace(
        recipe,
        name=name,
        masker=merged.masker,
        decoders=merged.decoders,
        objectives=merged.objectives,
        hidden=merged.hidden,  # pyright: ignore[reportArgumentType]
        teacher=merged.teacher,
    )


def mae() -> Recipe:
    """MAE on six modalities at once: the quickstart by another way.

    Modalities: all of the sample data
    Paper: https://arxiv.org/abs/2111.06377 on every modality, see recipes.mae
    Status: trains on the sample data in minutes
    """
    return _mixed("omni-mae", {name: recipes.mae.parts(name) for name in MODALITIES})


def data2vec2() -> Recipe:
    """data2vec 2.0 on six modalities at once, four masks of each sample.

    Modalities: all of the sample data
    Paper: https://arxiv.org/abs/2212.07525 on every modality, see recipes.data2vec2
    Status: steps on the sample data; not tuned
    """
    return _mixed("omni-data2vec2", {name: recipes.data2vec2.parts(name) for name in MODALITIES})


def vjepa() -> Recipe:
    """V-JEPA on six modalities at once, two masks of each sample.

    Modalities: all of the sample data
    Paper: https://arxiv.org/abs/2404.08471 on every modality, see recipes.vjepa
    Status: steps on the sample data; not tuned
    """
    return _mixed("omni-vjepa", {name: recipes.vjepa.parts(name) for name in MODALITIES})


def capi() -> Recipe:
    """CAPI on six modalities at once, each with prototypes of its own.

    Modalities: all of the sample data
    Paper: https://arxiv.org/abs/2502.08769 on every modality, see recipes.capi
    Status: steps on the sample data; not tuned
    """
    return _mixed("omni-capi", {name: recipes.capi.parts(name) for name in MODALITIES})


def omni() -> Recipe:
    """All modalities at the sizes of their own papers, for GPUs; set data.root to your folders.

    Modalities: all of the sample data
    Paper: none; sizes of MAE, VideoMAE, AudioMAE, Point-MAE and Voxel-MAE
    Status: steps on the sample data; no full run yet
    """
    batch_sizes = {name: r.published_batch_size for name, r in MIXED.items()}
    return Recipe(
        name="omni",
        modalities=tuple(record.published for record in MIXED.values()),
        masker=MASKER,
        encoder=vit("base"),
        decoders=_decoders(SelfAttentionDecoder(width=512, depth=4, num_heads=16)),
        objectives=_objectives(),
        data=Data(root="data/sample", streams=_sample_streams(batch_sizes, paired=8)),
        optim=Optim(steps=200_000, lr=1.5e-4, warmup_steps=10_000),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.omni:quickstart", *sys.argv[1:]]))
