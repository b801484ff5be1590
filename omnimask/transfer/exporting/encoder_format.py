"""An encoder folder of our own: what `omnimask.load_encoder` reads."""

from dataclasses import replace
from pathlib import Path

from omnimask.tokens.modality import Modality
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.exporting.features import Features, RealSamples, own_features
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def only(encoder: PretrainedEncoder, modality: Modality) -> PretrainedEncoder:
    """A copy of the encoder that knows one modality and has no weights of the others."""
    alone = PretrainedEncoder(replace(encoder.info, modalities=(modality,)))
    weights = encoder.state_dict()
    alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
    return alone


def write_encoder(encoder: PretrainedEncoder, folder: Path) -> None:
    """`encoder.json` and `encoder.safetensors`."""
    save_encoder(encoder, folder)


def run_encoder(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> list[Features]:
    """Of the encoder that the folder holds."""
    return [own_features(load_encoder(folder), samples)]
