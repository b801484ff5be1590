"""MAMP: skeletons hide what moves, and predict how it moves.

Masked Motion Predictors are Strong 3D Action Representation Learners,
https://arxiv.org/abs/2308.07092; official code maoyunyao/MAMP. A token is four frames of one joint.
Nine tenths are hidden, the more likely the more a token differs from the one four frames before it;
predicted is not where the joint is, but the difference from each frame to the next.

Deviations from the official code:
- One body per file; there both bodies of a recording are samples of their own, of the same file.
- A recording is squeezed or stretched to 120 frames by linear interpolation from the first to the
  last, with means where it is squeezed; there by torch's bilinear one without, and of no fewer than
  64 frames. No random rotations (up to 0.3 rad about each axis).
- A file of fewer than two known steps is refused; joints that are lost (NaN) are neither shown nor
  predicted, and the motion beside them counts as none.
- The origin is the second joint in the first frame, which we take to be what the data's usual
  preparation does before training; the code that does it is not among the official files.
- The encoder adds a per-modality vector. Weights begin as the others here do; the official norms
  add 1e-5. Masks and crops are functions of (seed, epoch, sample).
The masks are distributed and the targets computed as in the official formulas
(tests/unit/masking/test_by_hint.py, tests/unit/objectives/test_change.py).

Other modalities with a time axis: the difference from a frame to the next, hidden at the ratio of
their own papers.
"""

import sys

from modalities.audio import AudioSpectrogram
from modalities.series import SeriesFiles, SeriesPatches
from modalities.video import VideoTubelets
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import ChangeHint, SampleByHint
from omnimask.network.encoder import Encoder
from omnimask.objectives.change import Change
from omnimask.objectives.objective import Objective, mse
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Modality
from recipes import small
from recipes.published import steps_of
from recipes.small import DECODER, Parts, debug_size, small_recipe

MODALITIES = small.TIMED
NTU_60_XSUB = 40_091  # of the usual split; the code counts the files that it finds
_GPUS, _BATCH = 4, 32  # script_pretrain_mamp.sh and the configuration
TEMPERATURE = 0.8  # motion_aware_tau


def steps_in_token(modality: Modality) -> int:
    """How many moments a token's values run over."""
    if isinstance(modality, VideoTubelets):
        return modality.tubelet[0]
    if isinstance(modality, AudioSpectrogram):
        return modality.patch[0]
    assert isinstance(modality, SeriesPatches), "MODALITIES has those with a time axis"
    return modality.patch


def parts(modality: str) -> Parts:
    """Motion guides the mask and is the target."""
    ratio = small.masker(modality).ratio
    target = Change(steps=steps_in_token(small.modality(modality)))
    return Parts(
        masker=SampleByHint(ratio=ratio, hint="motion", temperature=TEMPERATURE),
        hints={"motion": ChangeHint()},
        decoders={"main": DECODER},
        objectives=(
            Objective(name=f"{modality}_motion", modality=modality, target=target, loss=mse),
        ),
    )


def cpu(modality: str = "skeleton") -> Recipe:
    """MAMP on the sample data of one modality, in minutes on two CPU cores.

    Modalities: those with a time axis: skeleton, video, audio (the argument)
    Paper: https://arxiv.org/abs/2308.07092; sizes are ours
    Status: trains
    """
    return small_recipe(f"mamp-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: skeleton
    Paper: https://arxiv.org/abs/2308.07092
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def ntu60() -> Recipe:
    """MAMP on NTU RGB+D 60 (cross-subject), 400 epochs, for 4 GPUs.

    Files: one body of a recording each, (frames, 25, 3), NaN or nothing beyond its end.
    Command: accelerate launch -m omnimask pretrain recipes.mamp:ntu60 --set data.root=...

    Modalities: skeleton
    Paper: https://arxiv.org/abs/2308.07092; settings of the official
        config/ntu60_xsub_joint/pretrain_mamp_t120_layer8+5_mask90.yaml
    Status: not trained at this size here
    """
    numbers = 25 * 3
    skeleton = SeriesPatches(
        name="skeleton",
        num_steps=120,
        num_joints=25,
        num_channels=3,
        patch=4,
        mean=(0.0,) * numbers,  # coordinates as they are
        std=(1.0,) * numbers,
        positions="learned",
    )
    epoch = NTU_60_XSUB // (_GPUS * _BATCH)
    return Recipe(
        name="mamp-ntu60",
        modalities=(skeleton,),
        masker=SampleByHint(ratio=0.9, hint="motion", temperature=TEMPERATURE),
        hints={"motion": ChangeHint()},
        encoder=Encoder(width=256, depth=8, num_heads=8, class_token=False),
        decoders={"main": SelfAttentionDecoder(width=256, depth=5, num_heads=8)},
        objectives=(
            Objective(
                name="skeleton_motion", modality="skeleton", target=Change(steps=4), loss=mse
            ),
        ),
        data=Data(
            root="data/ntu60",
            streams=(
                Stream(
                    name="skeleton",
                    files={
                        "skeleton": SeriesFiles(path="train", origin=1, stretch=(0.5, 1.0)),
                    },
                    held_out={
                        "skeleton": SeriesFiles(path="test", origin=1, stretch=(0.5, 1.0)),
                    },
                    batch_size=_BATCH,
                ),
            ),
            max_bad_files=100,
        ),
        optim=Optim(
            steps=steps_of(epochs=400, samples=NTU_60_XSUB, batch=_GPUS * _BATCH),
            lr=1e-3,
            final_lr=5e-4,
            warmup_steps=20 * epoch,
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=_GPUS,
        ),
        run=Run(num_workers=10, checkpoint_every=1000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.mamp:cpu", *sys.argv[1:]]))
