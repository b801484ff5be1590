"""MAE-ST: MAE on video, masked at random over space and time alike.

Masked Autoencoders As Spatiotemporal Learners, https://arxiv.org/abs/2205.09113; official code
facebookresearch/mae_st. Tubelets of two frames, nine tenths of them hidden wherever they stand, and
for each hidden one the pixels of one of its frames.

Deviations. A tubelet is asked for its first frame; there the frames are eight evenly spaced ones of
sixteen, which is the first frame of each tubelet, but for the last tubelet the second. A file that
is read gives one clip, there four (--repeat_aug 4), so that an epoch there costs four of these; the
schedule here has as many steps. Positions are fixed sines and cosines per axis, there learned,
apart for space and time. [CLS] goes to the decoder, there it does not. The per-modality vector has
no counterpart. Clips and masks are functions of (seed, epoch, sample). The step is VideoMAE's but
for the mask and the part that is predicted; that equals transformers'
(tests/parity/test_transformers_videomae.py).

Random masks over all axes are MAE's on any modality; this recipe is for video.
"""

import sys
from dataclasses import replace

from modalities.video import VideoTubelets
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from recipes import small
from recipes.published import IMAGENET_MEAN, IMAGENET_STD, steps_of, videos
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = ("video",)
KINETICS_400 = 240_000  # training clips, rounded; links die, and the paper does not state it
_BATCH = 512
_TARGET = Content(norm="token", part=2)


def parts(modality: str) -> Parts:
    """Spacetime-random masks of nine tenths, and one frame of each tubelet."""
    (objective,) = content(modality)
    return Parts(
        masker=RandomMask(ratio=0.9),
        decoders={"main": small.DECODER},
        objectives=(replace(objective, target=_TARGET),),
    )


def cpu(modality: str = "video") -> Recipe:
    """MAE-ST on the sample data, in minutes on two CPU cores.

    Modalities: video
    Paper: https://arxiv.org/abs/2205.09113; sizes are ours
    Status: trains
    """
    return small_recipe(f"maest-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: video
    Paper: https://arxiv.org/abs/2205.09113
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(size: str) -> Recipe:
    epochs = 100 * 4  # epochs of four clips of each file
    return Recipe(
        name=f"maest-{size}",
        modalities=(
            VideoTubelets(
                num_frames=16,
                size=(224, 224),
                tubelet=(2, 16, 16),
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
            ),
        ),
        masker=RandomMask(ratio=0.9),
        encoder=vit(size),
        decoders={"main": SelfAttentionDecoder(width=512, depth=4, num_heads=16)},
        objectives=(Objective(name="video_pixels", modality="video", target=_TARGET, loss=mse),),
        data=videos(batch_size=16, frame_stride=4),
        optim=Optim(
            steps=steps_of(epochs=epochs, samples=KINETICS_400, batch=_BATCH),
            lr=1.6e-3 * _BATCH / 256,  # --blr
            warmup_steps=steps_of(epochs=5 * 4, samples=KINETICS_400, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=0.02,
            accumulate=32,
        ),
        run=Run(num_workers=14, checkpoint_every=2_000),
    )


def large() -> Recipe:
    """MAE-ST ViT-L on Kinetics-400, 100 epochs of four clips a video, for 8 GPUs.

    Cost: not stated in GPU hours for this schedule. Result: see the paper's tables; the official
    README has the checkpoints' numbers.
    Command: accelerate launch -m omnimask pretrain recipes.maest:large --set data.root=...

    Modalities: video
    Paper: https://arxiv.org/abs/2205.09113; the command in the official PRETRAIN.md
    Status: not trained at this size here
    """
    return _published("large")


def base() -> Recipe:
    """MAE-ST ViT-B on Kinetics-400, with the settings of `large`.

    Modalities: video
    Paper: https://arxiv.org/abs/2205.09113; the official PRETRAIN.md
    Status: not trained at this size here
    """
    return _published("base")


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.maest:cpu", *sys.argv[1:]]))
