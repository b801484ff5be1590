"""FG-MAE: satellite images rebuilt as edges and indices of bands instead of noisy pixels.

Feature Guided Masked Autoencoder for Self-supervised Learning in Remote Sensing,
https://arxiv.org/abs/2310.18653; official code zhu-xlab/FGMAE. MAE on thirteen bands of Sentinel-2;
of each hidden patch the decoder is asked for the histograms of gradients of every band and for
three normalised differences: vegetation, water, built-up land. `radar` has histograms alone.

Deviations beside those of recipes/mae.py. Indices divide by the sum of two bands, there plus 1e-5.
Files are images of thirteen channels; other bands of a file cannot be chosen yet. The official code
draws one of four seasons of each place on every visit; here a file is a sample.

The sample data have no bands beyond colours: the small size takes histograms and two differences of
these.
"""

import sys
from dataclasses import replace

from modalities.image import BandIndex, Hog, ImageFiles, ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from recipes import small
from recipes.published import steps_of
from recipes.small import Parts, debug_size, small_recipe

MODALITIES = ("image",)
SSL4EO_S12 = 251_079  # places, https://arxiv.org/abs/2211.07044
# Of Sentinel-2's bands B1 to B12 with B8A ninth, in this order: green 2, red 3, near infrared 7,
# short-wave infrared 11.
NDVI, NDWI, NDBI = (7, 3), (2, 7), (11, 7)
_BATCH = 256  # the official scripts: 4 GPUs of 64


def objectives(*, cell: int, pairs: tuple[tuple[int, int], ...]) -> tuple[Objective, ...]:
    """Histograms, and differences where there are any, of one decoder."""
    hog = Hog(cell=cell, window=2 * cell, norm="token")
    edges = Objective(name="image_hog", modality="image", target=hog, loss=mse)
    if not pairs:
        return (edges,)
    return edges, replace(edges, name="image_indices", target=BandIndex(pairs=pairs))


def parts(modality: str) -> Parts:
    """FG-MAE on colours."""
    assert modality in MODALITIES
    return Parts(
        masker=RandomMask(ratio=0.7),
        decoders={"main": small.DECODER},
        objectives=objectives(cell=2, pairs=((0, 1), (1, 2))),
    )


def cpu(modality: str = "image") -> Recipe:
    """FG-MAE on the sample images, in minutes on two CPU cores.

    Modalities: image
    Paper: https://arxiv.org/abs/2310.18653; sizes and pairs are ours
    Status: trains
    """
    return small_recipe(f"fgmae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2310.18653
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(name: str, num_channels: int, pairs: tuple[tuple[int, int], ...]) -> Recipe:
    stream = Stream(
        name="image",
        files={"image": ImageFiles(path="train", labels="none", crop_scale=(0.2, 1.0), flip=0.5)},
        held_out={"image": ImageFiles(path="val", labels="none")},
        batch_size=_BATCH // 4,
    )
    return Recipe(
        name=name,
        modalities=(ImagePatches(size=(224, 224), patch=(16, 16), num_channels=num_channels),),
        masker=RandomMask(ratio=0.7),
        encoder=vit("small"),
        decoders={"main": SelfAttentionDecoder(width=512, depth=8, num_heads=16)},
        objectives=objectives(cell=8, pairs=pairs),
        data=Data(root="data/ssl4eo-s12", streams=(stream,), max_bad_files=100),
        optim=Optim(
            steps=steps_of(epochs=100, samples=SSL4EO_S12, batch=_BATCH),
            lr=1.5e-4 * _BATCH / 256,
            warmup_steps=steps_of(epochs=10, samples=SSL4EO_S12, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=4,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def small_size() -> Recipe:
    """FG-MAE ViT-S/16 on SSL4EO-S12's thirteen optical bands, 100 epochs, for 4 GPUs.

    Cost: at most 23 hours on 4 GPUs (the script's limit). Result: see the paper's tables.
    Command: accelerate launch -m omnimask pretrain recipes.fgmae:small_size --set data.root=...

    Modalities: image (13 channels)
    Paper: https://arxiv.org/abs/2310.18653; srun_train_fgmae_vits16_mfp_hog-indices_B13.sh
    Status: a valid recipe; not trained at this size here
    """
    return _published("fgmae-small", 13, (NDVI, NDWI, NDBI))


def radar() -> Recipe:
    """FG-MAE ViT-S/16 on SSL4EO-S12's two channels of radar: histograms alone.

    Modalities: image (2 channels)
    Paper: https://arxiv.org/abs/2310.18653; srun_train_fgmae_vits16_mfp_hog_B2.sh
    Status: a valid recipe; not trained at this size here
    """
    return _published("fgmae-radar", 2, ())


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.fgmae:cpu", *sys.argv[1:]]))
