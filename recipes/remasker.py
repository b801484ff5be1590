"""ReMasker: hide more cells of a table that has gaps, and learn to fill them in.

ReMasker: Imputing Tabular Data with Masked Autoencoding, https://arxiv.org/abs/2309.13793; official
code alps-lab/remasker and tydusky/remasker. A cell is a token; missing ones are never shown. Half
of the observed cells are masked again, and a small decoder predicts these and the shown ones as
shares of their columns' ranges. Once trained on a table, it fills that table's gaps:
`modalities.tabular.impute_rows`, compared with scikit-learn's imputers in docs/imputation.md.

Deviations: the official code keeps half of all columns of a row, observed or not, so that with
gaps it masks fewer than half of the observed cells, and where a row has fewer observed cells than
that it shows gaps as zeros; here it is half of each row's observed cells. There a number enters as
a share of its column's range, through one linear layer for all columns plus a sinusoid of the
column's number; here standardised, through a weight and a bias per column, plus a learned vector
per column. The official decoder has mask tokens for gaps too; shown and hidden cells have heads of
their own here, there one. tanh(x) / 2 + 1/2 is sigmoid(2 x); the 2 is in the head's weights here.
The official code knows numbers only; here categories have classes and cross-entropy. Both means are
over the cells of a batch, as there. Weight decay, 0.01 (AdamW's own default, since the official
script does not pass its 0.05 on), is there on all weights, here not on biases, norms and other
vectors. Incomplete last batches of an epoch are dropped here.
"""

import sys
from dataclasses import replace

from modalities.tabular import ScaledCells, TableCells, TableFiles, scaled_cell_loss
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import PredictVisible, RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Stream
from recipes import small
from recipes.published import steps_of
from recipes.small import Parts, debug_size, small_recipe

MODALITIES = ("table",)
# Shown cells are predicted from their own encoded tokens.
DECODER = replace(small.DECODER, visible="own")
_BATCH = 64  # configs.py, which also has the rates and epochs


def parts(modality: str = "table", *, decoder: SelfAttentionDecoder = DECODER) -> Parts:
    """ReMasker's mask, its two losses and a decoder."""
    assert modality in MODALITIES
    return Parts(
        masker=PredictVisible(masker=RandomMask(ratio=0.5)),
        objectives=(
            Objective(
                name="table_hidden", modality="table", target=ScaledCells(), loss=scaled_cell_loss
            ),
            Objective(
                name="table_shown",
                modality="table",
                target=ScaledCells(),
                loss=scaled_cell_loss,
                where="visible",
            ),
        ),
        decoders={"main": decoder},
    )


def cpu(modality: str = "table") -> Recipe:
    """ReMasker on the sample tables, all four in one model, in minutes on two CPU cores.

    Modalities: table
    Paper: https://arxiv.org/abs/2309.13793; sizes are ours
    Status: trains; docs/methods.md has its probes, docs/imputation.md what its gaps are filled with
    """
    return small_recipe(f"remasker-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: table
    Paper: https://arxiv.org/abs/2309.13793
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def published(name: str, *, width: int, depth: int, decoder_depth: int, rows: int) -> Recipe:
    """A model of one table of `rows` rows: 600 epochs in batches of 64, for one process."""
    decoder = SelfAttentionDecoder(width=width, depth=decoder_depth, num_heads=4, visible="own")
    method = parts(decoder=decoder)
    return Recipe(
        name=name,
        modalities=(TableCells(),),
        masker=method.masker,
        encoder=Encoder(width=width, depth=depth, num_heads=4),
        decoders=method.decoders,
        objectives=method.objectives,
        data=Data(
            root="data/table",
            # The table that is to be filled in is the one to train on. batch_size is all of it.
            streams=(
                Stream(name="table", files={"table": TableFiles()}, batch_size=min(_BATCH, rows)),
            ),
        ),
        optim=Optim(
            steps=steps_of(epochs=600, samples=rows, batch=min(_BATCH, rows)),
            lr=1e-3 * _BATCH / 64,  # the base rate is that of a batch of 64
            final_lr=1e-5,
            warmup_steps=steps_of(epochs=40, samples=rows, batch=min(_BATCH, rows)),
            weight_decay=0.01,
            betas=(0.9, 0.95),
            clip_norm=None,
        ),
    )


def tiny() -> Recipe:
    """ReMasker 32 x 4 with 2 decoder blocks, as for diabetes, iris, climate and yacht.

    The number of steps is that of diabetes (442 rows). Cost: not stated. Result: over twelve tables
    on par with or ahead of thirteen other imputers (section 4; figures only).
    Command: omnimask pretrain recipes.remasker:tiny --set data.root=FOLDER_OF_ONE_TABLE

    Modalities: table
    Paper: https://arxiv.org/abs/2309.13793; configs.py of the official code
    Status: measured against scikit-learn's imputers in docs/imputation.md
    """
    return published("remasker-tiny", width=32, depth=4, decoder_depth=2, rows=442)


def base() -> Recipe:
    """ReMasker 32 x 6 with 4 decoder blocks, as for california, credit and compression.

    The number of steps is that of California housing (20640 rows). Cost: not stated.

    Modalities: table
    Paper: https://arxiv.org/abs/2309.13793; configs.py of the official code
    Status: not trained at this size here
    """
    return published("remasker-base", width=32, depth=6, decoder_depth=4, rows=20_640)


def large() -> Recipe:
    """ReMasker 64 x 8 with 6 decoder blocks, as for letter, spam, obesity and wine quality.

    The number of steps is that of letter recognition (20000 rows). Cost: not stated.

    Modalities: table
    Paper: https://arxiv.org/abs/2309.13793; configs.py of the official code
    Status: not trained at this size here
    """
    return published("remasker-large", width=64, depth=8, decoder_depth=6, rows=20_000)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.remasker:cpu", *sys.argv[1:]]))
