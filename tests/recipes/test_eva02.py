"""What is particular to EVA-02: its blocks, 105 of 256 patches, hidden tokens by their cosine."""

from pathlib import Path

from timm.layers.mlp import SwiGLU
from torch import nn

from omnimask.objectives.objective import cosine
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.eva02 import base, large, small_size
from tests.recipes.catalogue import load
from tests.unit.masking_cases import keys, layout, part


def test_105_of_256_patches_are_replaced():
    (plan,) = base().masker(layout(image=part({"h": 16, "w": 16}, (256,) * 3)), keys(3))
    assert plan.num_predict == (105,) * 3
    (objective,) = base().objectives
    assert (objective.where, objective.loss) == ("hidden", cosine)


def test_inner_norms_from_the_base_size_on(few_files: Path):
    assert not small_size().encoder.style.sub_norm
    for recipe in (base(), large()):
        assert recipe.encoder.style.sub_norm
        assert recipe.encoder.positions == "both"
    assert (base().encoder.drop_path, large().encoder.drop_path) == (0.0, 0.1)
    model = build_model(fit(load("recipes.eva02:debug", few_files)))
    for block in model.backbone.encoder.blocks:
        assert isinstance(block.mlp, SwiGLU)
        assert isinstance(block.mlp.norm, nn.LayerNorm)
        assert isinstance(block.attn.sub_norm, nn.LayerNorm)
