"""MW-MAE: a decoder whose heads each attend within windows of another size.

Masked Autoencoders with Multi-Window Local-Global Attention Are Better Audio Learners,
https://arxiv.org/abs/2306.00561; official code SarthakYadav/mwmae-jax-official. MAE on short
spectrograms in which every block of the decoder sees local, wider and global context at once:
along the flattened tokens head by head within 2, 5, 10, ... of them, the last two within all.

Deviations from the official code:
- The learned biases by relative position start at zero, there random (deviation about 0.02), and
  global heads have them too, there not; the decoder's positions are sines and cosines per axis,
  there over the flat index.
- Spectrograms are normalised by mean and deviation of the data set, there each by its own.
- The mel filters are Kaldi's with pre-emphasis; there torchaudio's MelSpectrogram.
- Vectors (biases, norms) do not decay; there everything does. The per-modality vector of the
  encoder has no counterpart. Crops and masks are functions of (seed, epoch, sample).

But for the decoder, the step is MAE's, which equals transformers' (recipes/mae.py).

The small size has 64 tokens, so the windows are 2, 8 (one moment, or one row of an image), 32 and
all. Images have the structure as well: along the flattened patches a window is a part of a row or
some whole rows.
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
# configs/pretraining/mwmae_base_200_4x16_precomputed.py
AUDIOSET = 2_032_320
_BATCH = 1024
WINDOWS = (2, 5, 10, 25, 50, 125, None, None)


def parts(modality: str) -> Parts:
    """Four heads from local to global."""
    decoder = WindowDecoder(
        width=64,
        depth=2,
        num_heads=4,
        windows=(2, 8, 32, None),
        shift=False,
        relative_bias=True,
    )
    return Parts(
        masker=small.masker(modality),
        decoders={"main": decoder},
        objectives=content(modality),
    )


def cpu(modality: str = "audio") -> Recipe:
    """MW-MAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: those on a grid of two axes: image, audio, skeleton (the argument)
    Paper: https://arxiv.org/abs/2306.00561; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"mwmae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: audio
    Paper: https://arxiv.org/abs/2306.00561
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(size: str) -> Recipe:
    epoch = AUDIOSET // _BATCH
    return Recipe(
        name=f"mwmae-{size}",
        # hear_api/feature_helper.py: 400-point transform, 80 mel bands from 50 Hz to 8 kHz.
        modalities=(
            AudioSpectrogram(window_s=2.0, num_mels=80, num_fft=400, min_hz=50.0, patch=(4, 16)),
        ),
        masker=RandomMask(ratio=0.8),
        encoder=replace(vit(size), class_token=False),
        decoders={
            "main": WindowDecoder(
                width=384,
                depth=4,
                num_heads=8,
                windows=WINDOWS,
                shift=False,
                relative_bias=True,
            )
        },
        objectives=(Objective(name="audio_logmel", modality="audio", target=Content(), loss=mse),),
        data=audioset(batch_size=128),
        optim=Optim(
            steps=steps_of(epochs=100, samples=AUDIOSET, batch=_BATCH),
            lr=1.5e-5 * _BATCH / 256,  # trainer.py scales the configuration's rate
            warmup_steps=10 * epoch,
            weight_decay=0.05,
            betas=(0.9, 0.999),  # optimization.py leaves those of optax
            clip_norm=None,
            accumulate=8,
        ),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


def base() -> Recipe:
    """MW-MAE ViT-B with patches of 4 frames by 16 bands on AudioSet, 100 epochs, for 8 GPUs.

    Cost: on TPU v3, hours not stated in the official repository. Result: 81.2 % ESC-50, 51.2 mAP
    FSD50K, 96.0 % Beijing Opera, 73.1 % CREMA-D with a linear probe (official README.md).
    Command: accelerate launch -m omnimask pretrain recipes.mwmae:base --set data.root=...

    Modalities: audio
    Paper: https://arxiv.org/abs/2306.00561; configs/pretraining/mwmae_base_200_4x16_precomputed.py
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    return _published("base")


def large() -> Recipe:
    """MW-MAE ViT-L with patches of 4 frames by 16 bands on AudioSet, 100 epochs, for 8 GPUs.

    The official repository has the encoder's size (src/modules/mae.py), but a configuration of the
    base size only, which stands in for it. Cost and result: see the paper.

    Modalities: audio
    Paper: https://arxiv.org/abs/2306.00561; configs/pretraining/mwmae_base_200_4x16_precomputed.py
    Status: steps at debug size on the sample data; not trained at this size here
    """
    return _published("large")


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.mwmae:cpu", *sys.argv[1:]]))
