"""Hi-End-MAE: each block of the decoder asks another depth of the encoder.

Hi-End-MAE: Hierarchical encoder-driven masked autoencoders are stronger vision learners for medical
image segmentation, https://arxiv.org/abs/2502.08347; official code FengheTan9/Hi-End-MAE. A CT is
cut into patches of 12 voxels, three quarters of them are hidden, and the decoder, two plain blocks
at first, then attends to what the encoder had after block 10, after block 7 and after block 4 of
12, so that all of these learn what a reconstruction needs.

Deviations from the official code:
- One crop of a scan per visit; there eight, six of them around voxels above zero (its data are
  windowed before, by a file that is not published). No turns by 90 degrees, no change of intensity.
- The window and the voxel size are not in the code: here -175 to 250 Hounsfield units and 1.5 mm,
  which are usual for the abdomen and not taken from the paper.
- Patches are normalised with the unbiased variance as in MAE, there with the biased one (a factor
  of 1727/1728); intensities are over their deviation before, which the target does not notice.
- The encoder adds a per-modality vector; the decoder of the large size has 12 heads of 44, there 16
  of 33, which is odd.
- Parameters are called by other names and begin as the others here do; crops and masks are
  functions of (seed, epoch, sample).
No parity test of the whole step; the decoder equals a plain reference with the same weights
(tests/unit/decoders/test_depth.py).

On other modalities the same decoder reads three depths of the small encoder.
"""

import sys

from modalities.volume import VolumeFiles, VolumePatches
from omnimask.commands.main import main
from omnimask.decoders import DepthDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from recipes import small
from recipes.published import steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
DECODER = DepthDecoder(width=64, num_heads=4, num_plain=1, layers_read=(-2, -3, -4))
SCANS = 10_000  # abstract
_GPUS, _BATCH, _CROPS = 4, 24, 8  # readme.md, main.py, dataloader/med_datasets.py

_SIZES = {  # networks/vit.py
    "base": (16, Encoder(width=768, depth=12, num_heads=12), DepthDecoder()),
    "large": (
        12,
        Encoder(width=1536, depth=12, num_heads=16),
        DepthDecoder(width=528, num_heads=12),
    ),
}


def parts(modality: str) -> Parts:
    """The modality's own mask and targets under a decoder that reads three depths."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": DECODER},
        objectives=content(modality),
    )


def cpu(modality: str = "volume") -> Recipe:
    """Hi-End-MAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2502.08347; sizes are ours
    Status: trains
    """
    return small_recipe(f"hiendmae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: volume
    Paper: https://arxiv.org/abs/2502.08347
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(size: str) -> Recipe:
    patch, encoder, decoder = _SIZES[size]
    volume = VolumePatches(
        patch=(patch, patch, patch),  # of 96 x 96 x 96
        window=(-175.0, 250.0),
        spacing_mm=(1.5, 1.5, 1.5),
    )
    epoch = SCANS // (_GPUS * _BATCH)
    return Recipe(
        name=f"hiendmae-{size}",
        modalities=(volume,),
        masker=RandomMask(ratio=0.75),
        encoder=encoder,
        decoders={"main": decoder},
        objectives=(
            Objective(
                name="volume_intensities",
                modality="volume",
                target=Content(norm="token"),
                loss=mse,
            ),
        ),
        data=Data(
            root="data/ct",
            streams=(
                Stream(
                    name="volume",
                    files={"volume": VolumeFiles(labels="none", flip=(0.5, 0.5, 0.5))},
                    batch_size=_BATCH * _CROPS,
                ),
            ),
            max_bad_files=100,
        ),
        optim=Optim(  # main.py: the rate is not scaled by the batch
            steps=steps_of(epochs=1000, samples=SCANS, batch=_GPUS * _BATCH),
            lr=1e-4,
            warmup_steps=10 * epoch,
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=_GPUS,
        ),
        run=Run(num_workers=16, checkpoint_every=1000),
    )


def large() -> Recipe:
    """Hi-End-MAE with 12 blocks of width 1536 and patches of 12, 1000 epochs, for 4 GPUs.

    Cost: not stated in GPU hours in the code.
    Command: accelerate launch -m omnimask pretrain recipes.hiendmae:large --set data.root=...

    Modalities: volume
    Paper: https://arxiv.org/abs/2502.08347; hi_end_mae_vit_large_12p of the official code
    Status: not trained at this size here
    """
    return _published("large")


def base() -> Recipe:
    """Hi-End-MAE with a ViT-B and patches of 16, 1000 epochs, for 4 GPUs.

    Modalities: volume
    Paper: https://arxiv.org/abs/2502.08347; hi_end_mae_vit_base_16p of the official code
    Status: not trained at this size here
    """
    return _published("base")


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.hiendmae:cpu", *sys.argv[1:]]))
