"""VQ-KD: a tokenizer whose codes let a small decoder rebuild the features of a frozen teacher.

The tokenizer of BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers,
https://arxiv.org/abs/2208.06366, section 2.2; official code microsoft/unilm, folder beit2
(run_vqkd_training.py, modeling_vqkd.py). An encoder sees every patch, each of its outputs is
replaced by the nearest of a set of codes, and a decoder turns codes into the teacher's features,
judged by their cosine. recipes/beit2.py then predicts the codes of hidden patches.

A run of this recipe names the run folder of its teacher: the small sizes take that of recipes.mae,
the published one CLIP ViT-B/16 (`omnimask import clip FILE --out encoders/clip-base`). BEiT v2
takes this run's folder in turn, with `decoder="main"`, which holds the codebook.

Deviations. The codebook of the published size starts from k-means on the first batch, as the
official one (with quantize_kmeans_init), but on the batch of all processes, there each on its own.
The official code forgets its counts at every epoch and leaves unused codes; here these are replaced
by the tokens served worst (objectives/codebook.py). The official target is CLIP's output after its
projection to 512 numbers; here it is the teacher's normalised output, as wide as it is. Positions
are fixed sines, there learned from zero, and the per-modality vector has no counterpart. The
decoder's weights start Xavier-uniform, there normal with deviation 0.02, and it has no [CLS];
warm-up starts near 0, there at 1e-6.
tests/unit/objectives/test_codebook.py compares the codebook's step with a plain one.

With 64 tokens and 24 images to a step there are 1536 tokens: the small sizes have 256 codes of 16
numbers. They start without k-means: after 50 steps of the cpu size on images as many codes were in
use with it or fewer (.152 and .086 of them against .145 and .129, two seeds), and the loss was
higher (.366 and .483 against .336 and .405): what it finds is gone once the encoder has moved.
Nothing is bound to images, but only grids have a recipe that uses the codes.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import Decoder, QuantisedDecoder
from omnimask.masking import ShowAll
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, cosine
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from omnimask.recipe.teacher import FrozenTeacher
from recipes import small
from recipes.published import IMAGENET_1K, imagenet, steps_of
from recipes.small import Parts, debug_size, latent, small_recipe

MODALITIES = small.GRIDS
CODEBOOK = QuantisedDecoder(
    num_codes=256, code_dim=16, width=64, depth=2, num_heads=4, kmeans_init=False
)
_BATCH = 512  # TOKENIZER.md: 8 GPUs of 64


def parts(modality: str) -> Parts:
    """VQ-KD on any modality with a grid, with the finished run of recipes.mae:cpu as teacher."""
    return Parts(
        masker=ShowAll(),
        decoders={"main": CODEBOOK},
        objectives=(_features(modality),),
        teacher=FrozenTeacher(run=f"runs/mae-cpu-{modality}"),
    )


def _features(modality: str) -> Objective:
    """The teacher's normalised output at every token, up to its length."""
    target = TeacherFeatures(layers=(0,), norm="none")
    return replace(latent(modality, target, cosine), where="all")


def cpu(modality: str = "image") -> Recipe:
    """VQ-KD on the sample data of one modality, in minutes on two CPU cores.

    Its teacher is the finished run of recipes.mae:cpu for the same modality; another one is named
    by --set teacher.run=...

    Modalities: all of the sample data with a grid (the argument)
    Paper: https://arxiv.org/abs/2208.06366, section 2.2; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"vqkd-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size with a random teacher, and k-means: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366, section 2.2
    Status: runs in seconds; learns nothing of use
    """
    decoders: dict[str, Decoder] = {"main": replace(CODEBOOK, kmeans_init=True)}
    return debug_size(replace(cpu(), teacher=FrozenTeacher(), decoders=decoders))


def base() -> Recipe:
    """VQ-KD, encoder ViT-B/16, decoder of three blocks, on ImageNet-1k, 100 epochs, for 8 GPUs.

    Cost: 8 V100, hours not stated. Result: 97 % of the codes in use (TOKENIZER.md).
    Command: accelerate launch -m omnimask pretrain recipes.vqkd:base --set data.root=...
        --set teacher.run=...

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366; settings of the official TOKENIZER.md and the defaults
        of run_vqkd_training.py (vqkd_encoder_base_decoder_3x768x12_clip)
    Status: a valid recipe; needs an imported teacher; not trained at this size here
    """
    return Recipe(
        name="vqkd-base",
        modalities=(
            # process_type default: pixels from -1 to 1
            ImagePatches(size=(224, 224), patch=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3),
        ),
        masker=ShowAll(),
        encoder=replace(vit("base"), init="normal_by_depth"),
        decoders={"main": QuantisedDecoder()},  # its defaults are the published ones
        objectives=(_features("image"),),
        # The paper's teacher is CLIP ViT-B/16, or DINO's.
        teacher=FrozenTeacher(run="encoders/clip-base"),
        data=imagenet(batch_size=64, crop_scale=(0.08, 1.0)),  # min_crop_scale
        optim=Optim(
            steps=steps_of(epochs=100, samples=IMAGENET_1K, batch=_BATCH),
            lr=5e-5 * _BATCH / 128,  # the default rate and how the script scales it
            final_lr=1e-5,  # min_lr
            warmup_steps=steps_of(epochs=10, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=1e-4,
            betas=(0.9, 0.99),
            clip_norm=None,
            accumulate=8,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.vqkd:cpu", *sys.argv[1:]]))
