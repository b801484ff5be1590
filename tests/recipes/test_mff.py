"""What is particular to MFF: which blocks, and that the weights learn."""

from pathlib import Path

from omnimask.decoders import LayerFusion, SelfAttentionDecoder
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.mff import base, base_800
from tests.recipes.catalogue import first_batch, load, step_loss


def test_every_second_block_of_twelve_is_read():
    decoder = base().decoders["main"]
    assert isinstance(decoder, SelfAttentionDecoder)
    assert decoder.layers(base().encoder) == (-11, -9, -7, -5, -3, -1)
    assert base_800().optim.steps == 800 * (1_281_167 // 4096)


def test_the_weights_start_equal_and_learn(few_files: Path):
    recipe = fit(load("recipes.mff:debug", few_files))
    decoder = recipe.decoders["main"]
    assert isinstance(decoder.reads, LayerFusion)
    model = build_model(recipe)
    weights = model.get_parameter("decoders.main.reading.weights")
    assert model._health([])["last_layer/main"].item() == 0.5
    step_loss(model, first_batch(recipe)).backward()
    assert weights.grad is not None
    assert weights.grad.abs().min() > 0
