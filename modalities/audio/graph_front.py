"""An exported graph begins at the waveform: the log-mel front end is part of it."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from modalities.audio.logmel import log_mel
from modalities.audio.modality import AudioSpectrogram
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Modality, Sample
from omnimask.tokens.tokens import Raw
from omnimask.transfer.modality_hooks import Triple

_LOUDEST = 32767  # of 16-bit samples


class SoundFront:
    """`waveform` (b s) mono in [-1, 1] at the modality's rate, of any length, and `num_samples`
    (b), how many of them are sound. What is beyond the window is cut off, and a patch that is not
    full is left out, as readers do.
    """

    free_length = True

    def __init__(self, modality: Modality) -> None:
        assert isinstance(modality, AudioSpectrogram), "GRAPH_FRONTS says so"
        self.modality = modality

    def inputs(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """DataError for samples without a waveform, which readers give for held-out views."""
        waves = [_waveform(sample) for sample in samples]
        counts = torch.tensor([len(wave) for wave in waves])
        padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
        return {"waveform": padded, "num_samples": counts}

    def reference(self, samples: Sequence[Sample]) -> Raw:
        """With the spectrograms of the 16-bit waveforms; the reader's are of the exact ones."""
        scale = self.modality.mel_scale
        exact = [{"logmel": log_mel(_waveform(sample), scale)} for sample in samples]
        return self.modality.collate(exact)

    def tokens(self, inputs: Mapping[str, Tensor]) -> Triple:
        modality, scale = self.modality, self.modality.mel_scale
        window, patch = scale.num_samples(modality.window_frames), modality.patch[0]
        wave = inputs["waveform"]
        wave = torch.cat([wave, wave.new_zeros(wave.shape[0], window)], dim=1)[:, :window]
        count = inputs["num_samples"].clamp(0, window)
        frames = (count - scale.frame + scale.hop) // scale.hop  # none below one frame
        frames = frames.clamp_min(0) // patch * patch
        logmel = log_mel(wave, scale)
        tokens = modality.split({"logmel": logmel, "real_frames": frames, "num_frames": ()})
        return tokens.values, tokens.coords, tokens.valid


def _waveform(sample: Sample) -> Float[Tensor, " s"]:
    if "waveform" not in sample:
        raise DataError(
            "a graph that takes sounds is checked on their waveforms, and this sample has none; "
            'give "waveform" (16-bit), as readers do for held-out views, or --from tokens'
        )
    return sample["waveform"].float() / _LOUDEST


GRAPH_FRONTS = {AudioSpectrogram: SoundFront}
