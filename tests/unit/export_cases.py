"""Encoders of toy modalities with weights that hide nothing, and their real samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.network.positions import Rotary
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Modality, Sample, Visit
from omnimask.tokens.tokens import Grid, Raw, Tokens
from omnimask.transfer.exporting.features import RealSamples, collate_samples, started
from omnimask.transfer.exporting.front import Start
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from tests.unit.toy import Toy, ToyFiles
from tests.unit.toy_recipe import toy_recipe

SMALL = Encoder(width=16, depth=2, num_heads=2)
ENCODERS = {
    "plain": SMALL,
    "no prefix": replace(SMALL, class_token=False),
    "registers": replace(SMALL, num_registers=3),
    "rotary": replace(SMALL, positions="rotary"),
    "both": replace(SMALL, positions="both", num_registers=2, class_token=False),
    "qk_norm": replace(SMALL, style=BlockStyle(qk_norm=True, layer_scale=0.3)),
    "centred": replace(SMALL, positions="rotary", rotary=Rotary(max_period=100.0, centred=True)),
    "relative": replace(SMALL, positions="none", relative_bias=True),
    "shared": replace(
        SMALL, pre_norm=True, relative_bias="shared", style=BlockStyle(sub_norm=True)
    ),
    "quick gelu": replace(
        SMALL, norm_weights=False, style=BlockStyle(act="quick_gelu", sub_norm=True)
    ),
    "every block": replace(SMALL, places_every_block=True, relative_bias=True),
    "swiglu": replace(SMALL, style=BlockStyle(swiglu=True, norm="rms")),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced(Toy):
    """A toy whose raw form says in a tensor which tokens are real, so that a graph can begin at it;
    without a grid, so that samples may have any number of tokens."""

    name: str = "traced"

    @property
    def grid(self) -> Grid | None:
        return None

    def collate(self, samples: Sequence[Sample]) -> Raw:
        waves = [torch.from_numpy(sample["wave"]).unflatten(0, (-1, 4)) for sample in samples]
        real = [torch.ones(len(wave), dtype=torch.bool) for wave in waves]
        return {
            "wave": pad_sequence(waves, batch_first=True),
            "real": pad_sequence(real, batch_first=True),
            "nothing": torch.zeros(len(waves), max(map(len, waves)), 0),
            "unread": torch.zeros(len(waves)),
            "num_tokens": tuple(map(len, waves)),
        }

    def split(self, raw: Raw) -> Tokens:
        wave, nothing, real, counts = (raw[k] for k in ("wave", "nothing", "real", "num_tokens"))
        assert isinstance(wave, Tensor)
        assert isinstance(nothing, Tensor)
        assert isinstance(real, Tensor)
        assert isinstance(counts, tuple)
        places = torch.arange(wave.shape[1]).float()[None, :, None].expand(wave.shape[0], -1, -1)
        return Tokens(
            values=torch.cat([wave - 0.25, nothing], dim=2) * real[:, :, None],
            coords=places,
            valid=real,
            scorable=real,
            num_valid=counts,
            num_scorable=counts,
            grid=None,
        )


def scattered(modalities: tuple[Modality, ...], encoder: Encoder) -> PretrainedEncoder:
    """Every weight is drawn, so that none is a zero or a one whose mix-up nobody would see."""
    info = EncoderInfo(name="scattered", modalities=modalities, encoder=encoder, origin={})
    built = PretrainedEncoder(info)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return built


def read(recipe: Recipe, modality: str, *, count: int) -> list[Sample]:
    """The first held-out samples."""
    files = next(
        s.held_out[modality] for s in recipe.data.streams if modality in (s.held_out or {})
    )
    source = files.open(recipe.data.root, recipe.modality(modality))
    return [source.read(i, Visit(key=0, augment=False)) for i in range(count)]


def toy_samples(modality: str = "toy") -> RealSamples:
    """Six of them; one is short."""
    recipe = toy_recipe()
    return collate_samples(recipe.modality(modality), read(recipe, modality, count=6), "held out")


def traced_samples(*, start: Start = "samples", count: int = 6) -> RealSamples:
    """Of `Traced`; one is short."""
    source = ToyFiles().open(".", Toy())
    samples = [source.read(i, Visit(key=0, augment=False)) for i in range(count)]
    return started(collate_samples(Traced(), samples, "held out"), start)
