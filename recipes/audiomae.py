"""AudioMAE: hide four fifths of a spectrogram's patches, reconstruct them within local windows.

Masked Autoencoders that Listen, https://arxiv.org/abs/2207.06405; official code
facebookresearch/AudioMAE. MAE on log-mel spectrograms, whose neighbouring times and frequencies
belong together more than far ones: the decoder attends within small windows, shifted in every
second block so that they exchange what they know.

Deviations from the official code:
- The decoder's blocks are plain pre-norm ones with full windows of real tokens; there Swin v2's,
  with post-norm and cosine attention (decoders/window.py). Biases by relative position are a
  learned table in each block, there the output of a small network in each block.
- A clip of 10 s gives 62 of the 64 columns; there it is padded with zeros to 1024 frames, and the
  padding is shown and predicted like sound.
- The training clip is made louder or softer by at most 1.6 dB, which has the deviation of the
  official random factor 0.5 + Beta(10, 10); it is not rolled in time besides.
- The per-modality vector of the encoder has no counterpart; the position table orders its axes as
  (time, frequency). Masks and gains are functions of (seed, epoch, sample).
- The paper (section 4.3) states a rate of 2e-4, 32 epochs and up to 6 dB; the official script has
  2e-4 as base rate with a batch of 512, so 4e-4, and 33 epochs. This follows the script.

But for the decoder, the step is MAE's, which equals transformers' (recipes/mae.py). There is no
parity test of the decoder's blocks, which differ.

The small size normalises each patch as the published one does. Images: the same decoder, since
neighbouring patches belong together there too.
"""

import sys
from dataclasses import replace

from modalities.audio import AudioSpectrogram
from omnimask.commands.main import main
from omnimask.decoders import WindowDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from recipes import small
from recipes.published import audioset, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.PLANE
AUDIOSET_2M = 1_960_000 + 21_000  # section 4.1: unbalanced and balanced clips, rounded
_BATCH = 512  # submit_pretrain_audioset2M.sh: 8 nodes of 8 GPUs with 8 each


def parts(modality: str) -> Parts:
    """Windows of 4 by 4, as published: a quarter of the small size's 8 by 8 patches."""
    (objective,) = content(modality)
    return Parts(
        masker=small.masker(modality),
        decoders={"main": WindowDecoder(width=64, depth=4, num_heads=4, relative_bias=True)},
        objectives=(replace(objective, target=Content(norm="token")),),
    )


def cpu(modality: str = "audio") -> Recipe:
    """AudioMAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: those on a grid of two axes: image, audio, skeleton (the argument)
    Paper: https://arxiv.org/abs/2207.06405; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"audiomae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: audio
    Paper: https://arxiv.org/abs/2207.06405
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """AudioMAE ViT-B/16 on AudioSet-2M, 33 epochs, for 8 GPUs.

    Cost: about 36 h on 64 V100 (section 4.3). Result: 47.3 mAP on AudioSet-2M and 37.0 on
    AudioSet-20K, fine-tuned (table 2).
    Command: accelerate launch -m omnimask pretrain recipes.audiomae:base --set data.root=...

    Modalities: audio
    Paper: https://arxiv.org/abs/2207.06405, section 4.3; submit_pretrain_audioset2M.sh
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    epoch = AUDIOSET_2M // _BATCH
    return Recipe(
        name="audiomae-base",
        # main_pretrain.py has mean -4.2677 and deviation 4.5690; dataset.py divides by twice that.
        modalities=(AudioSpectrogram(mean=-4.2677393, std=2 * 4.5689974),),
        masker=RandomMask(ratio=0.8),
        encoder=vit("base"),
        decoders={"main": WindowDecoder(width=512, depth=16, num_heads=16, relative_bias=True)},
        objectives=(
            Objective(
                name="audio_logmel", modality="audio", target=Content(norm="token"), loss=mse
            ),
        ),
        data=audioset(batch_size=8, gain_db=1.6),
        optim=Optim(
            steps=steps_of(epochs=33, samples=AUDIOSET_2M, batch=_BATCH),
            lr=2e-4 * _BATCH / 256,
            warmup_steps=3 * epoch,
            weight_decay=1e-4,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=64,
        ),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.audiomae:cpu", *sys.argv[1:]]))
