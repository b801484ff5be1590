"""What sounds say of themselves, and how they would be pretrained (AudioMAE, 2207.06405)."""

from collections.abc import Sequence
from pathlib import Path

from modalities.audio.files import SOUND_SUFFIXES, AudioFiles
from modalities.audio.modality import AudioSpectrogram
from modalities.audio.readers.choice import BACKENDS, choose_backend
from omnimask.foundation.errors import DataError
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import RandomMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content

_SECONDS, _RATE = "length (s)", "rate (Hz)"
_END_S = 0.5  # this much of the end is decoded, to see whether it is there


def _look(path: Path) -> Look:
    if not path.stat().st_size:
        raise DataError(f"{path}: is empty; expected a sound; remove or replace it")
    backend = BACKENDS[choose_backend("auto", path.suffix.lower())]
    info = backend.probe(path)
    if not info.num_samples:
        raise DataError(f"{path}: holds no sound, only a header; remove or replace it")
    count = min(info.num_samples, int(_END_S * info.rate_hz))
    end = backend.decode(path, info, start=info.num_samples - count, count=count)
    if len(end) < count / 2:
        raise DataError(
            f"{path}: ends sooner than the {info.num_samples / info.rate_hz:.2f} s that it states; "
            "it is cut off or damaged; replace it"
        )
    return Look(facts={_SECONDS: info.num_samples / info.rate_hz, _RATE: info.rate_hz})


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    longest, num_mels, mels = (10.24, 128, 16) if budget.large else (1.28, 64, 8)
    seconds, rate = median(looks, _SECONDS), median(looks, _RATE)
    frames = max(int(min(seconds, longest) / 0.16), 1) * 16  # of 10 ms, whole patches of 16
    modality = AudioSpectrogram(
        sample_rate_hz=16_000 if rate >= 16_000 else 8_000,
        window_s=frames / 100,
        num_mels=num_mels,
        patch=(16, mels),
    )
    return Proposal(
        modality=modality,
        masker=RandomMask(ratio=0.8),
        content=(("logmel", Content(), mse),),
        reasons=(
            f"sounds: windows of {frames / 100} s at {modality.sample_rate_hz} Hz, {num_mels} mel "
            f"bands, from a middle length of {seconds:.2f} s and at most {longest} s here",
            "4 of 5 patches of the spectrogram are hidden: AudioMAE, 2207.06405",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> AudioFiles:
    return AudioFiles(path=path)


INSPECTOR = Inspector(
    name="audio", suffixes=SOUND_SUFFIXES, look=_look, propose=_propose, files=_files
)
