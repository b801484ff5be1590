"""VideoMAE: hide the same nine tenths of the places in every frame, reconstruct their pixels.

VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training,
https://arxiv.org/abs/2203.12602; official code MCG-NJU/VideoMAE. Neighbouring frames are nearly
alike, so a place hidden in one frame only could be copied from the next: each hidden place is a
tube through the whole clip, and so many are hidden that reconstruction needs the motion.

Deviations from the official code:
- Positions: sines and cosines per axis (time, row, column); there one table over the flat index.
- The encoder adds a per-modality vector; keys have a bias and the projection into the decoder too.
- Crops: a box of a random area and shape; there a square or nearly so of 1, 0.875, 0.75 or 0.66 of
  the shorter side at one of thirteen places. No mirroring in either. No repeated start offsets.
- The warm-up starts at 0, there at 1e-6 * batch / 256; the decoder's mask token does not decay in
  either. Crops, clips and masks are functions of (seed, epoch, sample).
- SSv2 is fed to the same reader as Kinetics, every second frame from a random start.
Loss, target normalisation, mask counts and sizes are the official ones; loss and gradients equal
transformers' VideoMAEForPreTraining with the same weights, masks and position tables
(tests/parity/test_transformers_videomae.py).

Audio: a tube through time hides a frequency band for the whole sound, so that a steady tone cannot
be copied from its neighbouring moments; with 8 bands at the small size 0.8 of them are hidden.
"""

import sys
from dataclasses import replace

from modalities.video import VideoTubelets
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import TubeMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run
from recipes.published import IMAGENET_MEAN, IMAGENET_STD, steps_of, videos
from recipes.small import DECODER, TIMED, Parts, content, debug_size, masker, small_recipe

MODALITIES = TIMED
KINETICS_400 = 240_000  # section 4.1: "around 240k"
SOMETHING_V2 = 169_000  # section 4.1: "around 169k"

# modeling_pretrain.py and scripts/*/pretrain.sh: heads and width of the decoder by encoder size.
_DECODERS = {
    "small": SelfAttentionDecoder(width=192, depth=4, num_heads=3),
    "base": SelfAttentionDecoder(width=384, depth=4, num_heads=6),
    "large": SelfAttentionDecoder(width=512, depth=12, num_heads=8),
    "huge": SelfAttentionDecoder(width=640, depth=12, num_heads=8),
}


def parts(modality: str) -> Parts:
    """Tubes along time; the target is normalised over each channel of a token."""
    (objective,) = content(modality)
    num_channels = 3 if modality == "video" else 1
    target = Content(norm="channel", num_channels=num_channels)
    return Parts(
        masker=TubeMask(ratio=masker(modality).ratio, axis="t"),
        decoders={"main": DECODER},
        objectives=(replace(objective, target=target),),
    )


def cpu(modality: str = "video") -> Recipe:
    """VideoMAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: those with a time axis: video, audio, skeleton (the argument)
    Paper: https://arxiv.org/abs/2203.12602; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"videomae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(
    size: str, *, name: str, data: Data, samples: int, epochs: int, batch: int
) -> Recipe:
    """`batch` is the total; data's batch size is that of a micro-batch, as one GPU takes it."""
    epoch = samples // batch
    return Recipe(
        name=name,
        modalities=(VideoTubelets(mean=IMAGENET_MEAN, std=IMAGENET_STD),),  # 16 x 224 x 224
        masker=TubeMask(ratio=0.9),
        encoder=replace(vit(size), class_token=False),
        decoders={"main": _DECODERS[size]},
        objectives=(
            Objective(
                name="video_pixels",
                modality="video",
                target=Content(norm="channel", num_channels=3),
                loss=mse,
            ),
        ),
        data=data,
        optim=Optim(  # run_mae_pretraining.py: rates are scaled by the total batch / 256
            steps=steps_of(epochs=epochs, samples=samples, batch=batch),
            lr=1.5e-4 * batch / 256,
            final_lr=1e-5 * batch / 256,
            warmup_steps=40 * epoch,
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=batch // data.streams[0].batch_size,
        ),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


def _kinetics(size: str, *, per_gpu: int, batch: int) -> Recipe:
    """1600 epochs; a clip is 16 frames, every fourth."""
    data = videos(batch_size=per_gpu, crop_scale=_CROPS, flip=0.0)
    return _published(
        size,
        name=f"videomae-{size}",
        data=data,
        samples=KINETICS_400,
        epochs=1600,
        batch=batch,
    )


# The area of the official crops (sides 0.66 to 1 of the shorter one) in a video of 4 : 3.
_CROPS = (0.33, 0.75)


def small() -> Recipe:
    """VideoMAE ViT-S on Kinetics-400, 1600 epochs, for 8 GPUs.

    Cost: not in the official repository. Result: 79.0 % top-1 fine-tuned (official MODEL_ZOO.md).

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602; scripts/kinetics/*small*/pretrain.sh
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    return _kinetics("small", per_gpu=32, batch=1024)


def base() -> Recipe:
    """VideoMAE ViT-B on Kinetics-400, 1600 epochs, for 8 GPUs.

    Cost: not in the official repository. Result: 81.5 % top-1 fine-tuned (official MODEL_ZOO.md).
    Command: accelerate launch -m omnimask pretrain recipes.videomae:base --set data.root=...

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602; scripts/kinetics/*base*1600/pretrain.sh
    Status: steps at debug size on the sample data; not trained at this size here
    """
    return _kinetics("base", per_gpu=32, batch=2048)


def large() -> Recipe:
    """VideoMAE ViT-L on Kinetics-400, 1600 epochs, for 8 GPUs.

    Cost: not in the official repository. Result: 85.2 % top-1 fine-tuned (official MODEL_ZOO.md).

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602; scripts/kinetics/*large*/pretrain.sh
    Status: steps at debug size on the sample data; not trained at this size here
    """
    return _kinetics("large", per_gpu=8, batch=512)


def huge() -> Recipe:
    """VideoMAE ViT-H on Kinetics-400, 1600 epochs, for 8 GPUs.

    The patch is 16, as in the official code. Cost: not in the official repository. Result: 86.6 %
    top-1 fine-tuned (official MODEL_ZOO.md).

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602; scripts/kinetics/*huge*/pretrain.sh
    Status: steps at debug size on the sample data; not trained at this size here
    """
    recipe = _kinetics("huge", per_gpu=16, batch=1024)
    return replace(recipe, encoder=replace(recipe.encoder, checkpoint_blocks=True))


def base_ssv2() -> Recipe:
    """VideoMAE ViT-B on Something-Something V2, 2400 epochs, for 8 GPUs.

    Cost: not in the official repository. Result: 70.8 % top-1 fine-tuned (official
    MODEL_ZOO.md).

    Modalities: video
    Paper: https://arxiv.org/abs/2203.12602; scripts/ssv2/*base*2400/pretrain.sh
    Status: steps at debug size on the sample data; not trained at this size here
    """
    data = videos(batch_size=32, frame_stride=2, crop_scale=_CROPS, flip=0.0, root="data/ssv2")
    return _published(
        "base",
        name="videomae-base-ssv2",
        data=data,
        samples=SOMETHING_V2,
        epochs=2400,
        batch=2048,
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.videomae:cpu", *sys.argv[1:]]))
